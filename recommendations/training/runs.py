"""A training run: load, fit, compare with the current release, publish."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from math import isnan
from typing import Any

from django.conf import settings
from django.utils import timezone

from recommendations import release_bucket, selectors
from recommendations.dataset import Dataset
from recommendations.engine import artifacts
from recommendations.engine.algorithms.hybrid import Composite
from recommendations.engine.artifacts import ArtifactError
from recommendations.engine.evaluation.quality import (
    EvaluatedLists,
    Quality,
    Scorer,
    evaluate_lists,
)
from recommendations.engine.evaluation.splits import Split
from recommendations.engine.matrices import Array
from recommendations.engine.ranking.onboarding import onboarding_order
from recommendations.engine.recommender import RemappedRecommender
from recommendations.models import Release, TrainingRun
from recommendations.releases import (
    ONBOARDING,
    load_release,
    publish_release,
    remove_old_releases,
    remove_unknown_directories,
)
from recommendations.training.fitting import (
    DEFAULT,
    ENOUGH_USERS,
    TrainedModels,
    is_worse,
    train_all,
)
from recommendations.training.sources import LocalSource, TrainingSource, training_source

#: A release whose NDCG is lower by more than this share is not published.
GATE_MARGIN = 0.1

HELD = "{} is held: lift its hold, and train again."

log = logging.getLogger(__name__)

State = TrainingRun.State

#: A run that kills the trainer each time fails after so many attempts.
MAX_ATTEMPTS = 3
#: Progress is saved at most this often, because each save costs the training time.
REPORT_EVERY_S = 0.5
#: Viewers for whom two releases are compared.
GATE_USERS = 500


class ReleaseRejected(Exception):
    """The new models are worse than the current ones."""


class Progress:
    """Saves the progress of a run in its row."""

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
        """A reporter of the share done, 0 to 1, of a phase from `start` to `end` percent."""
        return lambda share: self.report(phase, start + share * (end - start))


def carry_out(run_id: int) -> str:
    """Carry out the run; return its outcome for the log."""
    run = run_training(TrainingRun.objects.get(pk=run_id))
    return f"{run.state} {run.message} {run.release or ''}"


def run_training(
    run: TrainingRun,
    *,
    force: bool = False,
    accept_worse: bool = False,
    tuning_budget_s: float | None = None,
    watch: Callable[[str, int], None] | None = None,
) -> TrainingRun:
    """Carry out a run and save its outcome in the row. An error is saved and raised.

    The caller holds the lock `recommendations.train`.

    Args:
        force: Train even if nothing has changed.
        accept_worse: Publish even if the current release makes better lists.
        tuning_budget_s: Overrides the setting TUNING_BUDGET_S.
        watch: Called with the phase and the percent done.
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
        if current and current.is_held:
            return _reject_as_held(run, current)
        if current and current.is_of(run.fingerprint) and not force:
            return _finish(run, State.UNCHANGED, f"Nothing has changed since {current}.")
        release = _train_and_publish(
            run.fingerprint, current, progress, tuning_budget_s, accept_worse=accept_worse
        )
    except ReleaseRejected as rejection:
        return _finish(run, State.REJECTED, str(rejection))
    except KeyboardInterrupt:  # otherwise `resume_training` would carry it out again
        _finish(run, State.FAILED, "Interrupted.")
        raise
    except Exception as error:
        _finish(run, State.FAILED, f"{type(error).__name__}: {error}")
        raise
    run.release = release
    if not release.is_current:  # staff have rolled back meanwhile
        return _reject_as_held(run, selectors.current_release())
    return _finish(run, State.PUBLISHED, "")


def _reject_as_held(run: TrainingRun, current: Release | None) -> TrainingRun:
    # Without a fingerprint: once the hold is lifted, beat asks for a training of the same data.
    run.fingerprint = ""
    return _finish(run, State.REJECTED, HELD.format(current))


def _finish(run: TrainingRun, state: TrainingRun.State, message: str) -> TrainingRun:
    run.state, run.message, run.finished_at = state, message[:500], timezone.now()
    run.percent = 100 if state in (State.PUBLISHED, State.UNCHANGED) else run.percent
    run.save(update_fields=["state", "message", "finished_at", "percent", "release", "fingerprint"])
    return run


def _train_and_publish(
    fingerprint: str,
    current: Release | None,
    progress: Progress,
    tuning_budget_s: float,
    *,
    accept_worse: bool,
) -> Release:
    started_at = time.perf_counter()
    progress.report("loading", 0)
    with training_source() as (source, split):
        trained = train_all(
            source.dataset,
            split,
            progress.part,
            before=current.tuned_settings if current else {},
            # A sample would choose settings for a sample.
            budget_s=tuning_budget_s if source.fits is None else 0,
            fits=source.fits,
        )
        if current is not None and not accept_worse:
            reject_if_worse(
                trained,
                source.dataset,
                split,
                current,
                report=lambda phase: progress.report(phase, 95),
            )
        progress.report("publishing", 98)
        release = Release(
            users=len(source.user_ids),
            items=len(source.dataset.items),
            interactions=source.n_interactions,
            fingerprint=fingerprint,
            training_s=time.perf_counter() - started_at,
        )
        return publish(release, trained, source.dataset, source)


def reject_if_worse(
    trained: TrainedModels,
    dataset: Dataset,
    split: Split,
    current: Release,
    report: Callable[[str], None],
) -> None:
    """Compare the new models with the current release.

    If the measured quality is lower than that of the current release in its own training, either
    the models or the data may be the reason: an import, or a rush on a new film, can make the data
    harder. Then both are evaluated on the same recent likes. The current release may have learned
    them already, so these figures are used only here.

    Raises:
        ReleaseRejected: The new lists are worse beyond the margin, and not by chance.
    """
    margin = GATE_MARGIN
    then = _served_quality(
        {name: quality_from_json(quality) for name, quality in current.metrics.items()}
    )
    now = _served_quality(trained.quality)
    if min(then.users, now.users) < ENOUGH_USERS or now.ndcg >= then.ndcg * (1 - margin):
        return
    report(f"comparing with {current}")
    try:
        release_bucket.fetch(current.path)
        standing = load_release(current)
    except ArtifactError as error:
        log.warning("cannot compare the new models with %s: %s", current, error)
        return
    remapped = {
        name: RemappedRecommender(model, standing.items, dataset.items)
        for name, model in standing.recommenders.items()
    }
    new, old = _evaluate(trained.recommenders, split), _evaluate(remapped, split)
    if is_worse(new, old, margin=margin):
        raise ReleaseRejected(
            f"NDCG@10 {Quality.of(new).ndcg:.4f} is more than {margin:.0%} below the "
            f"{Quality.of(old).ndcg:.4f} that {current} reaches for the same viewers. It stays."
        )


def _evaluate(models: Mapping[str, Scorer], split: Split) -> EvaluatedLists:
    """The lists of the default algorithm, or of the best one in a release without it."""
    names = [DEFAULT] if DEFAULT in models else models
    evaluated = [evaluate_lists(models[name], split, max_users=GATE_USERS) for name in names]
    return max(evaluated, key=lambda lists: Quality.of(lists).ndcg)


def _served_quality(qualities: Mapping[str, Quality]) -> Quality:
    """The quality of the default algorithm, or of the best one in a release without it."""
    known = {name: quality for name, quality in qualities.items() if quality.users}
    best = max(known.values(), key=lambda quality: quality.ndcg, default=Quality.unknown(k=10))
    return known.get(DEFAULT, best)


def publish(
    release: Release,
    trained: TrainedModels,
    dataset: Dataset,
    source: TrainingSource | None = None,
) -> Release:
    """Write the files, then make the release current. A kill in between changes nothing.

    Args:
        source: All viewers, if `dataset` is a sample of them.
    """
    source = source or LocalSource(dataset)
    release.directory = f"{timezone.now():%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    release.metrics = {name: quality_to_json(quality) for name, quality in trained.quality.items()}
    release.left_out = dict(trained.left_out)
    release.tuned_settings = dict(trained.settings)
    arrays: dict[str, Array] = {
        "item_ids": dataset.items.ids,
        "user_ids": source.user_ids,
        ONBOARDING: onboarding_order(dataset.interactions),
    }
    models = {name: recommender.to_arrays() for name, recommender in trained.recommenders.items()}
    models |= source.viewer_arrays()
    for name, own in models.items():
        arrays |= {f"{name}.{key}": array for key, array in own.items()}
    with release_bucket.host_lock():
        # Before the new files are written, because leftovers could fill the disk.
        remove_unknown_directories()
        artifacts.save(
            release.path,
            arrays,
            {
                "algorithms": list(trained.recommenders),
                "left_out": release.left_out,
                "settings": release.tuned_settings,
                "blends": {
                    name: model.blend_settings()
                    for name, model in trained.recommenders.items()
                    if isinstance(model, Composite)
                },
                "tuning": trained.tuning,
                "seconds": trained.seconds,
                "metrics": release.metrics,
                "users": release.users,
                "items": release.items,
                "interactions": release.interactions,
                "created_at": release.created_at.isoformat(),
            },
        )
        release_bucket.upload_patiently(release.path)
        publish_release(release)
        remove_old_releases()
    return release


def quality_to_json(quality: Quality) -> dict[str, float | int | None]:
    """The figures with None for NaN, which JSON does not have."""
    values = asdict(quality).items()
    return {k: None if isinstance(v, float) and isnan(v) else v for k, v in values}


def quality_from_json(values: Mapping[str, Any]) -> Quality:
    known: dict[str, Any] = {k: float("nan") if v is None else v for k, v in values.items()}
    return Quality(**known)
