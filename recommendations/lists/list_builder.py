"""What goes into a list: the best by an algorithm, and some of it as new."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import islice
from typing import NamedTuple

import numpy as np
from django.conf import settings
from django.utils import timezone
from numpy.typing import NDArray

from movies import catalogue
from movies.catalogue import Snapshot
from recommendations.content_similarity import Reason
from recommendations.dataset import load_histories, load_history
from recommendations.engine.ranking.candidates import Ranked
from recommendations.engine.ranking.exploration import (
    A,
    B,
    exploration_slots,
    insert_explored,
    team_draft,
)
from recommendations.impressions.storage import TimesShown, shown_unopened
from recommendations.lists import campaigns
from recommendations.lists.campaigns import (
    PIN,
    ViewerExperiment,
    experiment_for,
    pinned_films,
    with_pinned,
)
from recommendations.lists.item_features import EXPLORATION, exploration_order, is_new
from recommendations.lists.ranking import (
    HYBRID,
    PROGRAMME,
    Ranking,
    rerank_candidates,
    series_apart,
)
from recommendations.lists.reasons import (
    NEW,
    POPULAR,
    REASONS_EACH,
    SHOWING,
    STAFF,
    explain,
    reasons_by_preferences,
)
from recommendations.lists.scores import (
    PREFERENCES,
    Candidates,
    ReleaseScorer,
    Scope,
    candidates_for,
)
from recommendations.releases import LoadedRelease, loaded_release
from users.models import User
from users.preferences import StatedPreferences, stated_preferences, stated_preferences_by_user

LIST_LENGTH = 40


@dataclass(frozen=True)
class ListItem:
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
class ListQuery:
    """What is asked for, whoever asks."""

    scope: Scope
    algorithm: str
    days: int


@dataclass(frozen=True)
class ListSlot:
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
class ListBuilder:
    """One list in the making, for the viewer whose history is the `row`-th in `models`."""

    user_id: int
    row: int
    question: ListQuery
    snapshot: Snapshot
    models: ReleaseScorer
    get_stated: Callable[[], StatedPreferences]
    #: By movie id in how many lists of late the viewer was shown it and did not open it.
    get_unopened: Callable[[], Mapping[int, int]] = dict

    @property
    def films(self) -> Candidates:
        return self.models.films

    @cached_property
    def ranking(self) -> Ranking:
        return self._by(self.question.algorithm)

    def _by(self, algorithm: str) -> Ranking:
        return Ranking(algorithm, self.row, self.snapshot, self.models, self.get_stated)

    @cached_property
    def trial(self) -> ViewerExperiment | None:
        """Of an experiment; whoever asks for a certain algorithm gets that."""
        if self.question.algorithm != HYBRID:
            return None
        known = self.models.release.recommenders
        return experiment_for(self.snapshot, self.user_id, timezone.now(), known)

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """(n_films,) all but what the viewer has had to do with."""
        history = self.models.histories[self.row]
        return ~np.isin(self.films.ids, history.movie_ids)

    @cached_property
    def unopened(self) -> Mapping[int, int]:
        return self.get_unopened() if settings.FRESHNESS else {}

    def items(self, *, limit: int = LIST_LENGTH, with_reasons: bool = True) -> list[ListItem]:
        """The first `limit` of the list, which is the same one for each limit."""
        places = self._series_apart(self._with_pins(self._with_new(self._ranked())))[:limit]
        reasons = self._reasons(places) if with_reasons else [[] for _ in places]
        return [
            ListItem(
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

    def _ranked(self) -> list[ListSlot]:
        return self._interleaved(self.trial) if self.trial else self.arranged(self.ranking)

    def arranged(self, ranking: Ranking) -> list[ListSlot]:
        """As the default shows it; whoever asks for a certain algorithm gets its own order."""
        if self.question.algorithm != HYBRID:
            best = ranking.best(self.allowed, LIST_LENGTH)
        else:
            boosts = campaigns.boosted_movies(self.snapshot, self.question.scope, timezone.now())
            best = rerank_candidates(
                ranking, self.allowed, LIST_LENGTH, boosts=boosts, unopened=self.unopened
            )
        return [ListSlot(ranked, ranking) for ranked in best]

    def _interleaved(self, trial: ViewerExperiment) -> list[ListSlot]:
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

    def _with_new(self, places: list[ListSlot]) -> list[ListSlot]:
        """The same with some places for films that are new."""
        new_ones = exploration_slots(settings.EXPLORATION_SHARE, len(places))
        if not new_ones or not self._explores:
            return places
        said = [opinion.scores for opinion in self.ranking.opinions.values()]
        release = self.models.release
        drawn = exploration_order(
            self.user_id, self.films, self.allowed, said, self.snapshot, release
        )
        by_film = {place.film: place for place in places}
        order, explored = insert_explored(list(by_film), drawn, new_ones)
        return [
            ListSlot(self.ranking.heard_of(film), self.ranking, EXPLORATION)
            if film in explored
            else by_film[film]
            for film in order
        ]

    def _with_pins(self, places: list[ListSlot]) -> list[ListSlot]:
        """The same with what staff have pinned; whoever asks for a certain algorithm gets that."""
        if self.question.algorithm != HYBRID:
            return places
        pinned = pinned_films(self.films, self.allowed, self.snapshot, self.question.scope)
        by_film = {place.film: place for place in places}
        for film in pinned.values():
            by_film[film] = ListSlot(self.ranking.heard_of(film), self.ranking, PIN)
        return [by_film[film] for film in with_pinned([place.film for place in places], pinned)]

    def _series_apart(self, places: list[ListSlot]) -> list[ListSlot]:
        """The same without two of one series at the beginning, whatever is asked for."""
        movie_ids = self.films.ids[[place.film for place in places]].tolist()
        pinned = {at for at, place in enumerate(places) if place.mark == PIN}
        order = series_apart(movie_ids, self.snapshot, fixed=pinned)
        return [places[at] for at in order]

    @property
    def _explores(self) -> bool:
        """Whoever asks for a certain algorithm gets that; without a release all films are new."""
        return self.question.algorithm == HYBRID and self.models.release.id is not None

    def _reasons(self, places: Sequence[ListSlot]) -> list[Sequence[Reason]]:
        past = self.models.past.viewer(self.row)
        grounds = [place.ranking.ground(place.ranked) for place in places]
        by_models = explain(grounds, past, self.models.release, self.snapshot)
        return [self._why(place, said) for place, said in zip(places, by_models, strict=True)]

    def _why(self, place: ListSlot, by_model: Sequence[Reason]) -> Sequence[Reason]:
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


def build_items(
    user_id: int, release: LoadedRelease, scope: Scope, algorithm: str, days: int
) -> list[ListItem]:
    """The viewer's list, the first item first."""
    snapshot = catalogue.current().snapshot
    choice = ListBuilder(
        user_id,
        row=0,
        question=ListQuery(scope, algorithm, days),
        snapshot=snapshot,
        models=ReleaseScorer(
            release, candidates_for(scope, days, snapshot, release), [load_history(user_id)]
        ),
        get_stated=lambda: stated_preferences(user_id),
        get_unopened=lambda: shown_unopened([user_id])[user_id],
    )
    return choice.items()


#: Viewers are asked for together; of a large catalogue fewer, so that their scores, of which the
#: models hold a few copies, stay within some 100 MB.
MOST_VIEWERS = 256
MOST_SCORES = 2_000_000
IDS_AT_ONCE = 10_000


class ViewerList(NamedTuple):
    user_id: int
    items: Sequence[ListItem]
    release_id: int | None


def build_lists(
    user_ids: Iterable[int], question: ListQuery, *, limit: int, with_reasons: bool = False
) -> Iterator[ViewerList]:
    """The first `limit` items of the list that each would be given now, in the order of the ids.

    All are of one release and one version of the catalogue. They are not kept: whoever asks for
    the own list later gets one that knows what was said since.
    """
    release, snapshot = loaded_release(), catalogue.current().snapshot
    films = candidates_for(question.scope, question.days, snapshot, release)
    n_viewers = viewers_at_once(release)
    viewers = iter(user_ids)
    while block := list(islice(viewers, n_viewers)):
        models = ReleaseScorer(release, films, load_histories(block))
        stated = stated_preferences_by_user(block)
        unopened = cache(partial(shown_unopened, block))
        for row, user_id in enumerate(block):
            get_stated = _always(stated.get(user_id, StatedPreferences()))
            get_unopened = partial(_of_viewer, unopened, user_id)
            choice = ListBuilder(user_id, row, question, snapshot, models, get_stated, get_unopened)
            items = choice.items(limit=limit, with_reasons=with_reasons)
            yield ViewerList(user_id, items, release.id)


def viewers_at_once(release: LoadedRelease) -> int:
    return max(1, min(MOST_VIEWERS, MOST_SCORES // max(1, len(release.items))))


def _always(stated: StatedPreferences) -> Callable[[], StatedPreferences]:
    return lambda: stated


def _of_viewer(shown: Callable[[], TimesShown], user_id: int) -> Mapping[int, int]:
    return shown()[user_id]


def active_viewers() -> Iterator[int]:
    """Ids in ascending order, read bit by bit: whoever closes the account meanwhile is left out."""
    last = 0
    while True:
        others = User.objects.filter(is_active=True, pk__gt=last).order_by("pk")
        ids = list(others.values_list("pk", flat=True)[:IDS_AT_ONCE])
        yield from ids
        if len(ids) < IDS_AT_ONCE:
            return
        last = ids[-1]
