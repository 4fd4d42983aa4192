"""Builds lists: the best candidates by an algorithm, with slots for new and pinned movies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import numpy as np
from django.conf import settings
from django.utils import timezone
from numpy.typing import NDArray

from movies import catalogue
from movies.catalogue import Snapshot
from recommendations.content_similarity import Reason
from recommendations.dataset import load_histories
from recommendations.engine.ranking.explanations import Explainers
from recommendations.engine.ranking.exploration import (
    A,
    B,
    exploration_slots,
    insert_explored,
    team_draft,
)
from recommendations.engine.ranking.reranking import RankedItems
from recommendations.lists.campaigns import (
    PIN,
    ViewerExperiment,
    experiment_for,
    pinned_candidates,
    with_pinned,
)
from recommendations.lists.filters import NO_FILTERS, CandidateFilters
from recommendations.lists.item_features import EXPLORATION, exploration_order, is_new
from recommendations.lists.ranking import (
    HYBRID,
    PROGRAMME,
    Ranking,
    score_by_first,
    separate_series,
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
    ModelScores,
    ReleaseScorer,
    Scope,
    ViewerScores,
    candidates_for,
)
from recommendations.releases import LoadedRelease, loaded_release
from users.models import User
from users.preferences import StatedPreferences, stated_preferences_by_user

LIST_LENGTH = 40


@dataclass(slots=True)
class ListItem:
    """A movie of a list.

    Attributes:
        algorithm: The algorithm whose order it is.
        is_fallback: Whether another source put the movie there.
        team: The team of an experiment that put the movie there; empty for none.
    """

    rank: int
    movie_id: int
    score: float
    source: str
    reasons: Sequence[Reason]
    algorithm: str = ""
    is_fallback: bool = False
    team: str = ""
    experiment: int | None = None


@dataclass(frozen=True)
class ListQuery:
    """The parameters of a request that decide what is in a list."""

    scope: Scope
    algorithm: str
    days: int
    filters: CandidateFilters = NO_FILTERS
    calibrated: bool = False


class ListSlot(NamedTuple):
    """A movie of a list that is being built.

    Attributes:
        movie: The index of the candidate.
        origin: The name of the source that has the score.
        algorithm: The one whose order it comes from.
        scores: The scores of the source; None if it has none, such as the order by date.
        mark: PIN or EXPLORATION for a movie that does not stand there by its rank.
    """

    movie: int
    score: float
    origin: str
    algorithm: str
    scores: ViewerScores | None
    mark: str = ""
    team: str = ""

    @property
    def source(self) -> str:
        """The reported source: the mark, a part of a model, or a fallback."""
        return self.mark or (self.scores.source(self.movie) if self.scores else self.origin)

    @property
    def is_fallback(self) -> bool:
        return not self.mark and self.origin != self.algorithm


@dataclass(eq=False)
class Rankings:
    """The orders by each algorithm for several viewers, which are made when one is asked for."""

    user_ids: Sequence[int]
    query: ListQuery
    snapshot: Snapshot
    scorer: ReleaseScorer
    _best: dict[str, tuple[Ranking, RankedItems]] = field(default_factory=dict)

    @cached_property
    def _stated(self) -> Mapping[int, StatedPreferences]:
        return stated_preferences_by_user(self.user_ids)

    def stated_of(self, row: int) -> StatedPreferences:
        return self._stated.get(self.user_ids[row], StatedPreferences())

    def by(self, algorithm: str) -> tuple[Ranking, RankedItems]:
        """The ranking, and the first LIST_LENGTH movies of each viewer."""
        if algorithm not in self._best:
            query = self.query
            ranking = Ranking(
                algorithm,
                query.scope,
                query.algorithm == HYBRID,
                query.calibrated,
                self.snapshot,
                self.scorer,
                self.stated_of,
            )
            self._best[algorithm] = ranking, ranking.best(LIST_LENGTH)
        return self._best[algorithm]


@dataclass(eq=False)
class ListBuilder:
    """Builds the list of the viewer in the given row.

    Only the default algorithm has experiments, boosts, pins and exploration: a viewer who asks for
    another one gets its own order.
    """

    rankings: Rankings
    row: int

    @property
    def user_id(self) -> int:
        return self.rankings.user_ids[self.row]

    @property
    def query(self) -> ListQuery:
        return self.rankings.query

    @property
    def snapshot(self) -> Snapshot:
        return self.rankings.snapshot

    @property
    def scorer(self) -> ReleaseScorer:
        return self.rankings.scorer

    @property
    def candidates(self) -> Candidates:
        return self.scorer.candidates

    @property
    def is_default(self) -> bool:
        return self.query.algorithm == HYBRID

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """(n_movies,) as `ReleaseScorer.allowed`."""
        allowed: NDArray[np.bool_] = self.scorer.allowed[self.row]
        return allowed

    @cached_property
    def scores(self) -> Mapping[str, ViewerScores]:
        """By source what the algorithm of the query asked for."""
        ranking, _ = self.rankings.by(self.query.algorithm)
        return ranking.scores_of(self.row)

    @cached_property
    def experiment(self) -> ViewerExperiment | None:
        if not self.is_default:
            return None
        known = self.scorer.release.recommenders
        return experiment_for(self.snapshot, self.user_id, timezone.now(), known)

    def items(self, *, limit: int = LIST_LENGTH, with_reasons: bool = True) -> list[ListItem]:
        """The first `limit` items; a smaller limit does not change them."""
        slots = self._interleaved() if self.experiment else self._ranked(self.query.algorithm)
        if self.is_default:
            slots = self._with_pins(self._with_new(slots))
        slots = self._with_series_separated(slots)[:limit]
        reasons = self._reasons(slots) if with_reasons else [[] for _ in slots]
        ids = self.candidates.ids[[slot.movie for slot in slots]].tolist()
        return [
            ListItem(
                rank,
                movie_id,
                slot.score,
                slot.source,
                why,
                slot.algorithm,
                slot.is_fallback,
                slot.team,
                self.experiment.experiment_id if self.experiment and slot.team else None,
            )
            for rank, (movie_id, slot, why) in enumerate(zip(ids, slots, reasons, strict=True), 1)
        ]

    def _ranked(self, algorithm: str, team: str = "") -> list[ListSlot]:
        ranking, best = self.rankings.by(algorithm)
        scores = self.scores if algorithm == self.query.algorithm else ranking.scores_of(self.row)
        columns = (of[self.row].tolist() for of in (best.items, best.scores, best.sources))
        return [
            ListSlot(item, score, name, algorithm, scores.get(name), team=team)
            for item, score, source in zip(*columns, strict=True)
            if item >= 0 and (name := best.names[source])
        ]

    def _interleaved(self) -> list[ListSlot]:
        """The lists of the experiment's two algorithms, interleaved by a team draft."""
        assert self.experiment
        by_movie = {
            team: {slot.movie: slot for slot in self._ranked(algorithm, team)}
            for team, algorithm in self.experiment.algorithms.items()
        }
        rng = self.experiment.random_generator()
        drafted = team_draft([*by_movie[A]], [*by_movie[B]], LIST_LENGTH, rng)
        return [by_movie[team][movie] for movie, team in drafted]

    def _with_new(self, slots: list[ListSlot]) -> list[ListSlot]:
        """The list with exploration slots; without a release all movies would be new."""
        release = self.scorer.release
        new_ones = exploration_slots(settings.EXPLORATION_SHARE, len(slots))
        if not new_ones or release.id is None:
            return slots
        scores = [found.scores for found in self.scores.values()]
        new_movies = exploration_order(
            self.user_id, self.candidates, self.allowed, scores, self.snapshot, release
        )
        by_movie = {slot.movie: slot for slot in slots}
        order, explored = insert_explored(list(by_movie), new_movies, new_ones)
        by_movie |= {movie: self._marked(movie, EXPLORATION) for movie in explored}
        return [by_movie[movie] for movie in order]

    def _with_pins(self, slots: list[ListSlot]) -> list[ListSlot]:
        pinned = pinned_candidates(self.candidates, self.allowed, self.snapshot, self.query.scope)
        if not pinned:
            return slots
        by_movie = {slot.movie: slot for slot in slots}
        by_movie |= {movie: self._marked(movie, PIN) for movie in pinned.values()}
        return [by_movie[movie] for movie in with_pinned([slot.movie for slot in slots], pinned)]

    def _marked(self, movie: int, mark: str) -> ListSlot:
        score, origin = score_by_first(self.scores, movie)
        algorithm, scores = self.query.algorithm, self.scores.get(origin)
        return ListSlot(movie, score, origin, algorithm, scores, mark)

    def _with_series_separated(self, slots: list[ListSlot]) -> list[ListSlot]:
        movie_ids = self.candidates.ids[[slot.movie for slot in slots]].tolist()
        pinned = {index for index, slot in enumerate(slots) if slot.mark == PIN}
        return [slots[i] for i in separate_series(movie_ids, self.snapshot, fixed=pinned)]

    def _reasons(self, slots: Sequence[ListSlot]) -> list[Sequence[Reason]]:
        kinds = self.scorer.past.kinds_of(self.row)
        by_model: dict[ModelScores, list[int]] = {}
        for index, slot in enumerate(slots):
            if (scores := slot.scores) and scores.by_model:
                by_model.setdefault(scores.by_model, []).append(index)
        reasons: list[Sequence[Reason]] = [[] for _ in slots]
        for model, indices in by_model.items():
            items = self.candidates.items[[slots[index].movie for index in indices]]
            parts = [model.part(self.row, slots[index].movie) for index in indices]
            explainers = Explainers(model.model, model.by_part, self.row)
            found = explain(explainers, items, parts, kinds, self.scorer.release, self.snapshot)
            for index, why in zip(indices, found, strict=True):
                reasons[index] = why
        return [self._reasons_of(slot, why) for slot, why in zip(slots, reasons, strict=True)]

    def _reasons_of(self, slot: ListSlot, by_model: Sequence[Reason]) -> Sequence[Reason]:
        reasons = by_model
        if slot.origin == PREFERENCES:
            movie_id = int(self.candidates.ids[slot.movie])
            stated = self.rankings.stated_of(self.row)
            reasons = reasons_by_preferences(stated, movie_id, self.snapshot)
        if slot.mark:
            first = STAFF if slot.mark == PIN else NEW
            return [first, *(each for each in reasons if each.kind != POPULAR.kind)][:REASONS_EACH]
        if slot.origin == PROGRAMME:
            if self.query.scope == "programme":
                return [SHOWING]
            release = self.scorer.release
            return [NEW] if is_new(slot.movie, self.candidates, self.snapshot, release) else []
        return reasons


# --- lists of several viewers

#: Viewers are scored together, so many that their scores, of which the models hold a few copies,
#: stay within some 100 MB.
MAX_VIEWERS = 256
MAX_SCORES = 2_000_000
IDS_AT_ONCE = 10_000


class ViewerList(NamedTuple):
    user_id: int
    items: Sequence[ListItem]
    release_id: int | None


def build_items(user_id: int, query: ListQuery, release: LoadedRelease) -> Sequence[ListItem]:
    """One viewer's list, the first item first."""
    [built] = build_lists([user_id], query, release=release)
    return built.items


def build_lists(
    user_ids: Iterable[int],
    query: ListQuery,
    *,
    limit: int = LIST_LENGTH,
    with_reasons: bool = True,
    release: LoadedRelease | None = None,
) -> Iterator[ViewerList]:
    """The first `limit` items of each viewer's list, in the order of the ids.

    All lists are of one release, by default the loaded one, and of one version of the catalogue.
    """
    release, snapshot = release or loaded_release(), catalogue.current().snapshot
    candidates = candidates_for(query.scope, query.days, snapshot, release)
    eligible = query.filters.matches(candidates.ids, query.scope, query.days, snapshot)
    with_unopened = query.algorithm == HYBRID and settings.FRESHNESS > 0
    viewers = iter(user_ids)
    while block := list(islice(viewers, viewers_at_once(release))):
        histories = load_histories(block, with_unopened=with_unopened)
        scorer = ReleaseScorer(release, candidates, histories, eligible)
        rankings = Rankings(block, query, snapshot, scorer)
        for row, user_id in enumerate(block):
            items = ListBuilder(rankings, row).items(limit=limit, with_reasons=with_reasons)
            yield ViewerList(user_id, items, release.id)


def viewers_at_once(release: LoadedRelease) -> int:
    return max(1, min(MAX_VIEWERS, MAX_SCORES // max(1, len(release.items))))


def active_viewers() -> Iterator[int]:
    """Ids in ascending order, read in blocks; an account that is closed meanwhile is left out."""
    last = 0
    while True:
        others = User.objects.filter(is_active=True, pk__gt=last).order_by("pk")
        ids = list(others.values_list("pk", flat=True)[:IDS_AT_ONCE])
        yield from ids
        if len(ids) < IDS_AT_ONCE:
            return
        last = ids[-1]
