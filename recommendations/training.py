"""Load, fit, evaluate, gate, publish."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

from django.conf import settings
from django.utils import timezone

from recommendations import selectors
from recommendations.data import Dataset, load_dataset
from recommendations.engine import artifacts
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.artifacts import ArtifactError
from recommendations.engine.evaluation import Quality, Split, evaluate, split_by_time
from recommendations.engine.predicting import RatingPredictor
from recommendations.engine.protocol import Array, Recommender
from recommendations.engine.renumbering import Renumbered
from recommendations.loading import PREDICTOR, load_release
from recommendations.models import Release, TrainingRun
from recommendations.releases import make_current, remove_old_releases

log = logging.getLogger(__name__)

State = TrainingRun.State

BASELINE = "popularity"
#: Below so many judged viewers a difference between two algorithms is chance.
ENOUGH_USERS = 20
#: So many viewers are asked which of two releases is the better one.
GATE_USERS = 500
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


@dataclass(frozen=True)
class Trained:
    """Models ready to be published, and what was measured of each."""

    recommenders: Mapping[str, Recommender]
    quality: Mapping[str, Quality]
    left_out: Mapping[str, str]


class ReleaseRejected(Exception):
    """The new models are worse than what viewers have now."""


def run_training(
    run: TrainingRun,
    *,
    force: bool = False,
    watch: Callable[[str, int], None] | None = None,
) -> TrainingRun:
    """Carry out a run to its end, whatever that is; the row tells.

    The caller holds the lock `recommendations.train`. An error is written down and raised.
    """
    if run.attempts >= MAX_ATTEMPTS:
        return _finish(run, State.FAILED, f"The trainer was killed {run.attempts} times.")
    run.state, run.started_at, run.attempts = State.RUNNING, timezone.now(), run.attempts + 1
    run.save(update_fields=["state", "started_at", "attempts"])
    progress = Progress(run, watch)
    try:
        run.fingerprint = selectors.fingerprint()
        current = selectors.current_release()
        if current and current.is_of(run.fingerprint) and not force:
            return _finish(run, State.UNCHANGED, f"Nothing has changed since {current}.")
        release = _train_and_publish(run.fingerprint, current, progress)
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


def _train_and_publish(fingerprint: str, current: Release | None, progress: Progress) -> Release:
    started_at = time.perf_counter()
    progress.report("loading", 0)
    dataset = load_dataset()
    split = split_by_time(dataset.interactions, dataset.times)
    trained = train_all(dataset, split, progress)
    if current is not None:
        _gate(trained, dataset, split, current, progress)
    progress.report("publishing", 98)
    release = Release(
        users=len(dataset.users),
        items=len(dataset.items),
        interactions=dataset.interactions.nnz,
        metrics={name: _as_json(quality) for name, quality in trained.quality.items()},
        fingerprint=fingerprint,
        training_s=time.perf_counter() - started_at,
    )
    return publish(release, trained, dataset)


def train_all(dataset: Dataset, split: Split, progress: Progress) -> Trained:
    """Fit each algorithm on the past, judge it on what came after, then let it learn that too.

    An algorithm that is worse than popularity is left out.
    """
    quality: dict[str, Quality] = {}
    recommenders: dict[str, Recommender] = {}
    left_out: dict[str, str] = {}
    # Popularity first: the others are held against it.
    names = sorted(ALGORITHMS, key=lambda name: name != BASELINE)
    for number, name in enumerate(names):
        start, span = 15 + number * 80 / len(names), 80 / len(names)
        fitting = progress.part(f"fitting {name}", start, start + span * 0.75)
        updating = progress.part(f"updating {name}", start + span * 0.85, start + span)
        recommender = make_recommender(name)
        recommender.on_progress = fitting
        fitting(0)
        recommender.fit(split.train, times=split.train_times)
        progress.report(f"evaluating {name}", start + span * 0.75)
        quality[name] = evaluate(recommender, split)
        if is_worse(quality[name], quality[BASELINE]):
            left_out[name] = f"NDCG@10 {quality[name].ndcg:.4f}, below {BASELINE}"
            log.warning("%s is left out of the release: %s", name, left_out[name])
            continue
        recommender.on_progress = updating
        updating(0)
        recommenders[name] = recommender.update(dataset.interactions, times=dataset.times)
    return Trained(recommenders, quality, left_out)


def make_recommender(name: str) -> Recommender:
    """The algorithm with the settings of this installation."""
    options: dict[str, Any] = {}
    if name == "als" and settings.TRAINING_FACTORS:
        options["factors"] = settings.TRAINING_FACTORS
    return ALGORITHMS[name](**options)


def is_worse(quality: Quality, other: Quality, *, margin: float = 0.0) -> bool:
    """Whether its NDCG is lower by more than the margin, a share; unknown counts as not."""
    if quality.users < ENOUGH_USERS or other.users < ENOUGH_USERS:
        return False
    return quality.ndcg < other.ndcg * (1 - margin)


def _gate(
    trained: Trained, dataset: Dataset, split: Split, current: Release, progress: Progress
) -> None:
    """Hold the new release against the standing one.

    Lower figures than on the standing one's own day can be the fault of the models, or of data
    that an import or a rush on a new film has made harder. So then both rank what the same
    viewers liked lately. Both may have learned that already, so it counts only here.

    Raises:
        ReleaseRejected: Viewers would get worse lists than now, beyond the margin.
    """
    margin = settings.TRAINING_GATE_MARGIN
    then = _best(_from_json(quality) for quality in current.metrics.values())
    if not is_worse(_best(trained.quality.values()), then, margin=margin):
        return
    progress.report(f"comparing with {current}", 95)
    try:
        standing = load_release(current)
    except ArtifactError as error:
        log.warning("%s cannot be compared with: %s", current, error)
        return
    new, old = (
        _best(evaluate(model, split, max_users=GATE_USERS) for model in models)
        for models in (
            trained.recommenders.values(),
            [Renumbered(r, standing.items, dataset.items) for r in standing.recommenders.values()],
        )
    )
    if is_worse(new, old, margin=margin):
        raise ReleaseRejected(
            f"NDCG@10 {new.ndcg:.4f} is more than {margin:.0%} below the {old.ndcg:.4f} that "
            f"{current} reaches for the same viewers. It stays."
        )


def _best(qualities: Iterable[Quality]) -> Quality:
    judged = [quality for quality in qualities if quality.users]
    return max(judged, key=lambda quality: quality.ndcg, default=Quality.unknown(k=10))


def publish(release: Release, trained: Trained, dataset: Dataset) -> Release:
    """Write the files, then move the pointer to them. Killed in between, nothing has happened."""
    release.directory = f"{timezone.now():%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}"
    arrays: dict[str, Array] = {"item_ids": dataset.items.ids, "user_ids": dataset.users.ids}
    models = {name: recommender.to_arrays() for name, recommender in trained.recommenders.items()}
    models[PREDICTOR] = RatingPredictor.fit(dataset.ratings).to_arrays()
    for name, own in models.items():
        arrays |= {f"{name}.{key}": array for key, array in own.items()}
    artifacts.save(
        release.path,
        arrays,
        {
            "algorithms": list(trained.recommenders),
            "left_out": dict(trained.left_out),
            "metrics": release.metrics,
            "users": release.users,
            "items": release.items,
            "interactions": release.interactions,
            "created_at": release.created_at.isoformat(),
        },
    )
    make_current(release)
    remove_old_releases()
    return release


def _as_json(quality: Quality) -> dict[str, float | int | None]:
    values = asdict(quality).items()
    return {k: None if isinstance(v, float) and isnan(v) else v for k, v in values}


def _from_json(values: Mapping[str, Any]) -> Quality:
    known: dict[str, Any] = {k: float("nan") if v is None else v for k, v in values.items()}
    return Quality(**known)
