"""What a release costs at a given size: all algorithms that suit it, without a database."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from django.conf import settings
from scipy.sparse import csr_matrix

from bench.inside.synthetic import make_features, make_ratings
from recommendations.dataset import Dataset
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.evaluation.splits import split_by_time
from recommendations.engine.matrices import IdMap, ItemFeatures
from recommendations.interaction_weights import Evidence, weight_table
from recommendations.training.fitting import train_all


def measure_release(*, viewers: int, films: int, ratings: int) -> dict[str, Any]:
    """Of all algorithms that suit the data, without extras: seconds in all and by phase, and the
    most memory that the process held."""
    # PyTorch is an extra, which this machine may have.
    settings.TRAINING_ALGORITHMS = [name for name in ALGORITHMS if name != "neural"]
    dataset = _dataset(viewers, films, ratings)
    data_bytes = _peak_bytes()
    watch = _Watch()
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
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Watch:
    """How long each phase takes, by when the next one begins."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}

    def part(self, phase: str, start: float, end: float) -> Callable[[float], None]:
        def report(share: float) -> None:
            self._begun.setdefault(phase, time.perf_counter())

        return report

    def seconds(self) -> dict[str, float]:
        moments = [*self._begun.values(), time.perf_counter()]
        lengths = np.diff(moments).tolist()
        return dict(zip(self._begun, lengths, strict=True))
