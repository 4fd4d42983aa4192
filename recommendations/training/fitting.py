"""From a data set to models that can be published: tune, fit, evaluate, and learn the rest."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.conf import settings
from scipy.sparse import csr_matrix

from recommendations.dataset import Dataset
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.algorithms.ensemble import EnsembleRecommender, learn_weights
from recommendations.engine.composite import Composite
from recommendations.engine.evaluation.quality import EvaluatedLists, Quality, evaluate_lists
from recommendations.engine.evaluation.significance import is_significantly_worse
from recommendations.engine.evaluation.splits import Split, split_by_time
from recommendations.engine.evaluation.tuning import TuningResult, divide_budget, tune
from recommendations.engine.matrices import ItemFeatures
from recommendations.engine.recommender import Recommender

log = logging.getLogger(__name__)

BASELINE = "popularity"
#: What viewers get unless they ask for another.
DEFAULT = "hybrid"
#: Below so many judged viewers a difference between two algorithms is chance.
ENOUGH_USERS = 20

#: Of `hybrid`: the part that plays each role which the setting HYBRID_WEIGHTS names.
ROLES = {"collaborative": "als", "content": "content", "popularity": "popularity"}

#: By algorithm, for its constructor.
Settings = Mapping[str, Mapping[str, Any]]
#: Takes a phase, and where it begins and ends in percent; reports the share done in between.
Part = Callable[[str, float, float], Callable[[float], None]]


class TrainingData(NamedTuple):
    """What a model learns from, in the order in which `fit` takes it."""

    interactions: csr_matrix
    items: ItemFeatures | None
    times: csr_matrix


@dataclass(frozen=True)
class TrainedModels:
    """Models ready to be published.

    Attributes:
        recommenders: By name.
        quality: Of each that was fitted, also of those that are left out.
        left_out: Why a release is without an algorithm, in a sentence.
        settings: What each was made with, as far as it is searched for or learned.
        tuning: For the manifest: what was tried, and what came of it.
        seconds: What fitting on the past took.
    """

    recommenders: Mapping[str, Recommender]
    quality: Mapping[str, Quality]
    left_out: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=dict)
    tuning: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


def train_all(
    dataset: Dataset, split: Split, part: Part, *, before: Settings, budget_s: float
) -> TrainedModels:
    """Fit each algorithm on the past, judge it on what came after, then let it learn that too.

    Args:
        before: The settings of the release that stands, where a search goes on.
        budget_s: So long better ones are searched for, on a split of the past alone.
    """
    everything = TrainingData(dataset.interactions, dataset.features, dataset.times)
    past = TrainingData(split.train, dataset.features, split.train_times)
    names, left_out = _suitable(everything)
    found, tuning = _search(names, past, before, budget_s, part)
    fits = _FittedModels(left_out=left_out)
    for place, name in enumerate(names):
        fits.fit(name, past, found, split, part, *_span(30, 70, place, len(names)))
    updated: dict[str, Recommender] = {}
    for place, (name, model) in enumerate(fits.kept.items()):
        report = part(f"updating {name}", *_span(70, 95, place, len(fits.kept)))
        report(0)
        model.on_progress = report
        with _left_out_if_it_fails(name, left_out):
            fresh = make_recommender(name, found)
            updated[name] = (
                fresh.compose(updated)
                if isinstance(fresh, Composite)
                else model.update(*everything)
            )
    quality = {name: Quality.of(lists) for name, lists in fits.judged.items()}
    return TrainedModels(updated, quality, left_out, found, tuning, fits.seconds)


@contextmanager
def _left_out_if_it_fails(name: str, left_out: dict[str, str]) -> Iterator[None]:
    """One algorithm that fails, for want of memory perhaps, leaves viewers the others."""
    try:
        yield
    except Exception as error:
        if name == BASELINE:
            raise
        log.exception("%s has failed", name)
        left_out[name] = f"It failed: {type(error).__name__}: {error}."


def make_recommender(name: str, found: Settings | None = None) -> Recommender:
    """The algorithm with the settings found for it; those of this installation go before."""
    options: dict[str, Any] = {**(found or {}).get(name, {}), **_installed(name)}
    return ALGORITHMS[name](**options)


def _installed(name: str) -> Mapping[str, Any]:
    if name == "als" and settings.TRAINING_FACTORS:
        return {"factors": settings.TRAINING_FACTORS}
    if name == "ease":
        return {"max_items": settings.EASE_MAX_ITEMS}
    if name == "item_knn":
        return {"weighting": settings.ITEM_KNN_WEIGHTING}
    if name == DEFAULT:
        shares = settings.HYBRID_WEIGHTS
        return {"weights": {part: shares[role] for role, part in ROLES.items()}}
    return {}


def _suitable(material: TrainingData) -> tuple[list[str], dict[str, str]]:
    """Which algorithms a release is made of, popularity first and composites last.

    Returns:
        Their names, and why others are left out.
    """
    named = settings.TRAINING_ALGORITHMS or list(ALGORITHMS)
    wanted = {BASELINE, *named}
    for name in named:
        if issubclass(algorithm := ALGORITHMS[name], Composite):
            wanted |= algorithm.part_types.keys()
    left_out = {}
    for name in ALGORITHMS:
        if name not in wanted:
            left_out[name] = "TRAINING_ALGORITHMS does not name it."
        elif reason := make_recommender(name).obstacle(*material):
            left_out[name] = reason
    names = [name for name in ALGORITHMS if name not in left_out]
    names.sort(key=lambda name: (name != BASELINE, issubclass(ALGORITHMS[name], Composite)))
    return names, left_out


def _search(
    names: Sequence[str], past: TrainingData, before: Settings, budget_s: float, part: Part
) -> tuple[dict[str, Mapping[str, Any]], dict[str, Any]]:
    """Better settings, on the end of the past: the test never decides on them.

    Without a budget those of the standing release go on.

    Returns:
        The settings by algorithm, and the record of the search.
    """
    found = {name: before[name] for name in names if _has_known_settings(name, before)}
    if not budget_s or not past.interactions.nnz:
        return found, {}
    inner = split_by_time(past.interactions, past.times)
    trials: dict[str, TuningResult] = {}
    left = {name: ALGORITHMS[name] for name in names}
    ends_at = time.monotonic() + budget_s
    while seconds := divide_budget(ends_at - time.monotonic(), left):
        name = next(iter(seconds))
        report = part(f"tuning {name}", *_span(2, 25, len(trials), len(trials) + len(seconds)))
        trials[name] = tune(
            left.pop(name),
            inner,
            budget_s=seconds[name],
            clock=time.monotonic,
            starts=[found[name]] if name in found else [],
            items=past.items,
            on_progress=report,
        )
        if trials[name].trials:
            found[name] = trials[name].settings
    if EnsembleRecommender.name in names:
        weights = _learn_weights(names, found, inner, past.items, part)
        found[EnsembleRecommender.name] = {"weights": weights}
    return found, {name: tuned.manifest() for name, tuned in trials.items()}


def _has_known_settings(name: str, before: Settings) -> bool:
    """Whether another version of this program has not left settings that are unknown by now."""
    known = {*ALGORITHMS[name].search_space, "weights"}
    return name in before and before[name].keys() <= known


def _learn_weights(
    names: Sequence[str],
    found: Settings,
    inner: Split,
    items: ItemFeatures | None,
    part: Part,
) -> Mapping[str, float]:
    report = part(f"weighing {EnsembleRecommender.name}", 25, 30)
    parts = {}
    for name in (name for name in EnsembleRecommender.part_types if name in names):
        report(0)
        model = make_recommender(name, found)
        with _left_out_if_it_fails(name, {}):
            parts[name] = model.fit(inner.train, items, inner.train_times)
    return learn_weights(parts, inner)


@dataclass
class _FittedModels:
    """Models fitted on the past, one after the other: composites stand on those before them.

    Attributes:
        kept: Those that a release may be made of.
        left_out: Why the others are not.
    """

    left_out: dict[str, str]
    kept: dict[str, Recommender] = field(default_factory=dict)
    judged: dict[str, EvaluatedLists] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def fit(
        self,
        name: str,
        past: TrainingData,
        found: Settings,
        split: Split,
        part: Part,
        start: float,
        end: float,
    ) -> None:
        """Fit and judge it; from `start` to `end` percent."""
        report = part(f"fitting {name}", start, (start + end) / 2)
        report(0)
        began_at = time.monotonic()
        model = make_recommender(name, found)
        model.on_progress = report
        with _left_out_if_it_fails(name, self.left_out):
            if isinstance(model, Composite):
                model.compose(self.kept)
            else:
                model.fit(*past)
            self.seconds[name] = time.monotonic() - began_at
            part(f"evaluating {name}", (start + end) / 2, end)(0)
            self.judged[name] = evaluate_lists(model, split, items=past.items)
            if reason := self._reason_against(model):
                self.left_out[name] = reason
                log.warning("%s is left out of the release: %s", name, reason)
            else:
                self.kept[name] = model

    def _reason_against(self, model: Recommender) -> str:
        """Why not to publish a model after all; an empty text for no reason."""
        if isinstance(model, Composite) and len(model.parts) < 2:
            return f"Of its parts the release has {', '.join(model.parts) or 'none'}."
        own, baseline = self.judged[model.name], self.judged[BASELINE]
        if model.must_beat_popularity and is_worse(own, baseline):
            ndcg, theirs = (Quality.of(lists).ndcg for lists in (own, baseline))
            return f"NDCG@10 {ndcg:.4f}, below {theirs:.4f} of {BASELINE}."
        return ""


def _span(start: float, end: float, place: int, count: int) -> tuple[float, float]:
    """Where one of several equal parts begins and ends."""
    return start + (end - start) * place / count, start + (end - start) * (place + 1) / count


def is_worse(own: EvaluatedLists, other: EvaluatedLists, *, margin: float = 0.0) -> bool:
    """Whether its lists for the same viewers are worse by more than the margin, a share of the
    other's NDCG, and not by chance."""
    return len(own.users) >= ENOUGH_USERS and is_significantly_worse(
        own.by_user["ndcg"], other.by_user["ndcg"], margin=margin
    )
