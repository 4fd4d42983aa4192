"""Films that staff have pinned to places of a list."""

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


def pinned_movies(snapshot: Snapshot, scope: Scope, now: datetime) -> dict[int, int]:
    """The pinned movies' ids by place, counted from 1."""
    return {
        promotion.place: promotion.movie_id
        for promotion in _promotions_in_force(snapshot, scope, now)
        if promotion.place is not None
    }


def boosted_movies(snapshot: Snapshot, scope: Scope, now: datetime) -> dict[int, float]:
    """By movie what is added to its relevance; of several the strongest."""
    strengths: dict[int, float] = {}
    for promotion in _promotions_in_force(snapshot, scope, now):
        if promotion.strength is not None:
            before = strengths.get(promotion.movie_id, 0.0)
            strengths[promotion.movie_id] = max(before, promotion.strength)
    return strengths


def promotions_key(snapshot: Snapshot, scope: Scope, now: datetime) -> str:
    """Another one as soon as a list of the scope would be promoted otherwise; empty for nothing."""
    pinned = [
        f"{movie_id}@{place}" for place, movie_id in pinned_movies(snapshot, scope, now).items()
    ]
    boosted = [f"{movie_id}+{by}" for movie_id, by in boosted_movies(snapshot, scope, now).items()]
    return " ".join(sorted(pinned + boosted))


def _promotions_in_force(snapshot: Snapshot, scope: Scope, now: datetime) -> Iterator[Promotion]:
    for promotion in _promotions(snapshot):
        if promotion.scope in ("", scope) and promotion.state_at(now) == "current":
            yield promotion


@lru_cache(maxsize=2)
def _promotions(snapshot: Snapshot) -> Sequence[Promotion]:
    """Read once for a version of the catalogue: each write raises it. The clock does the rest."""
    return list(Promotion.objects.filter(ends_at__gt=timezone.now()).order_by("pk"))


@dataclass(frozen=True)
class ViewerExperiment:
    """An experiment as it concerns one viewer."""

    experiment_id: int
    user_id: int
    algorithms: Mapping[Team, str]

    def lots(self) -> np.random.Generator:
        """The same ones for each of the viewer's lists."""
        return np.random.default_rng([self.experiment_id, self.user_id])


def experiment_for(
    snapshot: Snapshot, user_id: int, now: datetime, algorithms: Container[str]
) -> ViewerExperiment | None:
    """What the viewer's default list is to try; None also where not both are among `algorithms`."""
    experiment = _concerning(snapshot, user_id, now)
    if experiment is None:
        return None
    teams = {A: experiment.algorithm_a, B: experiment.algorithm_b}
    if not all(name in algorithms for name in teams.values()):
        return None
    return ViewerExperiment(experiment.pk, user_id, teams)


def experiment_key(snapshot: Snapshot, user_id: int, now: datetime) -> str:
    """Another one as soon as the viewer's default list would be made otherwise; empty for none.

    To be read before the list is made: that is then never older than its key.
    """
    found = _concerning(snapshot, user_id, now)
    return f"{found.pk}:{found.algorithm_a}:{found.algorithm_b}" if found else ""


def _concerning(snapshot: Snapshot, user_id: int, now: datetime) -> Experiment | None:
    for experiment in _experiments(snapshot):
        if experiment.state_at(now) == "running":
            return experiment if _takes_part(experiment, user_id) else None
    return None


def _takes_part(experiment: Experiment, user_id: int) -> bool:
    """Whether the viewer is in the share. Who is in a share is in each larger one."""
    drawn = blake2b(f"{experiment.pk}:{user_id}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn) < experiment.share * 2**64


@lru_cache(maxsize=2)
def _experiments(snapshot: Snapshot) -> Sequence[Experiment]:
    """Read once for a version of the catalogue, which each write raises."""
    return list(Experiment.objects.filter(ends_at__gt=timezone.now()).order_by("starts_at"))


PIN = "pin"


def pinned_films(
    films: Candidates, allowed: NDArray[np.bool_], snapshot: Snapshot, scope: Scope
) -> dict[int, int]:
    """Which of the films are pinned now, by place counted from 0.

    Args:
        allowed: (n_films,) what may be listed: a pin puts nothing before a viewer who has seen it,
            or that is not to be seen.
    """
    pins = pinned_movies(snapshot, scope, timezone.now())
    found = {place - 1: np.flatnonzero(films.ids == movie_id) for place, movie_id in pins.items()}
    return {place: int(at[0]) for place, at in found.items() if len(at) and allowed[at[0]]}


def with_pinned(listed: Sequence[int], pinned: Mapping[int, int]) -> list[int]:
    """The list with each pinned item at its place, or at the end where it has no such place.

    Args:
        listed: Items in their order, none twice.
        pinned: Items by place, counted from 0.

    Returns:
        As many items, none twice: what is pinned from outside takes the place of the last ones.
    """
    items = [item for item in listed if item not in pinned.values()]
    for place, item in sorted(pinned.items()):
        if item not in items:
            items.insert(place, item)
    return items[: len(listed)]
