"""What goes into a list: the best by an algorithm, and some of it as new."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from django.conf import settings
from django.utils import timezone
from numpy.typing import NDArray

from movies import catalogue
from movies.catalogue import Snapshot
from recommendations.data import load_history
from recommendations.engine.blending import Ranked
from recommendations.engine.exploring import exploring_places, with_explored
from recommendations.engine.interleaving import A, B, team_draft
from recommendations.experiments.selectors import Trial, trial_for
from recommendations.impressions.unopened import shown_unopened
from recommendations.lists.arranging import arrange, series_apart
from recommendations.lists.candidates import Films, Scope, films_for
from recommendations.lists.explaining import explain
from recommendations.lists.exploring import EXPLORATION, is_new, turns
from recommendations.lists.opinions import Models
from recommendations.lists.preferences import PREFERENCES, reasons_by_preferences
from recommendations.lists.promoting import PIN, pinned_films, with_pinned
from recommendations.lists.ranking import HYBRID, PROGRAMME, Ranking
from recommendations.lists.reasons import NEW, POPULAR, REASONS_EACH, SHOWING, STAFF, Reason
from recommendations.loading import LoadedRelease
from recommendations.promotions import selectors as promotions
from users.preferences.selectors import StatedPreferences, get_preferences

LIST_LENGTH = 40


@dataclass(frozen=True)
class Item:
    rank: int
    movie_id: int
    score: float
    source: str
    reasons: Sequence[Reason]
    #: Whose order it is, and whether something else had to stand in for it.
    algorithm: str = ""
    is_fallback: bool = False
    #: Of an experiment, if it is one that put the film there.
    team: str = ""
    experiment: int | None = None


@dataclass(frozen=True)
class Question:
    """What is asked for, whoever asks."""

    scope: Scope
    algorithm: str
    days: int


@dataclass(frozen=True)
class Place:
    """A film in the list, by whose order, and why it stands there if not by its rank alone."""

    ranked: Ranked
    ranking: Ranking
    mark: str = ""
    team: str = ""

    @property
    def film(self) -> int:
        return self.ranked.item

    @property
    def source(self) -> str:
        return self.mark or self.ranking.source(self.ranked)

    @property
    def is_fallback(self) -> bool:
        return not self.mark and self.ranked.source != self.ranking.algorithm


@dataclass(eq=False)
class Choice:
    """One list in the making, for the viewer whose history is the `row`-th in `models`."""

    user_id: int
    row: int
    question: Question
    snapshot: Snapshot
    models: Models
    get_stated: Callable[[], StatedPreferences]
    #: By movie id in how many lists of late the viewer was shown it and did not open it.
    get_unopened: Callable[[], Mapping[int, int]] = dict

    @property
    def films(self) -> Films:
        return self.models.films

    @cached_property
    def ranking(self) -> Ranking:
        return self._by(self.question.algorithm)

    def _by(self, algorithm: str) -> Ranking:
        return Ranking(algorithm, self.row, self.snapshot, self.models, self.get_stated)

    @cached_property
    def trial(self) -> Trial | None:
        """Of an experiment; whoever asks for a certain algorithm gets that."""
        if self.question.algorithm != HYBRID:
            return None
        known = self.models.release.recommenders
        return trial_for(self.snapshot, self.user_id, timezone.now(), known)

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """(n_films,) all but what the viewer has had to do with."""
        history = self.models.histories[self.row]
        return ~np.isin(self.films.ids, history.movie_ids)

    @cached_property
    def unopened(self) -> Mapping[int, int]:
        return self.get_unopened() if settings.FRESHNESS else {}

    def items(self, *, limit: int = LIST_LENGTH, with_reasons: bool = True) -> list[Item]:
        """The first `limit` of the list, which is the same one for each limit."""
        places = self._series_apart(self._with_pins(self._with_new(self._ranked())))[:limit]
        reasons = self._reasons(places) if with_reasons else [[] for _ in places]
        return [
            Item(
                rank,
                int(self.films.ids[place.film]),
                place.ranked.score,
                place.source,
                why,
                place.ranking.algorithm,
                place.is_fallback,
                place.team,
                self.trial.experiment_id if self.trial and place.team else None,
            )
            for rank, (place, why) in enumerate(zip(places, reasons, strict=True), start=1)
        ]

    def _ranked(self) -> list[Place]:
        return self._interleaved(self.trial) if self.trial else self.arranged(self.ranking)

    def arranged(self, ranking: Ranking) -> list[Place]:
        """As the default shows it; whoever asks for a certain algorithm gets its own order."""
        if self.question.algorithm != HYBRID:
            best = ranking.best(self.allowed, LIST_LENGTH)
        else:
            boosts = promotions.boosts(self.snapshot, self.question.scope, timezone.now())
            best = arrange(
                ranking, self.allowed, LIST_LENGTH, boosts=boosts, unopened=self.unopened
            )
        return [Place(ranked, ranking) for ranked in best]

    def _interleaved(self, trial: Trial) -> list[Place]:
        """What two algorithms would list, each as if it were alone, in one list."""
        teams = {
            team: self.ranking if algorithm == HYBRID else self._by(algorithm)
            for team, algorithm in trial.algorithms.items()
        }
        if self.ranking not in teams.values():
            # What new films and pins go by, for them to be the same whatever is tried.
            self.ranking.best(self.allowed, LIST_LENGTH)
        by_film = {
            team: {place.film: replace(place, team=team) for place in self.arranged(ranking)}
            for team, ranking in teams.items()
        }
        drafted = team_draft([*by_film[A]], [*by_film[B]], LIST_LENGTH, trial.lots())
        return [by_film[team][film] for film, team in drafted]

    def _with_new(self, places: list[Place]) -> list[Place]:
        """The same with some places for films that are new."""
        new_ones = exploring_places(settings.EXPLORATION_SHARE, len(places))
        if not new_ones or not self._explores:
            return places
        said = [opinion.scores for opinion in self.ranking.opinions.values()]
        release = self.models.release
        drawn = turns(self.user_id, self.films, self.allowed, said, self.snapshot, release)
        by_film = {place.film: place for place in places}
        order, explored = with_explored(list(by_film), drawn, new_ones)
        return [
            Place(self.ranking.heard_of(film), self.ranking, EXPLORATION)
            if film in explored
            else by_film[film]
            for film in order
        ]

    def _with_pins(self, places: list[Place]) -> list[Place]:
        """The same with what staff have pinned; whoever asks for a certain algorithm gets that."""
        if self.question.algorithm != HYBRID:
            return places
        pinned = pinned_films(self.films, self.allowed, self.snapshot, self.question.scope)
        by_film = {place.film: place for place in places}
        for film in pinned.values():
            by_film[film] = Place(self.ranking.heard_of(film), self.ranking, PIN)
        return [by_film[film] for film in with_pinned([place.film for place in places], pinned)]

    def _series_apart(self, places: list[Place]) -> list[Place]:
        """The same without two of one series at the beginning, whatever is asked for."""
        movie_ids = self.films.ids[[place.film for place in places]].tolist()
        pinned = {at for at, place in enumerate(places) if place.mark == PIN}
        order = series_apart(movie_ids, self.snapshot, fixed=pinned)
        return [places[at] for at in order]

    @property
    def _explores(self) -> bool:
        """Whoever asks for a certain algorithm gets that; without a release all films are new."""
        return self.question.algorithm == HYBRID and self.models.release.id is not None

    def _reasons(self, places: Sequence[Place]) -> list[Sequence[Reason]]:
        past = self.models.past.viewer(self.row)
        grounds = [place.ranking.ground(place.ranked) for place in places]
        by_models = explain(grounds, past, self.models.release, self.snapshot)
        return [self._why(place, said) for place, said in zip(places, by_models, strict=True)]

    def _why(self, place: Place, by_model: Sequence[Reason]) -> Sequence[Reason]:
        why = by_model
        if place.ranked.source == PREFERENCES:
            movie_id = int(self.films.ids[place.film])
            why = reasons_by_preferences(place.ranking.stated, movie_id, self.snapshot)
        if place.mark in (PIN, EXPLORATION):
            first = STAFF if place.mark == PIN else NEW
            return [first, *(each for each in why if each.kind != POPULAR.kind)][:REASONS_EACH]
        if place.ranked.source == PROGRAMME:
            if self.question.scope == "programme":
                return [SHOWING]
            release = self.models.release
            return [NEW] if is_new(place.film, self.films, self.snapshot, release) else []
        return why


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
        get_unopened=lambda: shown_unopened([user_id])[user_id],
    )
    return choice.items()
