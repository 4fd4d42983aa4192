"""The films in the order of one algorithm, and of what stands in for it where it says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from movies.catalogue import Snapshot
from recommendations.data import History
from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.blending import Ranked, rank_with_fallback
from recommendations.engine.protocol import Scores
from recommendations.lists.candidates import Films
from recommendations.lists.explaining import Ground
from recommendations.lists.opinions import POPULARITY, Models, Opinion
from recommendations.lists.preferences import PREFERENCES, score_by_preferences
from recommendations.loading import LoadedRelease
from users.preferences.selectors import StatedPreferences

HYBRID = "hybrid"
FAVOURITES = "favourites"
PROGRAMME = "programme"
#: Whom to ask in which order; what none of them knows is ordered by date.
FOR_NEWCOMERS = (PREFERENCES, FAVOURITES, POPULARITY)
#: Who stands in for `hybrid`, where a release is without it.
STAND_IN = AlsRecommender.name


@dataclass(eq=False)
class Ranking:
    """What an algorithm makes of the films, for the viewer whose history is the `row`-th."""

    algorithm: str
    row: int
    snapshot: Snapshot
    models: Models
    get_stated: Callable[[], StatedPreferences]
    opinions: dict[str, Opinion] = field(default_factory=dict)
    stated: StatedPreferences = field(default_factory=StatedPreferences)

    @property
    def release(self) -> LoadedRelease:
        return self.models.release

    @property
    def films(self) -> Films:
        return self.models.films

    @property
    def history(self) -> History:
        return self.models.histories[self.row]

    def best(self, allowed: NDArray[np.bool_], n: int, *, pool: int | None = None) -> list[Ranked]:
        """The first n of the allowed films: by the models, and what none of them knows by date.

        Args:
            allowed: (n_films,) what may be listed.
            pool: Up to so many, n or more, by those models that are asked for n anyway.
        """
        ranked = rank_with_fallback(self._ask(), candidates=allowed, n=n, pool=pool)
        left = allowed.copy()
        left[[r.item for r in ranked]] = False
        by_date = np.flatnonzero(left)[: max(0, n - len(ranked))].tolist()
        return [*ranked, *(Ranked(film, 0.0, PROGRAMME) for film in by_date)]

    def _ask(self) -> Iterator[tuple[str, Scores]]:
        """What each has to say of the films, when its turn comes."""
        for name in self._chain():
            if opinion := self._opinion(name):
                self.opinions[name] = opinion
                yield name, opinion.scores

    def _chain(self) -> Sequence[str]:
        """The algorithm that was asked for, or else the hybrid; and what stands in for it."""
        known = self.release.recommenders
        if self.algorithm == POPULARITY:
            return (POPULARITY,)
        if self.algorithm != HYBRID and self.algorithm in known:
            return (self.algorithm, PREFERENCES, POPULARITY)
        if self.history.is_of_favourites:
            return FOR_NEWCOMERS
        return (HYBRID if HYBRID in known else STAND_IN, PREFERENCES, POPULARITY)

    def _opinion(self, name: str) -> Opinion | None:
        if name == PREFERENCES:
            return self._by_preferences()
        if name == FAVOURITES:
            if not len(self.history.movie_ids):
                return None
            said = self.models.say(HYBRID) or self.models.say(STAND_IN)
            return said.from_favourites(self.row, FAVOURITES) if said else None
        said = self.models.say(name)
        return said.to_viewer(self.row) if said else None

    def _by_preferences(self) -> Opinion | None:
        self.stated = self.get_stated()
        if not self.stated.genres and not self.stated.languages:
            return None
        scores = score_by_preferences(self.stated, self.films.ids, self.snapshot, self.release)
        return Opinion(scores, mark=PREFERENCES)

    def source(self, ranked: Ranked) -> str:
        """What put the film there: a part of a model, or what stands in for it."""
        opinion = self.opinions.get(ranked.source)
        return opinion.source(ranked.item) if opinion else ranked.source

    def heard_of(self, film: int) -> Ranked:
        """A film that came into a list past the ranking, by the first that says something."""
        for name, opinion in self.opinions.items():
            if (score := float(opinion.scores[film])) == score:
                return Ranked(film, score, name)
        return Ranked(film, 0.0, PROGRAMME)

    def ground(self, ranked: Ranked) -> Ground | None:
        """The model that put the film there; None for what none has."""
        opinion = self.opinions.get(ranked.source)
        part = opinion.part(ranked.item) if opinion else ""
        if not opinion or not opinion.model or not part:
            return None
        return Ground(opinion.model, opinion.parts[part], int(self.films.items[ranked.item]))
