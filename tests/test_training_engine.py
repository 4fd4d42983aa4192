"""TRAINING_ENGINE: one machine needs nothing of Spark, and Spark says what is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from recommendations.matches.services import match_all
from recommendations.models import TrainingRun
from recommendations.spark import cluster
from tests.audience import train
from tests.running import ROOT

ON_ONE_MACHINE = """
import sys, django
django.setup()
import recommendations.matches.services, recommendations.similar_movies, recommendations.tasks
import recommendations.training.runs
print(sorted({name.partition(".")[0] for name in sys.modules} & {"pyspark", "py4j", "pyarrow"}))
"""


def test_one_machine_imports_nothing_of_spark() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ON_ONE_MACHINE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.django_db
@pytest.mark.usefixtures("home")
def test_without_sparks_packages_the_run_names_the_setting(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TRAINING_ENGINE = "spark"
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(ImproperlyConfigured):
        train()
    run = TrainingRun.objects.get()
    assert run.state == TrainingRun.State.FAILED
    assert "TRAINING_ENGINE=spark" in run.message
    assert "make spark" in run.message
    with pytest.raises(ImproperlyConfigured, match="TRAINING_ENGINE"):
        match_all()
