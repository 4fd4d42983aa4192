"""The order of the candidates: by an algorithm, by its fallbacks, and re-ranked for display."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

import numpy as np
from django.conf import settings
from django.utils import timezone
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies.catalogue import Snapshot
from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.matrices import Scores, values_at
from recommendations.engine.ranking.reranking import (
    POOL,
    Opinions,
    RankedItems,
    fatigue,
    newness,
    normalised_relevances,
    pairwise_similarities,
    percentile_ranks,
    preference_scores,
    rank_with_fallback,
    rerank,
    separate_equal_keys,
)
from recommendations.lists.campaigns import boosted_movies
from recommendations.lists.item_features import (
    CatalogueFeatures,
    catalogue_features,
    is_wanted_language,
)
from recommendations.lists.scores import (
    POPULARITY,
    PREFERENCES,
    Candidates,
    ModelScores,
    ReleaseScorer,
    Scope,
    ViewerScores,
)
from recommendations.lists.tastes import gains_by_dislikes, order_calibrated
from recommendations.releases import LoadedRelease
from users.preferences import StatedPreferences

HYBRID = "hybrid"
FAVOURITES = "favourites"
PROGRAMME = "programme"
#: Sources that are no models of a release.
NOT_MODELS = (PREFERENCES, FAVOURITES)
#: Used where a release has no `hybrid`.
FALLBACK_ALGORITHM = AlsRecommender.name
#: The movies at the top of a list that all belong to different series.
DISTINCT_SERIES = 5


@dataclass(frozen=True, eq=False)
class Asked:
    """The scores of the candidates by one source.

    Attributes:
        rows: (n_viewers,) the row of each viewer in `scores`; -1 if the source was not asked.
        scores: (k, n_movies) float32; NaN where the source has no opinion.
        model: The model that made them, if one did.
    """

    rows: NDArray[np.intp]
    scores: Scores
    model: ModelScores | None


@dataclass(eq=False)
class Ranking:
    """One algorithm's order of the candidates, for the viewers of `scorer`.

    Attributes:
        is_reranked: Whether the list is diverse and fresh, and shows what is promoted.
        is_calibrated: Whether the genres of the list follow those of the viewer's likes.
        stated_of: Returns the stated preferences of the viewer in a row.
        asked: By source what it was asked for, in this order.
    """

    algorithm: str
    scope: Scope
    is_reranked: bool
    is_calibrated: bool
    snapshot: Snapshot
    scorer: ReleaseScorer
    stated_of: Callable[[int], StatedPreferences]
    asked: dict[str, Asked] = field(default_factory=dict)

    @property
    def candidates(self) -> Candidates:
        return self.scorer.candidates

    def best(self, n: int) -> RankedItems:
        """The first n movies of each viewer."""
        if not self.is_reranked and not self.is_calibrated:
            return self._by_sources(n)
        return self._reranked(self._by_sources(n, pool=POOL), n)

    def _by_sources(self, n: int, *, pool: int | None = None) -> RankedItems:
        """The first n movies by the sources; movies that no source knows follow by date.

        Args:
            pool: Take up to so many, n or more, from the sources that n movies need.
        """
        allowed = self.scorer.allowed
        found = rank_with_fallback(self._sources(), candidates=allowed, n=n, pool=pool)
        names = (*found.names, PROGRAMME)
        found = replace(found, names=names)
        missing = n - (found.items >= 0).sum(axis=1)
        if (missing <= 0).all():
            return found
        by_date = np.full((len(allowed), min(n, allowed.shape[1])), -1, dtype=np.intp)
        for row in np.flatnonzero(missing > 0).tolist():
            left = allowed[row].copy()
            left[found.items[row][found.items[row] >= 0]] = False
            movies = np.flatnonzero(left)[: missing[row]]
            by_date[row, : len(movies)] = movies
        return found.then(by_date, np.zeros(by_date.shape), np.full(by_date.shape, len(names) - 1))

    def _sources(self) -> Iterator[tuple[str, Opinions]]:
        """The algorithm that was asked for, and its fallbacks."""
        known, every = self.scorer.release.recommenders, np.ones(len(self.scorer.allowed), bool)
        if self.algorithm == POPULARITY:
            sources = {POPULARITY: every}
        elif self.algorithm != HYBRID:
            sources = {self.algorithm: every, PREFERENCES: every, POPULARITY: every}
        else:
            is_newcomer = np.array([each.is_of_favourites for each in self.scorer.histories])
            model = HYBRID if HYBRID in known else FALLBACK_ALGORITHM
            # Newcomers have only favourites.
            sources = {
                model: ~is_newcomer,
                PREFERENCES: every,
                FAVOURITES: is_newcomer,
                POPULARITY: every,
            }
        for name, who in sources.items():
            if who.any() and (name in known or name in NOT_MODELS):
                yield name, partial(self._opinions, name, who)

    def _opinions(self, name: str, who: NDArray[np.bool_], rows: NDArray[np.intp]) -> Scores:
        """The (k, n_movies) scores for the viewers in these rows, of whom the source knows some."""
        asked = rows[who[rows]]
        model: ModelScores | None = None
        if name == PREFERENCES:
            asked, scores = self._by_row(asked, self._by_preferences)
        elif name == FAVOURITES:
            ask = self.scorer.personal_scores
            model = ask(HYBRID) or ask(FALLBACK_ALGORITHM)
            asked, scores = self._by_row(asked, partial(self._by_favourites, model))
        elif model := self.scorer.scores(name):
            scores = model.of_candidates(asked)
        places = np.full(len(who), -1, dtype=np.intp)
        places[asked] = np.arange(len(asked))
        self.asked[name] = Asked(places, scores, model)
        if len(asked) == len(rows):
            return scores
        found = np.full((len(rows), len(self.candidates.ids)), np.nan, dtype=np.float32)
        found[places[rows] >= 0] = scores
        return found

    def _by_row(
        self, rows: NDArray[np.intp], score: Callable[[int], Scores | None]
    ) -> tuple[NDArray[np.intp], Scores]:
        """The rows that have scores, and the scores."""
        by_row = {row: found for row in rows.tolist() if (found := score(row)) is not None}
        scores = np.empty((len(by_row), len(self.candidates.ids)), dtype=np.float32)
        for place, found in enumerate(by_row.values()):
            scores[place] = found
        return np.array([*by_row], dtype=np.intp), scores

    def _by_preferences(self, row: int) -> Scores | None:
        stated = self.stated_of(row)
        if not stated.genres and not stated.languages:
            return None
        ids, release = self.candidates.ids, self.scorer.release
        return score_by_preferences(stated, ids, self.snapshot, release)

    def _by_favourites(self, model: ModelScores | None, row: int) -> Scores | None:
        if model is None or not len(self.scorer.histories[row].movie_ids):
            return None
        return model.from_favourites(row)

    def scores_of(self, row: int) -> dict[str, ViewerScores]:
        """One viewer's scores by the sources that were asked, in this order."""
        return {
            name: ViewerScores(
                asked.scores[place], asked.model, row, name if name in NOT_MODELS else ""
            )
            for name, asked in self.asked.items()
            if (place := asked.rows[row]) >= 0
        }

    def _reranked(self, best: RankedItems, n: int) -> RankedItems:
        """The first n movies by relevance and diversity; those ordered by date stay at the end.

        A less trusted source comes later, however relevant its movies are. Only a boost overrules
        that: a boosted movie is ranked among those of the most trusted source.
        """
        is_item = best.items >= 0
        is_by_date = is_item & (best.sources == len(best.names) - 1)
        pool = replace(best, items=np.where(is_by_date, -1, best.items))
        tiers = np.where(is_item & ~is_by_date, pool.sources, -1)
        relevance = normalised_relevances(pool.scores, tiers)
        boosts = boosted_movies(self.snapshot, self.scope, timezone.now())
        if self.is_reranked and boosts:
            pool, relevance, tiers = self._boosted(boosts, pool, relevance, tiers)
        features = catalogue_features(self.snapshot)
        ids = np.where(pool.items < 0, -1, self.candidates.ids[pool.items])
        rows = features.movies.indices(ids.ravel()).reshape(ids.shape)
        histories, diversity = self.scorer.histories, 0.0
        if self.is_reranked:
            relevance += settings.FRESHNESS * self._freshness(ids, features.starts[rows])
            items = np.where(pool.items < 0, -1, self.candidates.items[pool.items])
            relevance += gains_by_dislikes(self.scorer.release, items, histories)
            diversity = settings.DIVERSITY
        alike = (pairwise_similarities(features.vectors, each) for each in rows)
        order = rerank(relevance, alike, tiers=tiers, diversity=diversity, n=n)
        if self.is_calibrated:
            order = order_calibrated(relevance, features, rows, histories, order, tiers=tiers)
        reranked = pool.take(order)
        return _with_dated(reranked, best, is_by_date, n) if is_by_date.any() else reranked

    def _boosted(
        self,
        boosts: Mapping[int, float],
        pool: RankedItems,
        relevance: NDArray[np.float64],
        tiers: NDArray[np.intp],
    ) -> tuple[RankedItems, NDArray[np.float64], NDArray[np.intp]]:
        """The pool with all boosted movies in its first tier, the relevances and the tiers.

        Args:
            boosts: By movie id, added to the relevance, which goes from 0 to 1.
        """
        boosted = np.sort(self.candidates.places(boosts))
        shape = len(pool.items), len(boosted)
        movies, sources = np.full(shape, -1, np.intp), np.zeros(shape, np.intp)
        scores = np.zeros(shape, np.float32)
        is_missing = self.scorer.allowed[:, boosted]
        is_missing &= ~(pool.items[:, :, None] == boosted).any(axis=1)
        for row, place in zip(*np.nonzero(is_missing), strict=True):
            score, name = score_by_first(self.scores_of(row), boosted[place])
            movies[row, place] = boosted[place]
            scores[row, place], sources[row, place] = score, pool.names.index(name)
        pool = pool.then(movies, scores, sources)
        strengths = np.zeros(len(self.candidates.ids))
        strengths[boosted] = [boosts[pk] for pk in self.candidates.ids[boosted].tolist()]
        relevance = np.hstack([relevance, np.where(movies < 0, -np.inf, 0)])
        # The first tier of a row, which need not be that of the first source.
        first = np.where(tiers < 0, len(pool.names), tiers).min(axis=1, initial=len(pool.names))
        tiers = np.hstack([tiers, np.where(movies < 0, -1, first[:, None])])
        added = np.where(pool.items < 0, 0, strengths[pool.items])
        relevance[(added > 0) & (tiers > first[:, None])] = 0
        tiers = np.where(added > 0, first[:, None], tiers)
        return pool, relevance + added, tiers

    def _freshness(self, ids: NDArray[np.int64], starts: NDArray[np.int32]) -> NDArray[np.float64]:
        """(n_viewers, m) from -1 to 1, for movies with these ordinals of the first day."""
        fresh = newness(starts - timezone.localdate().toordinal())
        for row, history in enumerate(self.scorer.histories):
            if len(history.unopened.movies):
                fresh[row] -= fatigue(history.unopened.of(ids[row]))
        return fresh


def _with_dated(
    ranked: RankedItems, best: RankedItems, is_by_date: NDArray[np.bool_], n: int
) -> RankedItems:
    """The ranked movies; those ordered by date, which are not among them, fill up the rest."""
    source = len(best.names) - 1
    shape = len(ranked.items), n
    found = replace(
        ranked,
        items=np.full(shape, -1, np.intp),
        scores=np.zeros(shape, np.float32),
        sources=np.full(shape, source),
    )
    for row, items in enumerate(ranked.items):
        size = int((items >= 0).sum())
        for name in ("items", "scores", "sources"):
            getattr(found, name)[row, :size] = getattr(ranked, name)[row, :size]
        dated = best.items[row][is_by_date[row]]
        dated = dated[~np.isin(dated, items[:size])][: n - size]
        found.items[row, size : size + len(dated)] = dated
    return found


def score_by_first(scores: Mapping[str, ViewerScores], movie: int) -> tuple[float, str]:
    """The score of a movie that the ranking left out, by the first source that has one."""
    for name, found in scores.items():
        if (score := float(found.scores[movie])) == score:
            return score, name
    return 0.0, PROGRAMME


def separate_series(
    movie_ids: Sequence[int], snapshot: Snapshot, *, fixed: Collection[int]
) -> list[int]:
    """The list's indices in an order that begins with movies of different series.

    Args:
        fixed: Indices that keep their place.
    """
    series = catalogue_features(snapshot).series
    keys = [series.get(pk, "") for pk in movie_ids]
    return separate_equal_keys(keys, fixed=fixed, first=DISTINCT_SERIES)


def score_by_preferences(
    stated: StatedPreferences,
    movie_ids: NDArray[np.int64],
    snapshot: Snapshot,
    release: LoadedRelease,
) -> Scores:
    """(n,) float32 for these movies; NaN where no stated preference matches."""
    features = catalogue_features(snapshot)
    columns = features.genre_ids.indices([genre.pk for genre in stated.genres])
    is_wanted = [is_wanted_language(code, stated.languages) for code in features.codes]
    scores = preference_scores(
        features.genres,
        wanted_genres=columns[columns >= 0],
        in_wanted_language=np.array(is_wanted, dtype=bool)[features.languages],
        standing=_standing(features, release),
    )
    return values_at(features.movies.indices(movie_ids), scores)


@lru_cache(maxsize=2)
def _standing(features: CatalogueFeatures, release: LoadedRelease) -> Scores:
    """(n_movies,) percentiles: by popularity, and by ranking among those without popularity."""
    standing = np.full(len(features.movies), np.nan, dtype=np.float32)
    if (popularity := release.recommenders.get(POPULARITY)) is not None:
        no_history = csr_matrix(np.zeros((1, len(release.items)), dtype=np.float32))
        items = release.items.indices(features.movies.ids)
        standing = values_at(items, popularity.score(no_history)[0])
    is_known = ~np.isnan(standing)
    standing[is_known] = percentile_ranks(standing[is_known])
    standing[~is_known] = percentile_ranks(features.rankings[~is_known])
    return standing
