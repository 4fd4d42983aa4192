"""The films in the order of one algorithm, and of what stands in for it where it says nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from django.conf import settings
from django.utils import timezone
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies.catalogue import Snapshot
from recommendations.dataset import History
from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.matrices import Scores, values_at
from recommendations.engine.ranking.candidates import (
    Ranked,
    percentile_ranks,
    preference_scores,
    rank_with_fallback,
)
from recommendations.engine.ranking.reranking import (
    POOL,
    fatigue,
    newness,
    normalised_relevances,
    pairwise_similarities,
    rerank,
    separate_equal_keys,
)
from recommendations.lists.item_features import (
    CatalogueFeatures,
    catalogue_features,
    is_wanted_language,
)
from recommendations.lists.reasons import ScoreOrigin
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
#: Whom to ask in which order; what none of them knows is ordered by date.
FOR_NEWCOMERS = (PREFERENCES, FAVOURITES, POPULARITY)
#: Who stands in for `hybrid`, where a release is without it.
FALLBACK_ALGORITHM = AlsRecommender.name


@dataclass(eq=False)
class Ranking:
    """What an algorithm makes of the films, for the viewer whose history is the `row`-th."""

    algorithm: str
    row: int
    snapshot: Snapshot
    models: ReleaseScorer
    get_stated: Callable[[], StatedPreferences]
    opinions: dict[str, ViewerScores] = field(default_factory=dict)
    stated: StatedPreferences = field(default_factory=StatedPreferences)

    @property
    def release(self) -> LoadedRelease:
        return self.models.release

    @property
    def films(self) -> Candidates:
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
        return (HYBRID if HYBRID in known else FALLBACK_ALGORITHM, PREFERENCES, POPULARITY)

    def _opinion(self, name: str) -> ViewerScores | None:
        if name == PREFERENCES:
            return self._by_preferences()
        if name == FAVOURITES:
            if not len(self.history.movie_ids):
                return None
            said = self.models.say(HYBRID) or self.models.say(FALLBACK_ALGORITHM)
            return said.from_favourites(self.row, FAVOURITES) if said else None
        said = self.models.say(name)
        return said.to_viewer(self.row) if said else None

    def _by_preferences(self) -> ViewerScores | None:
        self.stated = self.get_stated()
        if not self.stated.genres and not self.stated.languages:
            return None
        scores = score_by_preferences(self.stated, self.films.ids, self.snapshot, self.release)
        return ViewerScores(scores, mark=PREFERENCES)

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

    def ground(self, ranked: Ranked) -> ScoreOrigin | None:
        """The model that put the film there; None for what none has."""
        opinion = self.opinions.get(ranked.source)
        part = opinion.part(ranked.item) if opinion else ""
        if not opinion or not opinion.model or not part:
            return None
        return ScoreOrigin(opinion.model, opinion.parts[part], int(self.films.items[ranked.item]))


#: How many of a list's films are all of different series.
APART = 5


def rerank_candidates(
    ranking: Ranking,
    allowed: NDArray[np.bool_],
    n: int,
    *,
    boosts: Mapping[int, float],
    unopened: Mapping[int, int],
) -> list[Ranked]:
    """The first n by relevance and by how they differ; what goes by date stays so, at the end.

    Whom the ranking trusts less comes later, whatever speaks for a film. Staff alone overrule
    that: what they boost stands among the films of the most trusted, if need be as the last one.

    Args:
        allowed: (n_films,) what may be listed.
        boosts: By movie id what is added to the relevance, which goes from 0 to 1.
        unopened: By movie id in how many lists the viewer was shown it in vain.
    """
    best = ranking.best(allowed, n, pool=POOL)
    by_models = [ranked for ranked in best if ranked.source != PROGRAMME]
    boosted = _boosted(ranking, allowed, boosts, besides={ranked.item for ranked in by_models})
    pool = [*by_models, *boosted]
    ids = ranking.films.ids[[ranked.item for ranked in pool]]
    strengths = np.array([boosts.get(pk, 0.0) for pk in ids.tolist()])
    relevance, tiers = _relevance(by_models, strengths)
    traits = catalogue_features(ranking.snapshot)
    rows = traits.films.indices(ids)
    relevance += settings.FRESHNESS * _freshness(ids, rows, traits, unopened)
    alike = pairwise_similarities(traits.vectors[rows])
    order = rerank(relevance, alike, tiers=tiers, diversity=settings.DIVERSITY, n=n)
    arranged = [pool[place] for place in order.tolist()]
    listed = {ranked.item for ranked in arranged}
    by_date = (ranked for ranked in best if ranked.source == PROGRAMME)
    return [*arranged, *(ranked for ranked in by_date if ranked.item not in listed)][:n]


def series_apart(
    movie_ids: Sequence[int], snapshot: Snapshot, *, fixed: Collection[int]
) -> list[int]:
    """The order of a list, as places of before, without two films of one series among the first.

    Args:
        fixed: Places that stay what they are.
    """
    series = catalogue_features(snapshot).series
    return separate_equal_keys([series.get(pk, "") for pk in movie_ids], fixed=fixed, first=APART)


def _boosted(
    ranking: Ranking,
    allowed: NDArray[np.bool_],
    boosts: Mapping[int, float],
    *,
    besides: Collection[int],
) -> list[Ranked]:
    """Those of them that the ranking has not brought itself."""
    if not boosts:
        return []
    films = np.flatnonzero(allowed & np.isin(ranking.films.ids, list(boosts))).tolist()
    return [ranking.heard_of(film) for film in films if film not in besides]


def _relevance(
    by_models: Sequence[Ranked], strengths: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """(m,) each, with the tier of every film; those behind the ones by models are boosted."""
    sources = {
        source: tier for tier, source in enumerate(dict.fromkeys(r.source for r in by_models))
    }
    relevance, tiers = np.zeros(len(strengths)), np.zeros(len(strengths), dtype=np.intp)
    tiers[: len(by_models)] = [sources[ranked.source] for ranked in by_models]
    scores = np.array([ranked.score for ranked in by_models])
    relevance[: len(by_models)] = normalised_relevances(scores, tiers[: len(by_models)])
    is_boosted = strengths > 0
    relevance[is_boosted & (tiers > 0)] = 0
    tiers[is_boosted] = 0
    return relevance + strengths, tiers


def _freshness(
    ids: NDArray[np.int64],
    rows: NDArray[np.int32],
    traits: CatalogueFeatures,
    unopened: Mapping[int, int],
) -> NDArray[np.float64]:
    """(m,) from -1 to 1.

    Args:
        rows: (m,) in `traits`; -1 for a film that is not there any more.
    """
    days = traits.starts[rows] - timezone.localdate().toordinal()
    times = np.array([unopened.get(pk, 0) for pk in ids.tolist()])
    return newness(days) - fatigue(times)


def score_by_preferences(
    stated: StatedPreferences,
    movie_ids: NDArray[np.int64],
    snapshot: Snapshot,
    release: LoadedRelease,
) -> Scores:
    """(n,) float32 for the films of these ids; NaN for those that have nothing of it."""
    traits = catalogue_features(snapshot)
    columns = traits.genre_ids.indices([genre.pk for genre in stated.genres])
    spoken = np.array(
        [is_wanted_language(code, stated.languages) for code in traits.codes], dtype=bool
    )
    scores = preference_scores(
        traits.genres,
        wanted_genres=columns[columns >= 0],
        in_wanted_language=spoken[traits.languages],
        standing=_standing(traits, release),
    )
    return values_at(traits.films.indices(movie_ids), scores)


@lru_cache(maxsize=2)
def _standing(traits: CatalogueFeatures, release: LoadedRelease) -> Scores:
    """(n_films,) from 0 to 1: by popularity, and for what has none by ranking.

    Each among its like: so a new film that many wait for stands beside a popular old one.
    """
    standing = np.full(len(traits.films), np.nan, dtype=np.float32)
    if (popularity := release.recommenders.get("popularity")) is not None:
        nobody = csr_matrix(np.zeros((1, len(release.items)), dtype=np.float32))
        items = release.items.indices(traits.films.ids)
        standing = values_at(items, popularity.score(nobody)[0])
    is_known = ~np.isnan(standing)
    standing[is_known] = percentile_ranks(standing[is_known])
    standing[~is_known] = percentile_ranks(traits.rankings[~is_known])
    return standing
