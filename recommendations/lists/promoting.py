"""Films that staff have pinned to places of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from django.utils import timezone
from numpy.typing import NDArray

from movies.catalogue import Snapshot
from recommendations.lists.candidates import Films, Scope
from recommendations.promotions import selectors

PIN = "pin"


def pinned_films(
    films: Films, allowed: NDArray[np.bool_], snapshot: Snapshot, scope: Scope
) -> dict[int, int]:
    """Which of the films are pinned now, by place counted from 0.

    Args:
        allowed: (n_films,) what may be listed: a pin puts nothing before a viewer who has seen it,
            or that is not to be seen.
    """
    pins = selectors.pins(snapshot, scope, timezone.now())
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
