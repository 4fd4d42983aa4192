"""By what films a film was found: the reasons of the models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from movies.catalogue import Snapshot
from recommendations.engine.explaining import strongest_entries
from recommendations.engine.protocol import Recommender
from recommendations.lists.opinions import POPULARITY, Past
from recommendations.lists.reasons import FITS, POPULAR, REASONS_EACH, Reason
from recommendations.lists.sharing import in_common
from recommendations.loading import LoadedRelease
from recommendations.makings import CONTENT
from recommendations.weighing import Evidence, weight_table


@dataclass(frozen=True)
class Ground:
    """The model that put a film into a list, and the film's column in the release."""

    model: Recommender
    item: int


def explain(
    grounds: Sequence[Ground | None], past: Past, release: LoadedRelease, snapshot: Snapshot
) -> list[list[Reason]]:
    """For each the films of the viewer that did most for it, or that others like it.

    Args:
        grounds: None for what no model has put there.
        past: (1, n_items) each.
    """
    reasons: list[list[Reason]] = [[] for _ in grounds]
    by_model: dict[int, list[int]] = {}
    for place, ground in enumerate(grounds):
        if ground is not None:
            by_model.setdefault(id(ground.model), []).append(place)
    for places in by_model.values():
        asked = [ground for place in places if (ground := grounds[place])]
        items = np.array([ground.item for ground in asked])
        found = _explain(asked[0].model, items, past, release, snapshot)
        for place, why in zip(places, found, strict=True):
            reasons[place] = why
    return reasons


def _explain(
    model: Recommender,
    items: NDArray[np.integer],
    past: Past,
    release: LoadedRelease,
    snapshot: Snapshot,
) -> list[list[Reason]]:
    if model.name == POPULARITY:
        liked = model.score(past.weights)[0, items] > 0
        return [[POPULAR] if it_is else [] for it_is in liked]
    parts = model.contributions(past.weights, items)
    if parts is None:
        return [[FITS] for _ in items]
    if model.name == CONTENT:
        return _by_what_is_shared(items, parts, past, release, snapshot)
    entries = strongest_entries(parts, at_most=REASONS_EACH)
    because = _Because(past, release, snapshot, {entry for row in entries for entry in row})
    return [[why for entry in row if (why := because(entry))] for row in entries]


def _by_what_is_shared(
    items: NDArray[np.integer],
    parts: NDArray[np.float64],
    past: Past,
    release: LoadedRelease,
    snapshot: Snapshot,
) -> list[list[Reason]]:
    """The film of the viewer that is most like it, and what the two have in common."""
    entries = strongest_entries(parts, at_most=1)
    because = _Because(past, release, snapshot, {entry for row in entries for entry in row})
    ids = release.items.ids[items].tolist()
    pairs = {
        (pk, why.movie_id): why
        for pk, row in zip(ids, entries, strict=True)
        for entry in row
        if (why := because(entry)) and why.movie_id
    }
    shared = in_common(pairs, snapshot)
    found = {
        pair[0]: replace(why, text=f"{why.text}: {shared[pair]}") if shared[pair] else why
        for pair, why in pairs.items()
    }
    return [[found[pk]] if pk in found else [] for pk in ids]


class _Because:
    """Names the entries of a viewer's history."""

    def __init__(
        self, past: Past, release: LoadedRelease, snapshot: Snapshot, entries: Iterable[int]
    ) -> None:
        ids = release.items.ids[past.weights.indices]
        movie_ids = {entry: int(ids[entry]) for entry in entries}
        cards = snapshot.cards(movie_ids.values())
        self._reasons = {
            entry: _because(past, entry, movie_id, cards[movie_id].name)
            for entry, movie_id in movie_ids.items()
            if movie_id in cards
        }

    def __call__(self, entry: int) -> Reason | None:
        """None for a film that is not published any more."""
        return self._reasons.get(entry)


def _because(past: Past, entry: int, movie_id: int, name: str) -> Reason:
    """Who has seen a movie and said no more need not have liked it."""
    kind = int(past.kinds.data[entry])
    if kind == Evidence.CHECK_IN:
        return Reason("watched", f"Because you watched {name} here", movie_id)
    if kind == Evidence.FAVOURITE:
        return Reason("favourite", f"Because {name} is a favourite of yours", movie_id)
    if past.weights.data[entry] > weight_table()[Evidence.SEEN, 0]:
        return Reason("liked", f"Because you liked {name}", movie_id)
    return Reason("seen", f"Because you saw {name}", movie_id)
