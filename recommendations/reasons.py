"""Why a movie stands in a list, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from movies.catalogue import Snapshot
from recommendations.engine.blending import Ranked
from recommendations.engine.explaining import strongest_entries
from recommendations.loading import LoadedRelease
from recommendations.models import Interaction
from recommendations.weighing import weight_table

REASONS_EACH = 2


@dataclass(frozen=True)
class Reason:
    kind: str
    text: str
    movie_id: int | None = None


NEW = Reason("new", "New here")
SHOWING = Reason("showing", "Showing soon")
POPULAR = Reason("popular", "Many viewers here like it")


def explain(
    release: LoadedRelease, history: csr_matrix, ranked: Sequence[Ranked], snapshot: Snapshot
) -> list[list[Reason]]:
    """For each item the movies of the viewer that did most for it, or that others like it."""
    reasons: list[list[Reason]] = [[] for _ in ranked]
    for name, recommender in release.recommenders.items():
        places = [place for place, r in enumerate(ranked) if r.source == name]
        if not places:
            continue
        parts = recommender.contributions(history, np.array([ranked[p].item for p in places]))
        if parts is None:
            for place in places:
                if ranked[place].score > 0:
                    reasons[place].append(POPULAR)
            continue
        entries = strongest_entries(parts, at_most=REASONS_EACH)
        movie_ids = release.items.ids[history.indices].tolist()
        cards = snapshot.cards({movie_ids[entry] for row in entries for entry in row})
        for place, row in zip(places, entries, strict=True):
            reasons[place] += [
                _because(movie_ids[entry], cards[movie_ids[entry]].name, history.data[entry])
                for entry in row
                if movie_ids[entry] in cards
            ]
    return reasons


def _because(movie_id: int, name: str, weight: np.float32) -> Reason:
    """Who has seen a movie and said no more need not have liked it."""
    if weight > weight_table()[Interaction.Kind.SEEN, 0]:
        return Reason("liked", f"Because you liked {name}", movie_id)
    return Reason("seen", f"Because you saw {name}", movie_id)
