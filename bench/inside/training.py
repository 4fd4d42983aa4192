"""Training from the database to the published release, beside `implicit` alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import django.conf
import implicit.cpu.als
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recommendations.dataset import load_dataset
from recommendations.models import TrainingRun
from recommendations.training.runs import run_training

Solver = implicit.cpu.als.AlternatingLeastSquares


def measure_training(*, rounds: int) -> dict[str, Any]:
    """Seconds of each round, in turn: the whole training, and a bare fit on the same matrix."""
    # The two that `implicit` has something beside; the others have a benchmark of their own.
    django.conf.settings.TRAINING_ALGORITHMS = ["popularity", "als"]
    settings = _watch_settings()
    matrix = load_dataset().interactions
    whole, bare, phases = [], [], []
    for _ in range(rounds):
        watch = _PhaseWatch()
        whole.append(_seconds(lambda: _train(watch)))  # noqa: B023 - called at once
        phases.append(watch.seconds())
        bare.append(_seconds(lambda: _fit(matrix, settings[0])))
    return {
        "interactions": matrix.nnz,
        "settings": {name: value for name, value in settings[0].items() if value is not None},
        "training": whole,
        "bare fit": bare,
        "phases": phases,
    }


def _watch_settings() -> list[dict[str, Any]]:
    """Fills with the settings that our training gives to `implicit`, the first fit's first."""
    seen: list[dict[str, Any]] = []

    class Watched(Solver):  # type: ignore[misc, valid-type]
        def __init__(self, **settings: Any) -> None:
            seen.append(settings)
            super().__init__(**settings)

    implicit.cpu.als.AlternatingLeastSquares = Watched
    return seen


def _train(watch: _PhaseWatch) -> None:
    run = run_training(TrainingRun.objects.create(), force=True, tuning_budget_s=0, watch=watch)
    assert run.state == TrainingRun.State.PUBLISHED, run.message


def _fit(matrix: csr_matrix, settings: dict[str, Any]) -> None:
    with threadpool_limits(1, "blas"):
        Solver(**settings).fit(matrix, show_progress=False)


def _seconds(action: Callable[[], None]) -> float:
    started_at = time.perf_counter()
    action()
    return time.perf_counter() - started_at


class _PhaseWatch:
    """How long each phase of a training takes, by when the next one reports."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}

    def __call__(self, phase: str, percent: int) -> None:
        self._begun.setdefault(phase, time.perf_counter())

    def seconds(self) -> dict[str, float]:
        """Of the last phase, until now."""
        moments = [*self._begun.values(), time.perf_counter()]
        lengths = [after - before for before, after in pairwise(moments)]
        return dict(zip(self._begun, lengths, strict=True))
