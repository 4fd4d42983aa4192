"""The Spark cluster: a context whose workers have this code."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from recommendations.engine.ranking.similar_items import RunBlocks

#: Defaults; Spark's own `spark-defaults.conf` overrides each of them.
DEFAULTS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # A thread for each task: BLAS and OpenMP would take all cores for each of them.
    "spark.executorEnv.OPENBLAS_NUM_THREADS": "1",
    "spark.executorEnv.OMP_NUM_THREADS": "1",
    # A worker that dies is no reason to give up: others take its tasks.
    "spark.task.maxFailures": "8",
}
#: The packages that tasks need.
SHIPPED = ("recommendations/engine", "recommendations/spark")


def require_spark() -> None:
    """Raises ImproperlyConfigured: The packages of the extra `spark` are not installed."""
    if find_spec("pyspark") is None or find_spec("pyarrow") is None:
        raise ImproperlyConfigured(
            "TRAINING_ENGINE=spark is set, but Spark's packages are not installed: `make spark`, "
            "or `poetry install --extras spark`."
        )


@contextmanager
def spark_context() -> Iterator[Any]:
    """A context of SPARK_MASTER, until the block ends.

    The workers get this code with the tasks. They need the Python of PYSPARK_PYTHON, by default the
    path of this one, with the packages of the extra `spark`.
    """
    require_spark()
    from pyspark import SparkConf, SparkContext

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    configuration = SparkConf().setMaster(settings.SPARK_MASTER).setAppName("Cinema")
    for name, value in DEFAULTS.items():
        configuration.setIfMissing(name, value)
    context = SparkContext(conf=configuration)
    try:
        context.setLogLevel("ERROR")
        with TemporaryDirectory() as folder:
            context.addPyFile(str(_zipped_code(Path(folder))))
            yield context
    finally:
        context.stop()


@contextmanager
def block_runner() -> Iterator[RunBlocks]:
    """Calls a function for each block, by TRAINING_ENGINE here or on the cluster."""
    if settings.TRAINING_ENGINE != "spark":
        yield map
        return
    with spark_context() as context:
        yield lambda call, blocks: context.parallelize(blocks, len(blocks)).map(call).collect()


def _zipped_code(folder: Path) -> Path:
    path = folder / "cinema-tasks.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("recommendations/__init__.py", "")
        for package in SHIPPED:
            for module in sorted((settings.BASE_DIR / package).rglob("*.py")):
                file.write(module, module.relative_to(settings.BASE_DIR))
    return path
