"""Loading, training and quality of the models, each measured in a fresh process."""

from __future__ import annotations

import gc
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from django.conf import settings
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from bench.inside.synthetic import make_features, make_ratings
from recommendations import evaluation
from recommendations.dataset import Dataset, Evidence, load_dataset, weight_table
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.evaluation.metrics import bootstrap_interval
from recommendations.engine.evaluation.splits import split_by_time
from recommendations.engine.matrices import IdMap, ItemFeatures
from recommendations.feature_builder import load_features
from recommendations.models import Interaction, TrainingRun
from recommendations.training.fitting import train_all
from recommendations.training.runs import run_training

#: The unit of `ru_maxrss`.
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def measure_rates(*, rounds: int, orm_rows: int) -> dict[str, list[float]]:
    """Interactions a second, in turn by `load_dataset` and by the ORM on a part of the table.

    `load_dataset` also loads the features of the films, which the ORM's rows do not have. They are
    timed separately and subtracted.
    """
    rates: dict[str, list[float]] = {"load_dataset": [], "the ORM": [], "features, s": []}
    for _ in range(rounds):
        started_at = time.perf_counter()
        dataset = load_dataset()
        whole_s = time.perf_counter() - started_at
        started_at = time.perf_counter()
        load_features(dataset.items)
        features_s = time.perf_counter() - started_at
        rates["features, s"].append(features_s)
        rates["load_dataset"].append(dataset.interactions.nnz / (whole_s - features_s))
        started_at = time.perf_counter()
        loaded = _load_by_orm(orm_rows)
        rates["the ORM"].append(loaded / (time.perf_counter() - started_at))
    return rates


def _load_by_orm(at_most: int) -> int:
    """The naive way: rows as tuples, dictionaries from ids to indices."""
    columns = ("user_id", "movie_id", "kind", "half_stars", "updated_at")
    rows = list(Interaction.objects.values_list(*columns)[:at_most])
    users = {pk: place for place, pk in enumerate(sorted({row[0] for row in rows}))}
    movies = {pk: place for place, pk in enumerate(sorted({row[1] for row in rows}))}
    table = weight_table()
    weights = [table[kind, half_stars] for _, _, kind, half_stars, _ in rows]
    seconds = [updated_at.timestamp() for *_, updated_at in rows]
    places = ([users[row[0]] for row in rows], [movies[row[1]] for row in rows])
    shape = (len(users), len(movies))
    csr_matrix((np.array(seconds), places), shape=shape)
    return csr_matrix((np.array(weights, dtype=np.float32), places), shape=shape).nnz


def measure_resident_memory() -> dict[str, float]:
    """The peak memory of this fresh process, minus its memory before."""
    Interaction.objects.first()  # opens the connection
    gc.collect()
    before_bytes = psutil.Process().memory_info().rss
    dataset = load_dataset()
    return _beyond_matrices(dataset, _peak_bytes() - before_bytes)


def measure_allocations() -> dict[str, float]:
    """Measure the peak of allocations by Python and NumPy, in a process of its own."""
    Interaction.objects.first()
    tracemalloc.start()
    dataset = load_dataset()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return _beyond_matrices(dataset, peak_bytes)


def _beyond_matrices(dataset: Dataset, peak_bytes: int) -> dict[str, float]:
    arrays = [
        array
        for matrix in (
            dataset.interactions,
            dataset.times,
            dataset.ratings,
            dataset.features.matrix,
        )
        for array in (matrix.data, matrix.indices, matrix.indptr)
    ]
    # Matrices may share their index arrays.
    distinct = {array.__array_interface__["data"][0]: array.nbytes for array in arrays}
    matrices_bytes = sum(distinct.values())
    n = dataset.interactions.nnz
    return {
        "interactions": n,
        "matrices_bytes": matrices_bytes / n,
        "beyond_bytes": (peak_bytes - matrices_bytes) / n,
    }


def measure_training(*, rounds: int) -> dict[str, Any]:
    """Seconds of each round, in turn: the whole training, and a bare fit on the same matrix."""
    # `implicit` has nothing beside the other algorithms.
    settings.TRAINING_ALGORITHMS = ["popularity", "als"]
    bare_solver, used = _watch_solver()
    matrix = load_dataset().interactions
    whole, bare, phases = [], [], []
    for _ in range(rounds):
        watch = _PhaseWatch()
        whole.append(_seconds(partial(_train, watch)))
        phases.append(watch.seconds())
        bare.append(_seconds(lambda: _fit(bare_solver(**used[0]), matrix)))
    return {
        "interactions": matrix.nnz,
        "settings": {name: value for name, value in used[0].items() if value is not None},
        "training": whole,
        "bare fit": bare,
        "phases": phases,
    }


def _watch_solver() -> tuple[type[Any], list[dict[str, Any]]]:
    """Return the solver of `implicit` and the settings of each fit of our training."""
    # Imported here, so that its memory counts for the algorithm that needs it.
    import implicit.cpu.als

    solver = implicit.cpu.als.AlternatingLeastSquares
    used: list[dict[str, Any]] = []

    class WatchedSolver(solver):  # type: ignore[misc, valid-type]
        def __init__(self, **own: Any) -> None:
            used.append(own)
            super().__init__(**own)

    implicit.cpu.als.AlternatingLeastSquares = WatchedSolver
    return solver, used


def _train(watch: _PhaseWatch) -> None:
    run = run_training(TrainingRun.objects.create(), force=True, tuning_budget_s=0, watch=watch)
    assert run.state == TrainingRun.State.PUBLISHED, run.message


def _fit(solver: Any, matrix: csr_matrix) -> None:
    with threadpool_limits(1, "blas"):
        solver.fit(matrix, show_progress=False)


def _seconds(action: Callable[[], None]) -> float:
    started_at = time.perf_counter()
    action()
    return time.perf_counter() - started_at


class _PhaseWatch:
    """Measures the phases of a training, each until the next one reports."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}

    def __call__(self, phase: str, percent: float) -> None:
        self._begun.setdefault(phase, time.perf_counter())

    def part(self, phase: str, start: float, end: float) -> Callable[[float], None]:
        return lambda share: self(phase, start)

    def seconds(self) -> dict[str, float]:
        """The time of each phase; the last one lasts until now."""
        moments = [*self._begun.values(), time.perf_counter()]
        lengths = [after - before for before, after in pairwise(moments)]
        return dict(zip(self._begun, lengths, strict=True))


def measure_release(*, viewers: int, films: int, ratings: int) -> dict[str, Any]:
    """Train all algorithms that suit the data: seconds in all and by phase, and peak memory."""
    # PyTorch is an extra, which this machine may have.
    settings.TRAINING_ALGORITHMS = [name for name in ALGORITHMS if name != "neural"]
    dataset = _dataset(viewers, films, ratings)
    data_bytes = _peak_bytes()
    watch = _PhaseWatch()
    began_at = time.perf_counter()
    split = split_by_time(dataset.interactions, dataset.times)
    trained = train_all(dataset, split, watch.part, before={}, budget_s=0)
    return {
        "seconds": time.perf_counter() - began_at,
        "phases": watch.seconds(),
        "bytes before": data_bytes,
        "peak bytes": _peak_bytes(),
        "left out": dict(trained.left_out),
        "ndcg": {name: quality.ndcg for name, quality in trained.quality.items()},
    }


def _dataset(viewers: int, films: int, count: int) -> Dataset:
    drawn = make_ratings(viewers=viewers, films=films, ratings=count)
    starts = np.searchsorted(drawn.viewers, np.arange(viewers + 1)).astype(np.int32)
    items, shape = drawn.films.astype(np.int32), (viewers, films)
    weights = weight_table()[Evidence.RATING, drawn.half_stars]
    matrix, names = make_features(films=films)
    return Dataset(
        users=IdMap(np.arange(viewers)),
        items=IdMap(np.arange(films)),
        interactions=csr_matrix((weights, items, starts), shape=shape),
        times=csr_matrix((drawn.seconds.astype(np.float64), items, starts), shape=shape),
        ratings=csr_matrix((drawn.half_stars.astype(np.uint8), items, starts), shape=shape),
        features=ItemFeatures(matrix, names),
    )


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES


def measure_quality(*, name: str, split: str, folder: str, k: int, seed: int) -> dict[str, Any]:
    """The quality, the seconds, and the MB beyond the data; or why the algorithm is left out."""
    data = evaluation.from_folder(Path(folder), tell=lambda line: None)
    parts = evaluation.split_data(data, split, seed=seed)
    _, left_out = evaluation.choose_algorithms(None, parts, data.items)
    if name in left_out:
        return {"left_out": left_out[name]}
    gc.collect()
    before_bytes = psutil.Process().memory_info().rss
    measured = evaluation.measure([name], parts, data.items, k=k, max_users=None, seed=seed)
    peak_bytes = _peak_bytes()
    one = measured[name]
    return {
        "learned_from": int(parts.train.nnz),
        "quality": asdict(one.quality),
        "intervals": {
            what: bootstrap_interval(values) for what, values in one.lists.by_user.items()
        },
        "fit_s": one.fit_s,
        "score_ms": 1000 * one.score_s / max(one.quality.users, 1),
        "peak_mb": (peak_bytes - before_bytes) / 1e6,
        "ndcg_by_user": one.lists.by_user["ndcg"].tolist(),
    }
