"""What goes into a list: by the models and by preferences, then by date, and some of it as new."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from django.conf import settings

from movies import catalogue
from movies.catalogue import Snapshot
from recommendations.data import History, load_history
from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.blending import Ranked, rank_with_fallback
from recommendations.engine.exploring import exploring_places, with_explored
from recommendations.engine.protocol import Scores
from recommendations.lists.candidates import Films, Scope, films_for
from recommendations.lists.explaining import Ground, explain
from recommendations.lists.exploring import EXPLORATION, turns
from recommendations.lists.opinions import POPULARITY, Models, Opinion
from recommendations.lists.preferences import (
    PREFERENCES,
    reasons_by_preferences,
    score_by_preferences,
)
from recommendations.lists.reasons import NEW, POPULAR, REASONS_EACH, SHOWING, Reason
from recommendations.loading import LoadedRelease
from users.preferences.selectors import StatedPreferences, get_preferences

HYBRID = "hybrid"
FAVOURITES = "favourites"
PROGRAMME = "programme"
#: Whom to ask in which order; what none of them knows is ordered by date.
FOR_NEWCOMERS = (PREFERENCES, FAVOURITES, POPULARITY)
#: Who stands in for `hybrid`, where a release is without it.
STAND_IN = AlsRecommender.name
LIST_LENGTH = 40


@dataclass(frozen=True)
class Item:
    rank: int
    movie_id: int
    score: float
    source: str
    reasons: Sequence[Reason]


@dataclass(frozen=True)
class Question:
    """What is asked for, whoever asks."""

    scope: Scope
    algorithm: str
    days: int


@dataclass(eq=False)
class Choice:
    """One list in the making, for the viewer whose history is the `row`-th in `models`."""

    user_id: int
    row: int
    question: Question
    snapshot: Snapshot
    models: Models
    get_stated: Callable[[], StatedPreferences]
    opinions: dict[str, Opinion] = field(default_factory=dict)

    @property
    def release(self) -> LoadedRelease:
        return self.models.release

    @property
    def films(self) -> Films:
        return self.models.films

    @property
    def history(self) -> History:
        return self.models.histories[self.row]

    def items(self, *, limit: int = LIST_LENGTH, with_reasons: bool = True) -> list[Item]:
        """The first `limit` of the list, which is the same one for each limit."""
        order, ranked, explored = self._order()
        chosen = [ranked.get(film) or self._heard_of(film) for film in order[:limit]]
        reasons = self._reasons(chosen, explored) if with_reasons else [[] for _ in chosen]
        return [
            Item(
                rank,
                int(self.films.ids[r.item]),
                r.score,
                EXPLORATION if r.item in explored else self._source(r),
                why,
            )
            for rank, (r, why) in enumerate(zip(chosen, reasons, strict=True), start=1)
        ]

    def _order(self) -> tuple[list[int], dict[int, Ranked], set[int]]:
        """Rank by the models, each behind the one that it stands in for, and the rest by date.

        Returns:
            The films in their order, how each was ranked, and those that are there as new.
        """
        allowed = ~np.isin(self.films.ids, self.history.movie_ids)
        ranked = rank_with_fallback(self._ask(), candidates=allowed, n=LIST_LENGTH)
        listed = {r.item: r for r in ranked}
        left = allowed.copy()
        left[list(listed)] = False
        by_date = np.flatnonzero(left)[: LIST_LENGTH - len(listed)].tolist()
        listed |= {film: Ranked(film, 0.0, PROGRAMME) for film in by_date}
        places = exploring_places(settings.EXPLORATION_SHARE, len(listed))
        if not places or not self._explores:
            return list(listed), listed, set()
        said = [opinion.scores for opinion in self.opinions.values()]
        drawn = turns(self.user_id, self.films, allowed, said, self.snapshot, self.release)
        order, explored = with_explored(list(listed), drawn, places)
        return order, listed, explored

    @property
    def _explores(self) -> bool:
        """Whoever asks for a certain algorithm gets that; without a release all films are new."""
        return self.question.algorithm == HYBRID and self.release.id is not None

    def _ask(self) -> Iterator[tuple[str, Scores]]:
        """What each has to say of the films, when its turn comes."""
        for name in self._chain():
            if opinion := self._opinion(name):
                self.opinions[name] = opinion
                yield name, opinion.scores

    def _chain(self) -> Sequence[str]:
        """The algorithm that was asked for, or else the hybrid; and what stands in for it."""
        asked, known = self.question.algorithm, self.release.recommenders
        if asked == POPULARITY:
            return (POPULARITY,)
        if asked != HYBRID and asked in known:
            return (asked, PREFERENCES, POPULARITY)
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

    def _source(self, ranked: Ranked) -> str:
        opinion = self.opinions.get(ranked.source)
        return opinion.source(ranked.item) if opinion else ranked.source

    def _heard_of(self, film: int) -> Ranked:
        """A film that came into the list past the ranking, by the first that says something."""
        for name, opinion in self.opinions.items():
            if (score := float(opinion.scores[film])) == score:
                return Ranked(film, score, name)
        return Ranked(film, 0.0, PROGRAMME)

    def _reasons(self, chosen: Sequence[Ranked], explored: set[int]) -> list[Sequence[Reason]]:
        past = self.models.past.viewer(self.row)
        grounds = [self._ground(ranked) for ranked in chosen]
        by_models = explain(grounds, past, self.release, self.snapshot)
        reasons: list[Sequence[Reason]] = []
        for ranked, by_model in zip(chosen, by_models, strict=True):
            why = by_model
            if ranked.source == PREFERENCES:
                movie_id = int(self.films.ids[ranked.item])
                why = reasons_by_preferences(self.stated, movie_id, self.snapshot)
            if ranked.item in explored:
                why = [NEW, *(reason for reason in why if reason != POPULAR)][:REASONS_EACH]
            elif ranked.source == PROGRAMME:
                why = [SHOWING if self.question.scope == "programme" else NEW]
            reasons.append(why)
        return reasons

    def _ground(self, ranked: Ranked) -> Ground | None:
        opinion = self.opinions.get(ranked.source)
        part = opinion.part(ranked.item) if opinion else ""
        if not opinion or not part:
            return None
        return Ground(opinion.parts[part], int(self.films.items[ranked.item]))


def choose_items(
    user_id: int, release: LoadedRelease, scope: Scope, algorithm: str, days: int
) -> list[Item]:
    """The viewer's list, the first item first."""
    snapshot = catalogue.current().snapshot
    choice = Choice(
        user_id,
        row=0,
        question=Question(scope, algorithm, days),
        snapshot=snapshot,
        models=Models(release, films_for(scope, days, snapshot, release), [load_history(user_id)]),
        get_stated=lambda: get_preferences(user_id),
    )
    return choice.items()
