"""Promotions and experiments that are in force in a viewer's list."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from django.utils import timezone
from numpy.typing import NDArray

from movies.catalogue import Snapshot
from recommendations.engine.ranking.exploration import A, B, Team
from recommendations.lists.scores import Candidates, Scope
from recommendations.models import Experiment, Promotion

PIN = "pin"


def pinned_movies(snapshot: Snapshot, scope: Scope, now: datetime) -> dict[int, int]:
    """The ids of pinned movies by place, counted from 1."""
    return {
        promotion.place: promotion.movie_id
        for promotion in _promotions_in_force(snapshot, scope, now)
        if promotion.place is not None
    }


def boosted_movies(snapshot: Snapshot, scope: Scope, now: datetime) -> dict[int, float]:
    """The strongest boost by movie id, which is added to the relevance."""
    strengths: dict[int, float] = {}
    for promotion in _promotions_in_force(snapshot, scope, now):
        if promotion.strength is not None:
            before = strengths.get(promotion.movie_id, 0.0)
            strengths[promotion.movie_id] = max(before, promotion.strength)
    return strengths


def promotions_key(snapshot: Snapshot, scope: Scope, now: datetime) -> str:
    """It changes with the promotions in force in lists of this scope; empty for none."""
    pins, boosts = pinned_movies(snapshot, scope, now), boosted_movies(snapshot, scope, now)
    pinned = [f"{movie_id}@{place}" for place, movie_id in pins.items()]
    boosted = [f"{movie_id}+{strength}" for movie_id, strength in boosts.items()]
    return " ".join(sorted(pinned + boosted))


def _promotions_in_force(snapshot: Snapshot, scope: Scope, now: datetime) -> Iterator[Promotion]:
    for promotion in _promotions(snapshot):
        if promotion.scope in ("", scope) and promotion.state_at(now) == "current":
            yield promotion


@lru_cache(maxsize=2)
def _promotions(snapshot: Snapshot) -> Sequence[Promotion]:
    """Each write raises the catalogue's version, and the clock decides about the rest."""
    return list(Promotion.objects.filter(ends_at__gt=timezone.now()).order_by("pk"))


def pinned_candidates(
    candidates: Candidates, allowed: NDArray[np.bool_], snapshot: Snapshot, scope: Scope
) -> dict[int, int]:
    """Indices of the pinned candidates by place, counted from 0.

    Args:
        allowed: (n_movies,) True for a movie that may be listed; a pin does not overrule it.
    """
    pins = pinned_movies(snapshot, scope, timezone.now())
    found = {place - 1: candidates.places([pk]).tolist() for place, pk in pins.items()}
    return {place: at[0] for place, at in found.items() if at and allowed[at[0]]}


def with_pinned(listed: Sequence[int], pinned: Mapping[int, int]) -> list[int]:
    """The list with each pinned item at its place, or at the end of a shorter list.

    Args:
        listed: Different items in their order.
        pinned: Items by place, counted from 0.

    Returns:
        As many different items: a pinned item from outside replaces the last one.
    """
    items = [item for item in listed if item not in pinned.values()]
    for place, item in sorted(pinned.items()):
        if item not in items:
            items.insert(place, item)
    return items[: len(listed)]


@dataclass(frozen=True)
class ViewerExperiment:
    """The experiment that a viewer takes part in."""

    experiment_id: int
    user_id: int
    algorithms: Mapping[Team, str]

    def random_generator(self) -> np.random.Generator:
        """It draws the same numbers for each of the viewer's lists."""
        return np.random.default_rng([self.experiment_id, self.user_id])


def experiment_for(
    snapshot: Snapshot, user_id: int, now: datetime, algorithms: Container[str]
) -> ViewerExperiment | None:
    """The experiment of the viewer's default list, if both of its algorithms are available."""
    experiment = _experiment_of(snapshot, user_id, now)
    if experiment is None:
        return None
    teams = {A: experiment.algorithm_a, B: experiment.algorithm_b}
    if not all(name in algorithms for name in teams.values()):
        return None
    return ViewerExperiment(experiment.pk, user_id, teams)


def experiment_key(snapshot: Snapshot, user_id: int, now: datetime) -> str:
    """It changes with the viewer's experiment; empty for none.

    Read it before the list is made: the list is then never older than its key.
    """
    found = _experiment_of(snapshot, user_id, now)
    return f"{found.pk}:{found.algorithm_a}:{found.algorithm_b}" if found else ""


def _experiment_of(snapshot: Snapshot, user_id: int, now: datetime) -> Experiment | None:
    for experiment in _experiments(snapshot):
        if experiment.state_at(now) == "running":
            return experiment if _takes_part(experiment, user_id) else None
    return None


def _takes_part(experiment: Experiment, user_id: int) -> bool:
    """Whether the viewer is in the share: a larger share keeps the viewers of a smaller one."""
    drawn = blake2b(f"{experiment.pk}:{user_id}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn) < experiment.share * 2**64


@lru_cache(maxsize=2)
def _experiments(snapshot: Snapshot) -> Sequence[Experiment]:
    """Each write raises the catalogue's version."""
    return list(Experiment.objects.filter(ends_at__gt=timezone.now()).order_by("starts_at"))
