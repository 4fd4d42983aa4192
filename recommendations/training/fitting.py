"""Turns a data set into models that can be published: tune, fit, evaluate, then learn the rest."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from scipy.sparse import csr_matrix

from recommendations.dataset import Dataset
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.algorithms.hybrid import Composite, HybridRecommender
from recommendations.engine.evaluation.metrics import is_significantly_worse
from recommendations.engine.evaluation.quality import EvaluatedLists, Quality, evaluate_lists
from recommendations.engine.evaluation.splits import (
    Split,
    split_by_time,
    with_short_histories,
)
from recommendations.engine.evaluation.tuning import divide_budget, tune
from recommendations.engine.matrices import Features
from recommendations.engine.recommender import FitInterrupted, Recommender

log = logging.getLogger(__name__)

BASELINE = "popularity"
#: The algorithm of a viewer's list unless the request names another.
DEFAULT = "hybrid"
#: The part of the default for each role that HYBRID_WEIGHTS names.
PARTS = {"collaborative": "als", "content": "content", "popularity": "popularity"}
#: With fewer evaluated viewers a difference between two algorithms is chance.
ENOUGH_USERS = 20

#: Constructor arguments by algorithm.
Settings = Mapping[str, Mapping[str, Any]]
#: Takes a phase with its first and last percent; returns a reporter of the share done of it.
Part = Callable[[str, float, float], Callable[[float], None]]


class TrainingData(NamedTuple):
    """The arguments of `Recommender.fit`."""

    interactions: csr_matrix
    items: Features
    times: csr_matrix


class Fits(Protocol):
    """Fits models on this machine, or on Spark."""

    def obstacle(self, model: Recommender) -> str | None:
        """Why a release should leave the model out; or None."""

    def fit(self, model: Recommender) -> Recommender:
        """Fit the model on the past."""

    def update(self, model: Recommender) -> Recommender:
        """Update the model with all data."""


@dataclass(frozen=True)
class LocalFits:
    """Models learn on this machine."""

    past: TrainingData
    everything: TrainingData

    def obstacle(self, model: Recommender) -> str | None:
        return model.obstacle(*self.everything)

    def fit(self, model: Recommender) -> Recommender:
        return model.fit(*self.past)

    def update(self, model: Recommender) -> Recommender:
        return model.update(*self.everything)


@dataclass(frozen=True)
class TrainedModels:
    """Models ready to be published.

    Attributes:
        recommenders: The models by name.
        quality: The measured quality of all fitted models, including those left out.
        left_out: A sentence on each algorithm that the release does not have.
        settings: The searched settings.
        tuning: The trials of the search, for the manifest.
        seconds: The time of fitting on the past.
    """

    recommenders: Mapping[str, Recommender]
    quality: Mapping[str, Quality]
    left_out: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=dict)
    tuning: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


def train_all(
    dataset: Dataset,
    split: Split,
    part: Part,
    *,
    before: Settings,
    budget_s: float,
    fits: Fits | None = None,
) -> TrainedModels:
    """Fit each algorithm on `split.train`, evaluate it on the test, then update it with all data.

    Args:
        dataset: The viewers that models are judged by, and without `fits` learn from.
        before: The settings of the current release, where the search starts.
        budget_s: Seconds of the search, which uses `split.train` alone.
    """
    everything = TrainingData(dataset.interactions, dataset.features, dataset.times)
    past = TrainingData(split.train, dataset.features, split.train_times)
    fits = fits or LocalFits(past, everything)
    names, left_out = _suitable(fits)
    found, tuning = _search(names, past, before, budget_s, part)
    fitted = _FittedModels(fits, dataset.features, split, found, part, left_out)
    for place, name in enumerate(names):
        fitted.fit(name, *_span(30, 70, place, len(names)))
    updated: dict[str, Recommender] = {}
    for place, (name, model) in enumerate(fitted.kept.items()):
        report = part(f"updating {name}", *_span(70, 95, place, len(fitted.kept)))
        report(0)
        model.on_progress = report
        with _left_out_if_it_fails(name, left_out):
            if not isinstance(model, Composite):
                updated[name] = fits.update(model)
            elif reason := _too_few_parts(model.compose(updated)):
                left_out[name] = reason
            else:
                updated[name] = model
    quality = {name: Quality.of(lists) for name, lists in fitted.evaluated.items()}
    return TrainedModels(updated, quality, left_out, found, tuning, fitted.seconds)


@contextmanager
def _left_out_if_it_fails(name: str, left_out: dict[str, str]) -> Iterator[None]:
    """Leave out an algorithm that fails, perhaps for lack of memory; popularity must not fail."""
    try:
        yield
    except FitInterrupted:
        raise
    except Exception as error:
        if name == BASELINE:
            raise
        log.exception("%s failed", name)
        left_out[name] = f"It failed: {type(error).__name__}: {error}."


def make_recommender(name: str, found: Settings | None = None) -> Recommender:
    """The algorithm with the settings that a search has found for it, or HYBRID_WEIGHTS."""
    if name == DEFAULT and settings.HYBRID_WEIGHTS:
        weights = {PARTS[role]: weight for role, weight in settings.HYBRID_WEIGHTS.items()}
        return HybridRecommender(weights=weights)
    return ALGORITHMS[name](**(found or {}).get(name, {}))


def _suitable(fits: Fits) -> tuple[list[str], dict[str, str]]:
    """The names of the algorithms of a release, and why the others are left out.

    Popularity comes first and composites last.
    """
    named = settings.TRAINING_ALGORITHMS or list(ALGORITHMS)
    wanted = {BASELINE, *named}
    for composite in _composites(named):
        wanted |= composite.part_types.keys()
    left_out = {}
    for name in ALGORITHMS:
        if name not in wanted:
            left_out[name] = "TRAINING_ALGORITHMS does not name it."
        elif reason := fits.obstacle(make_recommender(name)):
            left_out[name] = reason
    names = [name for name in ALGORITHMS if name not in left_out]
    names.sort(key=lambda name: (name != BASELINE, _is_composite(name)))
    return names, left_out


def _search(
    names: Sequence[str], past: TrainingData, before: Settings, budget_s: float, part: Part
) -> tuple[dict[str, Mapping[str, Any]], dict[str, Any]]:
    """Search for better settings on a split of the past, so that the test never decides on them.

    Without a budget, the settings of the current release stay.

    Returns:
        The settings by algorithm, and the trials of the search.
    """
    found = {name: before[name] for name in names if _has_known_settings(name, before)}
    if not budget_s or not past.interactions.nnz:
        return found, {}
    inner = split_by_time(past.interactions, past.times)
    parts = _PartModels(TrainingData(inner.train, past.items, inner.train_times), names, found)
    trials: dict[str, Any] = {}
    left = {name: ALGORITHMS[name] for name in names}
    if settings.HYBRID_WEIGHTS:
        left.pop(DEFAULT, None)
    ends_at = time.monotonic() + budget_s
    while seconds := divide_budget(ends_at - time.monotonic(), left):
        # Composites come last: they are made of the best models of their parts.
        name = min(seconds, key=_is_composite)
        report = part(f"tuning {name}", *_span(2, 30, len(trials), len(trials) + len(seconds)))
        tuned = tune(
            left.pop(name),
            with_short_histories(inner) if _is_composite(name) else inner,
            budget_s=seconds[name],
            clock=time.monotonic,
            starts=[found[name]] if name in found else [],
            items=past.items,
            on_progress=report,
            fit=parts.compose if _is_composite(name) else None,
        )
        trials[name] = tuned.manifest()
        if tuned.trials:
            found[name] = tuned.settings
        if tuned.model and any(name in of.part_types for of in _composites(left)):
            parts.fitted[name] = tuned.model
    return found, trials


@dataclass
class _PartModels:
    """The parts of composites, fitted on the past of the search; each is fitted once."""

    past: TrainingData
    names: Sequence[str]
    found: Settings
    fitted: dict[str, Recommender] = field(default_factory=dict)

    def compose(self, model: Composite) -> Composite:
        for name in model.part_types:
            if name in self.names and name not in self.fitted:
                self.fitted[name] = make_recommender(name, self.found).fit(*self.past)
        return model.compose(self.fitted)


def _is_composite(name: str) -> bool:
    return issubclass(ALGORITHMS[name], Composite)


def _composites(names: Iterable[str]) -> list[type[Composite]]:
    return [of for name in names if issubclass(of := ALGORITHMS[name], Composite)]


def _has_known_settings(name: str, before: Settings) -> bool:
    """Whether `before` has settings of the algorithm, and none that only another version knew."""
    own = before.get(name)
    return own is not None and own.keys() <= ALGORITHMS[name].search_space.keys()


@dataclass
class _FittedModels:
    """Models fitted on the past, in turn: composites use the models before them.

    Attributes:
        left_out: Why the release does not have a model.
        kept: The models that the release may have.
    """

    fits: Fits
    items: Features
    split: Split
    found: Settings
    part: Part
    left_out: dict[str, str]
    kept: dict[str, Recommender] = field(default_factory=dict)
    evaluated: dict[str, EvaluatedLists] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def fit(self, name: str, start: float, end: float) -> None:
        """Fit and evaluate one algorithm; progress runs from `start` to `end` percent."""
        report = self.part(f"fitting {name}", start, (start + end) / 2)
        report(0)
        began_at = time.monotonic()
        model = make_recommender(name, self.found)
        model.on_progress = report
        with _left_out_if_it_fails(name, self.left_out):
            if isinstance(model, Composite):
                model.compose(self.kept)
            else:
                self.fits.fit(model)
            self.seconds[name] = time.monotonic() - began_at
            self.part(f"evaluating {name}", (start + end) / 2, end)(0)
            self.evaluated[name] = evaluate_lists(model, self.split, items=self.items)
            if reason := self._reason_to_leave_out(model):
                self.left_out[name] = reason
                log.warning("%s is left out of the release: %s", name, reason)
            else:
                self.kept[name] = model

    def _reason_to_leave_out(self, model: Recommender) -> str:
        """Why the release should not have the model; empty if it should."""
        if isinstance(model, Composite) and (reason := _too_few_parts(model)):
            return reason
        own, baseline = self.evaluated[model.name], self.evaluated[BASELINE]
        if model.must_beat_popularity and is_worse(own, baseline):
            ndcg, theirs = (Quality.of(lists).ndcg for lists in (own, baseline))
            return f"NDCG@10 {ndcg:.4f}, below {theirs:.4f} of {BASELINE}."
        return ""


def _too_few_parts(model: Composite) -> str:
    """Why a composite makes no sense; empty if it has two parts or more."""
    if len(model.parts) > 1:
        return ""
    return f"Of its parts the release has {', '.join(model.parts) or 'none'}."


def _span(start: float, end: float, place: int, count: int) -> tuple[float, float]:
    """The begin and end of one of `count` equal parts."""
    return start + (end - start) * place / count, start + (end - start) * (place + 1) / count


def is_worse(own: EvaluatedLists, other: EvaluatedLists, *, margin: float = 0.0) -> bool:
    """Whether `own` is significantly worse for the same viewers, beyond a share of the NDCG."""
    return len(own.users) >= ENOUGH_USERS and is_significantly_worse(
        own.by_user["ndcg"], other.by_user["ndcg"], margin=margin
    )
