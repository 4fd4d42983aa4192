"""Why a movie stands in a list, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies.catalogue import Snapshot
from recommendations.engine.blending import Ranked
from recommendations.engine.explaining import strongest_entries
from recommendations.loading import LoadedRelease
from recommendations.weighing import Evidence, weight_table

REASONS_EACH = 2


@dataclass(frozen=True)
class Reason:
    kind: str
    text: str
    movie_id: int | None = None


NEW = Reason("new", "New here")
SHOWING = Reason("showing", "Showing soon")
POPULAR = Reason("popular", "Many viewers here like it")


@dataclass(frozen=True, eq=False)
class Past:
    """A viewer's history as a release knows it; all are (1, n_items) of the same sparsity.

    Attributes:
        weights: float32.
        kinds: `Evidence`.
        times: float64 Unix seconds.
    """

    weights: csr_matrix
    kinds: csr_matrix
    times: csr_matrix


def explain(
    release: LoadedRelease,
    past: Past,
    ranked: Sequence[Ranked],
    items: NDArray[np.integer],
    snapshot: Snapshot,
) -> list[list[Reason]]:
    """For each that a model has ranked the movies of the viewer that did most for it, or that
    others like it; `items` has the columns of the release."""
    reasons: list[list[Reason]] = [[] for _ in ranked]
    for name, recommender in release.recommenders.items():
        places = [place for place, r in enumerate(ranked) if r.source == name]
        if not places:
            continue
        parts = recommender.contributions(past.weights, items[places])
        if parts is None:
            for place in places:
                if ranked[place].score > 0:
                    reasons[place].append(POPULAR)
            continue
        entries = strongest_entries(parts, at_most=REASONS_EACH)
        movie_ids = release.items.ids[past.weights.indices].tolist()
        cards = snapshot.cards({movie_ids[entry] for row in entries for entry in row})
        for place, row in zip(places, entries, strict=True):
            reasons[place] += [
                _because(past, entry, movie_ids[entry], cards[movie_ids[entry]].name)
                for entry in row
                if movie_ids[entry] in cards
            ]
    return reasons


def _because(past: Past, entry: int, movie_id: int, name: str) -> Reason:
    """Who has seen a movie and said no more need not have liked it."""
    kind = past.kinds.data[entry]
    if kind == Evidence.CHECK_IN:
        return Reason("watched", f"Because you watched {name} here", movie_id)
    if kind == Evidence.FAVOURITE:
        return Reason("favourite", f"Because {name} is a favourite of yours", movie_id)
    if past.weights.data[entry] > weight_table()[Evidence.SEEN, 0]:
        return Reason("liked", f"Because you liked {name}", movie_id)
    return Reason("seen", f"Because you saw {name}", movie_id)


def in_words(names: Sequence[str]) -> str:
    """Such as "Drama, Music and War"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
