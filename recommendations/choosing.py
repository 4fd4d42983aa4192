"""What goes into a list: by the models and by preferences, then by date."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies import catalogue
from movies.catalogue import Snapshot
from recommendations.data import History, load_history
from recommendations.engine.blending import Ranked, rank_with_fallback
from recommendations.engine.ids import values_at
from recommendations.engine.protocol import Scores
from recommendations.loading import LoadedRelease
from recommendations.preferences import (
    PREFERENCES,
    reasons_by_preferences,
    score_by_preferences,
)
from recommendations.reasons import NEW, SHOWING, Past, Reason, explain
from users.preferences.selectors import StatedPreferences, get_preferences

Scope = Literal["catalogue", "programme"]

PROGRAMME = "programme"
#: Whom to ask in which order; what none of them knows is ordered by date.
FALLBACK = ("als", PREFERENCES, "popularity")
LIST_LENGTH = 40


@dataclass(frozen=True)
class Item:
    rank: int
    movie_id: int
    score: float
    source: str
    reasons: Sequence[Reason]


@dataclass(frozen=True, eq=False)
class Films:
    """What may be listed, by date.

    Attributes:
        ids: (n_films,) int64.
        items: (n_films,) int32, the column of each in the release; -1 for what that does not know.
    """

    ids: NDArray[np.int64]
    items: NDArray[np.int32]

    @classmethod
    def of(cls, movie_ids: Sequence[int], release: LoadedRelease) -> Films:
        ids = np.array(movie_ids, dtype=np.int64)
        return cls(ids, release.items.indices(ids))

    def scores(self, of_items: Scores) -> Scores:
        """(n_films,) from (n_items,); NaN for what the release does not know."""
        return values_at(self.items, of_items)


@dataclass(frozen=True, eq=False)
class _Choice:
    """One list in the making."""

    user_id: int
    snapshot: Snapshot
    release: LoadedRelease
    films: Films
    history: History

    @cached_property
    def past(self) -> Past:
        """The viewer's history as the release knows it: (1, n_items) each."""
        return Past(
            weights=_as_row(self.release, self.history.movie_ids, self.history.weights),
            kinds=_as_row(self.release, self.history.movie_ids, self.history.kinds),
            times=_as_row(self.release, self.history.movie_ids, self.history.seconds),
        )

    @cached_property
    def stated(self) -> StatedPreferences:
        """Asked for only when the models before leave room."""
        return get_preferences(self.user_id)

    def opinions(self, models: Sequence[str]) -> Iterator[tuple[str, Scores]]:
        """What each has to say of the films, when its turn comes."""
        for name in models:
            if name == PREFERENCES:
                if self.stated.genres or self.stated.languages:
                    yield name, self._by_preferences()
            elif name in self.release.recommenders:
                recommender = self.release.recommenders[name]
                scores = recommender.score(self.past.weights, self.past.times)[0]
                yield name, self.films.scores(scores)

    def _by_preferences(self) -> Scores:
        return score_by_preferences(self.stated, self.films.ids, self.snapshot, self.release)

    def reasons(self, ranked: Sequence[Ranked]) -> list[Sequence[Reason]]:
        items = self.films.items[[r.item for r in ranked]]
        by_models = explain(self.release, self.past, ranked, items, self.snapshot)
        return [
            self._reasons_by_preferences(r) if r.source == PREFERENCES else why
            for r, why in zip(ranked, by_models, strict=True)
        ]

    def _reasons_by_preferences(self, ranked: Ranked) -> Sequence[Reason]:
        movie_id = int(self.films.ids[ranked.item])
        return reasons_by_preferences(self.stated, movie_id, self.snapshot)


def choose_items(
    user_id: int, release: LoadedRelease, scope: Scope, algorithm: str, days: int
) -> list[Item]:
    """Rank by the models, each behind the one that it stands in for, and the rest by date."""
    snapshot = catalogue.current().snapshot
    films = (
        Films.of(snapshot.showing(days), release)
        if scope == "programme"
        else _published(snapshot, release)
    )
    choice = _Choice(user_id, snapshot, release, films, load_history(user_id))
    left = ~np.isin(films.ids, choice.history.movie_ids)
    opinions = choice.opinions(models_for(algorithm))
    ranked = rank_with_fallback(opinions, candidates=left, n=LIST_LENGTH)
    items = [
        Item(rank, int(films.ids[r.item]), r.score, r.source, why)
        for rank, (r, why) in enumerate(zip(ranked, choice.reasons(ranked), strict=True), start=1)
    ]
    left[[r.item for r in ranked]] = False
    why = SHOWING if scope == "programme" else NEW
    newest = films.ids[left][: LIST_LENGTH - len(items)].tolist()
    for rank, pk in enumerate(newest, start=len(items) + 1):
        items.append(Item(rank, pk, 0.0, PROGRAMME, [why]))
    return items


def models_for(algorithm: str) -> Sequence[str]:
    """The algorithm and what stands in for it."""
    return FALLBACK[FALLBACK.index(algorithm) :] if algorithm in FALLBACK else FALLBACK


@lru_cache(maxsize=2)
def _published(snapshot: Snapshot, release: LoadedRelease) -> Films:
    return Films.of(snapshot.published, release)


def _as_row(
    release: LoadedRelease, movie_ids: NDArray[np.int64], values: NDArray[np.number]
) -> csr_matrix:
    """(1, n_items) of the values; what the release does not know is left out."""
    indices = release.items.indices(movie_ids)
    known = indices >= 0
    row = (values[known], indices[known], np.array([0, known.sum()]))
    return csr_matrix(row, shape=(1, len(release.items)))
