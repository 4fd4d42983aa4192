"""A training run: load, fit, hold against what stands, publish."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.conf import settings
from django.utils import timezone

from recommendations import selectors
from recommendations.data import load_dataset
from recommendations.engine.evaluation import split_by_time
from recommendations.models import Release, TrainingRun
from recommendations.training.fitting import train_all
from recommendations.training.gating import ReleaseRejected, check_against_standing
from recommendations.training.publishing import publish

State = TrainingRun.State

#: A run that takes the trainer down each time is given up.
MAX_ATTEMPTS = 3
#: Progress is written at most so often, so that watching costs the training nothing.
REPORT_EVERY_S = 0.5


class Progress:
    """Writes how far a run is to its row, where everybody can read it."""

    def __init__(self, run: TrainingRun, also: Callable[[str, int], None] | None = None) -> None:
        self._run = run
        self._also = also
        self._written_at = 0.0

    def report(self, phase: str, percent: float) -> None:
        new_phase = phase != self._run.phase
        self._run.phase, self._run.percent = phase, int(percent)
        if self._also:
            self._also(phase, int(percent))
        if new_phase or time.monotonic() - self._written_at >= REPORT_EVERY_S:
            self._run.save(update_fields=["phase", "percent"])
            self._written_at = time.monotonic()

    def part(self, phase: str, start: float, end: float) -> Callable[[float], None]:
        """A reporter of shares, 0 to 1, for a phase that takes from `start` to `end` percent."""
        return lambda share: self.report(phase, start + share * (end - start))


def carry_out(run_id: int) -> str:
    """Carry out the run; returns its outcome for the log."""
    run = run_training(TrainingRun.objects.get(pk=run_id))
    return f"{run.state} {run.message} {run.release or ''}"


def run_training(
    run: TrainingRun,
    *,
    force: bool = False,
    tuning_budget_s: float | None = None,
    watch: Callable[[str, int], None] | None = None,
) -> TrainingRun:
    """Carry out a run to its end, whatever that is; the row tells.

    The caller holds the lock `recommendations.train`. An error is written down and raised.

    Args:
        force: Train even if nothing has changed.
        tuning_budget_s: In place of the setting TUNING_BUDGET_S.
        watch: Told the phase and the percent done, beside the row.
    """
    if tuning_budget_s is None:
        tuning_budget_s = settings.TUNING_BUDGET_S
    if run.attempts >= MAX_ATTEMPTS:
        return _finish(run, State.FAILED, f"The trainer was killed {run.attempts} times.")
    run.state, run.started_at, run.attempts = State.RUNNING, timezone.now(), run.attempts + 1
    run.message = ""
    run.save(update_fields=["state", "started_at", "attempts", "message"])
    progress = Progress(run, watch)
    try:
        run.fingerprint = selectors.fingerprint()
        current = selectors.current_release()
        if current and current.is_of(run.fingerprint) and not force:
            return _finish(run, State.UNCHANGED, f"Nothing has changed since {current}.")
        release = _train_and_publish(run.fingerprint, current, progress, tuning_budget_s)
    except ReleaseRejected as rejection:
        return _finish(run, State.REJECTED, str(rejection))
    except Exception as error:
        _finish(run, State.FAILED, f"{type(error).__name__}: {error}")
        raise
    run.release = release
    return _finish(run, State.PUBLISHED, "")


def _finish(run: TrainingRun, state: TrainingRun.State, message: str) -> TrainingRun:
    run.state, run.message, run.finished_at = state, message[:500], timezone.now()
    run.percent = 100 if state in (State.PUBLISHED, State.UNCHANGED) else run.percent
    run.save(update_fields=["state", "message", "finished_at", "percent", "release", "fingerprint"])
    return run


def _train_and_publish(
    fingerprint: str, current: Release | None, progress: Progress, tuning_budget_s: float
) -> Release:
    started_at = time.perf_counter()
    progress.report("loading", 0)
    dataset = load_dataset()
    split = split_by_time(dataset.interactions, dataset.times)
    before = current.tuned_settings if current else {}
    trained = train_all(dataset, split, progress.part, before=before, budget_s=tuning_budget_s)
    if current is not None:
        check_against_standing(
            trained, dataset, split, current, report=lambda phase: progress.report(phase, 95)
        )
    progress.report("publishing", 98)
    release = Release(
        users=len(dataset.users),
        items=len(dataset.items),
        interactions=dataset.interactions.nnz,
        fingerprint=fingerprint,
        training_s=time.perf_counter() - started_at,
    )
    return publish(release, trained, dataset)
