"""From the films that rank best to the order in which they are shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from django.conf import settings
from django.utils import timezone
from numpy.typing import NDArray

from movies.catalogue import Snapshot
from recommendations.engine.blending import Ranked
from recommendations.engine.freshness import newness, wornness
from recommendations.engine.reranking import POOL, apart, likenesses, relevances, rerank
from recommendations.lists.ranking import PROGRAMME, Ranking
from recommendations.lists.traits import Traits, traits_of

#: How many of a list's films are all of different series.
APART = 5


def arrange(
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
    traits = traits_of(ranking.snapshot)
    rows = traits.films.indices(ids)
    relevance += settings.FRESHNESS * _freshness(ids, rows, traits, unopened)
    alike = likenesses(traits.vectors[rows])
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
    series = traits_of(snapshot).series
    return apart([series.get(pk, "") for pk in movie_ids], fixed=fixed, first=APART)


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
    relevance[: len(by_models)] = relevances(scores, tiers[: len(by_models)])
    is_boosted = strengths > 0
    relevance[is_boosted & (tiers > 0)] = 0
    tiers[is_boosted] = 0
    return relevance + strengths, tiers


def _freshness(
    ids: NDArray[np.int64],
    rows: NDArray[np.int32],
    traits: Traits,
    unopened: Mapping[int, int],
) -> NDArray[np.float64]:
    """(m,) from -1 to 1.

    Args:
        rows: (m,) in `traits`; -1 for a film that is not there any more.
    """
    days = traits.starts[rows] - timezone.localdate().toordinal()
    times = np.array([unopened.get(pk, 0) for pk in ids.tolist()])
    return newness(days) - wornness(times)
