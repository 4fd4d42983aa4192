"""From scores to a list: the best items, fallbacks, and re-ranking for display."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.feature_vectors import FeatureKind, tfidf_vectors
from recommendations.engine.matrices import ItemFeatures, Scores, row_entries

Float64 = NDArray[np.float64]

#: Number of the best items that are re-ranked, three times the length of a list.
POOL = 120
#: Days in which the newness of a film halves.
HALF_LIFE_DAYS = 14
#: The share of each kind of feature in similarity. Kinds that no item has leave theirs to the rest.
SHARES = {"genre": 0.5, "decade": 0.2, "director": 0.2, "language": 0.1}
#: Beside 1 for each genre: the language alone ranks below any genre, and the standing only decides
#: between films that match equally well.
LANGUAGE = 0.5
STANDING = 0.49


@dataclass(frozen=True, eq=False)
class RankedItems:
    """Items of several users in their order, and the model that placed each one there.

    Attributes:
        items: (n_rows, m) indices; -1 where a row has no item. The other attributes are undefined
            there.
        scores: (n_rows, m) float32.
        sources: (n_rows, m) indices in `names`.
        names: The models, the most trusted first.
    """

    items: NDArray[np.intp]
    scores: Scores
    sources: NDArray[np.intp]
    names: tuple[str, ...]

    def take(self, places: NDArray[np.intp]) -> RankedItems:
        """The (n_rows, k) items at these places; -1 for no item."""
        rows = np.arange(len(places))[:, None]
        items = np.where(places < 0, -1, self.items[rows, places])
        return RankedItems(items, self.scores[rows, places], self.sources[rows, places], self.names)

    def then(self, items: ArrayLike, scores: ArrayLike, sources: ArrayLike) -> RankedItems:
        """With (n_rows, k) further items; -1 for no item."""
        return RankedItems(
            np.hstack([self.items, np.asarray(items, dtype=np.intp)]),
            np.hstack([self.scores, np.asarray(scores, dtype=np.float32)]),
            np.hstack([self.sources, np.asarray(sources, dtype=np.intp)]),
            self.names,
        )


def top_items(
    scores: Scores, *, exclude: NDArray[np.integer] | NDArray[np.bool_], k: int
) -> NDArray[np.intp]:
    """The k best of (n_items,) scores, the best first, without NaN and without `exclude`."""
    usable = np.where(np.isnan(scores), -np.inf, scores)
    usable[exclude] = -np.inf
    if k <= 0 or not len(usable):
        return np.empty(0, dtype=np.intp)
    place = max(len(usable) - k, 0)
    least = np.partition(usable, place)[place]
    best = np.flatnonzero((usable >= least) & (usable > -np.inf))
    return best[np.argsort(-usable[best], kind="stable")[:k]]


#: Takes (k,) rows; returns the (k, n_items) scores of these users, NaN for no opinion.
Opinions = Callable[[NDArray[np.intp]], Scores]


def rank_with_fallback(
    models: Iterable[tuple[str, Opinions]],
    *,
    candidates: NDArray[np.bool_],
    n: int,
    pool: int | None = None,
) -> RankedItems:
    """Rank by the first model; append what only the next model scores; and so on.

    Args:
        models: By name, the most trusted first. The next model is asked about the users who have
            fewer than n items so far.
        candidates: (n_rows, n_items) the items that may be listed.
        pool: Take up to so many (n or more) from the models that are asked.
    """
    at_most, left = n if pool is None else pool, candidates
    waiting, counts = np.arange(len(left)), np.zeros(len(left), dtype=np.intp)
    names: list[str] = []
    items = np.full((len(left), at_most), -1, dtype=np.intp)
    scores, sources = np.zeros(items.shape, dtype=np.float32), np.zeros_like(items)
    for name, opinions in models:
        found = opinions(waiting)
        usable = np.where(left[waiting], np.fmax(found, np.float32(-np.inf)), -np.inf)
        rows, best, places = _best_of_rows(usable, at_most - counts[waiting])
        values, rows = found[rows, best], waiting[rows]
        places += counts[rows]
        items[rows, places], scores[rows, places], sources[rows, places] = best, values, len(names)
        names.append(name)
        counts += np.bincount(rows, minlength=len(counts))
        waiting = np.flatnonzero(counts < n)
        if not len(waiting):
            break
        left = left.copy()
        left[rows, best] = False
        waiting = waiting[left[waiting].any(axis=1)]
        if not len(waiting):
            break
    used = slice(int(counts.max(initial=0)))
    return RankedItems(items[:, used], scores[:, used], sources[:, used], tuple(names))


def _best_of_rows(
    usable: Scores, k: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """The rows, the items and the places of the k best items of each row.

    Args:
        usable: (n_rows, n_items); -inf for an item that must not be taken.
        k: (n_rows,).
    """
    least: Any = np.finfo(np.float32).min
    most = int(k.max(initial=0))
    if most < usable.shape[1]:
        place = usable.shape[1] - max(most, 1)
        least = np.maximum(least, np.partition(usable, place, axis=1)[:, place, None])
    rows, items = np.nonzero(usable >= least)
    order = np.lexsort((-usable[rows, items], rows))
    rows, items = rows[order], items[order]
    places = np.arange(len(rows)) - np.searchsorted(rows, rows)
    taken = places < k[rows]
    return rows[taken], items[taken], places[taken]


def preference_scores(
    genres: csr_matrix,
    *,
    wanted_genres: NDArray[np.integer],
    in_wanted_language: NDArray[np.bool_],
    standing: Scores,
) -> Scores:
    """Score films by stated preferences: by matching genres, then language, then standing.

    Args:
        genres: (n_films, n_genres) 1 where the film has the genre.
        wanted_genres: Columns of `genres`.
        in_wanted_language: (n_films,)
        standing: (n_films,) 0 to 1, as from `percentile_ranks`.

    Returns:
        (n_films,) float32 above 0; NaN for a film that matches nothing.
    """
    wanted = np.zeros(genres.shape[1], dtype=np.float32)
    wanted[wanted_genres] = 1
    found = genres @ wanted + LANGUAGE * in_wanted_language
    scores = found + STANDING * standing
    return np.where(found > 0, scores, np.nan).astype(np.float32)


def percentile_ranks(values: Scores) -> Scores:
    """(n,) float32 from 0 to below 1: the share of values below each, to compare unlike figures."""
    below = np.searchsorted(np.sort(values), values, side="left")
    return (below / max(len(values), 1)).astype(np.float32)


# --- re-ranking


def diversity_vectors(items: ItemFeatures) -> csr_matrix:
    """(n_items, n_features) float32: the product of two rows is the items' similarity, 0 to 1.

    It is the weighted mean of the cosines in each kind of `SHARES`. An item without features of a
    kind has cosine 0 in it.
    """
    kinds = [name.partition(":")[0] for name in items.names]
    matrix = items.matrix[:, [column for column, kind in enumerate(kinds) if kind in SHARES]]
    names = tuple(name for name, kind in zip(items.names, kinds, strict=True) if kind in SHARES)
    present = {kind: SHARES[kind] for kind in SHARES if kind in kinds}
    whole = sum(present.values())
    weights = {kind: (share / whole) ** 0.5 for kind, share in present.items()}
    of_length = {
        kind: FeatureKind(weight, rarity=False, evening=1) for kind, weight in weights.items()
    }
    return tfidf_vectors(ItemFeatures(matrix, names), of_length)


def pairwise_similarities(vectors: csr_matrix, rows: NDArray[np.integer]) -> NDArray[np.float32]:
    """(m, m) float32, the products of (m,) rows; -1 is the last row."""
    values, columns, counts = row_entries(vectors, rows % vectors.shape[0])
    used = np.flatnonzero(np.bincount(columns, minlength=vectors.shape[1]))
    places = np.empty(vectors.shape[1], dtype=np.intp)
    places[used] = np.arange(len(used))
    dense = np.zeros((len(rows), len(used)), dtype=np.float32)
    dense[np.repeat(np.arange(len(rows)), counts), places[columns]] = values
    return dense @ dense.T


def normalised_relevances(scores: Scores, tiers: NDArray[np.integer]) -> Float64:
    """Scale the scores of each tier to 0 to 1, because different models have different scales.

    If all scores of a tier are equal, the relevance falls with the position.

    Args:
        scores: (n_rows, m) finite.
        tiers: (n_rows, m) the position of the model that ranked the item, 0 for the most trusted;
            -1 for no item.

    Returns:
        (n_rows, m) float64; -inf for no item.
    """
    found, wide = np.full(scores.shape, -np.inf), scores.astype(np.float64)
    for tier in np.unique(tiers[tiers >= 0]).tolist():
        mine = tiers == tier
        least = np.where(mine, wide, np.inf).min(axis=1, keepdims=True)
        span = np.where(mine, wide, -np.inf).max(axis=1, keepdims=True) - least
        with np.errstate(divide="ignore", invalid="ignore"):
            relevance = (wide - least) / span
        if not (span > 0).all():
            sizes = np.maximum(mine.sum(axis=1, keepdims=True), 1)
            relevance = np.where(span > 0, relevance, 1 - (mine.cumsum(axis=1) - 1) / sizes)
        np.copyto(found, relevance, where=mine)
    return found


def rerank(
    relevance: Float64,
    alike: Iterable[NDArray[np.floating]],
    *,
    tiers: NDArray[np.integer],
    diversity: float,
    n: int,
) -> NDArray[np.intp]:
    """Choose n of m items in turn by relevance minus the mean similarity to those chosen before.

    Maximal marginal relevance, Carbonell and Goldstein (1998), doi:10.1145/290941.291025, with the
    mean in place of the maximum, as in Smyth and McClave (2001), doi:10.1007/3-540-44593-5_25.
    Items of a later tier follow all items of the earlier ones.

    Args:
        relevance: (n_rows, m); -inf for no item.
        alike: For each row (m, m) similarities, 0 to 1.
        tiers: (n_rows, m) not negative for an item.
        diversity: The weight of similarity, 0 to 1. The first of equal items wins.

    Returns:
        (n_rows, min(n, m)) indices of the chosen items, in their order; -1 behind the last one.
    """
    chosen = np.full((len(relevance), min(n, relevance.shape[1])), -1, dtype=np.intp)
    for row, similarities in enumerate(alike):
        [items] = np.nonzero(relevance[row] > -np.inf)
        if len(items) < len(similarities):
            similarities = similarities[np.ix_(items, items)]
        worth = (1 - diversity) * relevance[row, items]
        # A tier weighs more than any difference within a tier.
        worth -= tiers[row, items] * (np.ptp(worth) + diversity + 1 if len(items) else 0)
        order = _choose(worth, similarities, diversity, chosen.shape[1])
        chosen[row, : len(order)] = items[order]
    return chosen


def _choose(worth: Float64, alike: NDArray[np.floating], diversity: float, n: int) -> list[int]:
    """The chosen items of one row. The loop over rows is as fast as one over places."""
    if not len(worth):
        return []
    # With k items chosen, `gains` is k times the current worth, so a choice only adds its row.
    steps = worth - diversity * alike.astype(np.float64)
    gains, best = np.zeros_like(worth), int(worth.argmax())
    chosen = []
    for _ in range(min(n, len(worth))):
        chosen.append(best)
        gains += steps[best]
        gains[best] = -np.inf  # stays -inf
        best = int(gains.argmax())
    return chosen


@dataclass(frozen=True, eq=False)
class DiversityReranker:
    """Re-ranks by diversity alone, for an evaluation.

    Attributes:
        vectors: As from `diversity_vectors`.
        diversity: As in `rerank`.
    """

    vectors: csr_matrix
    diversity: float
    pool: int = POOL

    def lists(
        self,
        pools: NDArray[np.intp],
        scores: NDArray[np.floating],
        k: int,
        history: csr_matrix | None = None,
    ) -> NDArray[np.intp]:
        """Choose (n_rows, k) items; -1 behind the last one.

        Args:
            pools: (n_rows, m) items, the best first; -1 behind the last one.
            scores: (n_rows, m) the scores of these items.
        """
        tiers = np.where(pools >= 0, 0, -1)
        alike = (pairwise_similarities(self.vectors, pool) for pool in pools)
        relevance = normalised_relevances(scores, tiers)
        order = rerank(relevance, alike, tiers=tiers, diversity=self.diversity, n=k)
        return chosen_lists(pools, order, k)


def chosen_lists(pools: NDArray[np.intp], order: NDArray[np.intp], k: int) -> NDArray[np.intp]:
    """(n_rows, k) the items of the pools in this order; -1 behind the last one."""
    lists = np.full((len(pools), k), -1, dtype=np.intp)
    chosen = np.take_along_axis(pools, order, axis=1)
    lists[:, : order.shape[1]] = np.where(order >= 0, chosen, -1)
    return lists


def separate_equal_keys(keys: Sequence[str], *, fixed: Collection[int], first: int) -> list[int]:
    """Reorder a list so that the first `first` items have different keys.

    An item with the key of an earlier one moves right behind the first ones, if another item can
    take its place; otherwise the order stays.

    Args:
        keys: The key of each item; "" differs from all keys, also from "".
        fixed: Positions that do not change. Other items avoid their keys.

    Returns:
        The old positions in the new order.
    """
    beginning = [key for key in keys[:first] if key]
    if len({*beginning}) == len(beginning):
        return list(range(len(keys)))
    taken = {keys[place] for place in fixed if place < first}
    free = [place for place in range(len(keys)) if place not in fixed]
    n_first = sum(place < first for place in free)
    ahead: list[int] = []
    for place in free:
        if len(ahead) < n_first and not (keys[place] and keys[place] in taken):
            ahead.append(place)
            taken.add(keys[place])
    behind = sorted(set(free) - set(ahead))
    put = iter([*ahead, *behind])
    return [place if place in fixed else next(put) for place in range(len(keys))]


def newness(days: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n,) float64: 1 on the day a film starts, halved every HALF_LIFE_DAYS before and after it.

    Args:
        days: (n,) days from today to the start, negative if it has passed.
    """
    found: NDArray[np.float64] = np.exp2(-np.abs(days) / HALF_LIFE_DAYS)
    return found


def fatigue(times: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n,) float64, 0 to 1, for items shown this many times and never opened; 0 for once.

    Lee, Lakshmanan, Tiwari and Shah (2014), doi:10.1145/2623330.2623356, find that interest falls
    with each impression. The speed is a guess until we have measured it.
    """
    found: NDArray[np.float64] = 1 - np.exp2(-np.maximum(times - 1, 0.0))
    return found
