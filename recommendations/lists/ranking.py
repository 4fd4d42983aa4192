"""The order of the candidates: by an algorithm, by its fallbacks, and re-ranked for display."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

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
from recommendations.impressions.storage import TimesShown
from recommendations.lists.item_features import (
    CatalogueFeatures,
    catalogue_features,
    is_wanted_language,
)
from recommendations.lists.scores import (
    POPULARITY,
    PREFERENCES,
    Candidates,
    ReleaseScorer,
    ViewerScores,
)
from recommendations.releases import LoadedRelease
from users.preferences import StatedPreferences

HYBRID = "hybrid"
FAVOURITES = "favourites"
PROGRAMME = "programme"
#: Sources for viewers who have only favourites, in this order; the rest is ordered by date.
FOR_NEWCOMERS = (PREFERENCES, FAVOURITES, POPULARITY)
#: Used where a release has no `hybrid`.
FALLBACK_ALGORITHM = AlsRecommender.name
#: The movies at the top of a list that all belong to different series.
DISTINCT_SERIES = 5


@dataclass(eq=False)
class Ranking:
    """One algorithm's order of the candidates, for the viewer whose history has index `row`."""

    algorithm: str
    row: int
    snapshot: Snapshot
    scorer: ReleaseScorer
    get_stated: Callable[[], StatedPreferences]
    #: By source the scores that were asked for, in this order.
    scores: dict[str, ViewerScores] = field(default_factory=dict)
    stated: StatedPreferences = field(default_factory=StatedPreferences)

    @property
    def candidates(self) -> Candidates:
        return self.scorer.candidates

    def best(self, allowed: NDArray[np.bool_], n: int, *, pool: int | None = None) -> RankedItems:
        """The first n allowed movies by the sources; movies that no source knows follow by date.

        Args:
            allowed: (n_movies,) True for a movie that may be listed.
            pool: Take up to so many, n or more, from the sources that n movies need.
        """
        found = rank_with_fallback(self._ask(), candidates=allowed, n=n, pool=pool)
        found = replace(found, names=(*found.names, PROGRAMME))
        missing = n - len(found.items)
        if missing <= 0:
            return found
        left = allowed.copy()
        left[found.items] = False
        by_date = np.flatnonzero(left)[:missing]
        return found.then(by_date, np.zeros(len(by_date)), [len(found.names) - 1] * len(by_date))

    def _ask(self) -> Iterator[tuple[str, Scores]]:
        for name in self._sources():
            if found := self._scores_of(name):
                self.scores[name] = found
                yield name, found.scores

    def _sources(self) -> Sequence[str]:
        """The algorithm that was asked for, and its fallbacks."""
        known = self.scorer.release.recommenders
        if self.algorithm == POPULARITY:
            return (POPULARITY,)
        if self.algorithm != HYBRID:
            return (self.algorithm, PREFERENCES, POPULARITY)
        if self.scorer.histories[self.row].is_of_favourites:
            return FOR_NEWCOMERS
        return (HYBRID if HYBRID in known else FALLBACK_ALGORITHM, PREFERENCES, POPULARITY)

    def _scores_of(self, name: str) -> ViewerScores | None:
        if name == PREFERENCES:
            return self._by_preferences()
        if name == FAVOURITES:
            if not len(self.scorer.histories[self.row].movie_ids):
                return None
            ask = self.scorer.personal_scores
            by_model = ask(HYBRID) or ask(FALLBACK_ALGORITHM)
            return by_model.from_favourites(self.row, FAVOURITES) if by_model else None
        by_model = self.scorer.scores(name)
        return by_model.for_viewer(self.row) if by_model else None

    def _by_preferences(self) -> ViewerScores | None:
        self.stated = self.get_stated()
        if not self.stated.genres and not self.stated.languages:
            return None
        ids, release = self.candidates.ids, self.scorer.release
        scores = score_by_preferences(self.stated, ids, self.snapshot, release)
        return ViewerScores(scores, source_name=PREFERENCES)

    def score(self, movie: int) -> tuple[float, str]:
        """The score of a movie that the ranking left out, by the first source that has one."""
        for name, found in self.scores.items():
            if (score := float(found.scores[movie])) == score:
                return score, name
        return 0.0, PROGRAMME


def rerank_candidates(
    ranking: Ranking,
    allowed: NDArray[np.bool_],
    n: int,
    *,
    boosts: Mapping[int, float],
    unopened: TimesShown,
) -> RankedItems:
    """The first n movies by relevance and diversity; those ordered by date stay at the end.

    A less trusted source comes later, however relevant its movies are. Only a boost overrules
    that: a boosted movie is ranked among those of the most trusted source.

    Args:
        allowed: (n_movies,) True for a movie that may be listed.
        boosts: By movie id, added to the relevance, which goes from 0 to 1.
        unopened: The movies that recent lists showed in vain.
    """
    best = ranking.best(allowed, n, pool=POOL)
    is_by_date = best.sources == len(best.names) - 1
    pool = best.take(~is_by_date)
    tiers = pool.sources - pool.sources.min(initial=len(best.names))
    relevance = normalised_relevances(pool.scores.astype(np.float64), tiers)
    if boosts:
        pool, relevance, tiers = _boosted(ranking, allowed, boosts, pool, relevance, tiers)
    ids = ranking.candidates.ids[pool.items]
    features = catalogue_features(ranking.snapshot)
    rows = features.movies.indices(ids)
    relevance += settings.FRESHNESS * _freshness(ids, rows, features, unopened)
    similarities = pairwise_similarities(features.vectors, rows)
    order = rerank(relevance, similarities, tiers=tiers, diversity=settings.DIVERSITY, n=n)
    reranked = pool.take(order)
    if not is_by_date.any():
        return reranked
    by_date = best.take(is_by_date & ~np.isin(best.items, reranked.items))
    return reranked.then(by_date.items, by_date.scores, by_date.sources).take(slice(n))


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


def _boosted(
    ranking: Ranking,
    allowed: NDArray[np.bool_],
    boosts: Mapping[int, float],
    pool: RankedItems,
    relevance: NDArray[np.float64],
    tiers: NDArray[np.intp],
) -> tuple[RankedItems, NDArray[np.float64], NDArray[np.intp]]:
    """The pool with all boosted movies in its first tier, the relevances and the tiers."""
    ranked = set(pool.items.tolist())
    boosted = sorted(ranking.candidates.places(boosts).tolist())
    movies = [movie for movie in boosted if allowed[movie] and movie not in ranked]
    found = [ranking.score(movie) for movie in movies]
    sources = [pool.names.index(name) for _, name in found]
    pool = pool.then(movies, [score for score, _ in found], sources)
    relevance = np.append(relevance, np.zeros(len(movies)))
    tiers = np.append(tiers, np.zeros(len(movies), dtype=np.intp))
    ids = ranking.candidates.ids[pool.items].tolist()
    strengths = np.array([boosts.get(pk, 0.0) for pk in ids])
    relevance[(strengths > 0) & (tiers > 0)] = 0
    tiers[strengths > 0] = 0
    return pool, relevance + strengths, tiers


def _freshness(
    ids: NDArray[np.int64],
    rows: NDArray[np.int32],
    features: CatalogueFeatures,
    unopened: TimesShown,
) -> NDArray[np.float64]:
    """(m,) from -1 to 1; `rows` are those in `features`, -1 for a movie that has left."""
    days = features.starts[rows] - timezone.localdate().toordinal()
    return newness(days) - fatigue(unopened.of(ids))


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
