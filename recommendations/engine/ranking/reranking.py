"""From scores to a list: the best items, fallbacks, and re-ranking for display."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

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
    """Items in their order, and the model that placed each one there.

    Attributes:
        items: (m,) indices.
        scores: (m,) float32.
        sources: (m,) indices in `names`.
        names: The models, the most trusted first.
    """

    items: NDArray[np.intp]
    scores: Scores
    sources: NDArray[np.intp]
    names: tuple[str, ...]

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_] | slice) -> RankedItems:
        return RankedItems(self.items[which], self.scores[which], self.sources[which], self.names)

    def then(self, items: ArrayLike, scores: ArrayLike, sources: ArrayLike) -> RankedItems:
        return RankedItems(
            np.append(self.items, np.asarray(items, dtype=np.intp)),
            np.append(self.scores, np.asarray(scores, dtype=np.float32)),
            np.append(self.sources, np.asarray(sources, dtype=np.intp)),
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


def rank_with_fallback(
    scores: Iterable[tuple[str, Scores]],
    *,
    candidates: NDArray[np.bool_],
    n: int,
    pool: int | None = None,
) -> RankedItems:
    """Rank by the first model; append what only the next model scores; and so on.

    Args:
        scores: The name and the (n_items,) scores of each model, the most trusted first; NaN for
            no opinion. The next model is read only while fewer than n items are ranked.
        candidates: (n_items,) the items that may be listed.
        pool: Take up to so many (n or more) from the models that are read.
    """
    at_most = n if pool is None else pool
    left = candidates.copy()
    names: list[str] = []
    items, values, counts = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.float32)], [0]
    for name, of_model in scores:
        top = top_items(of_model, exclude=~left, k=at_most - sum(counts))
        names.append(name)
        items.append(top)
        values.append(of_model[top])
        counts.append(len(top))
        left[top] = False
        if sum(counts) >= n or not left.any():
            break
    places = np.repeat(np.arange(len(names)), counts[1:])
    return RankedItems(np.concatenate(items), np.concatenate(values), places, tuple(names))


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


def pairwise_similarities(vectors: csr_matrix, rows: NDArray[np.integer]) -> Float64:
    """(m, m) float64, the products of (m,) rows; -1 is the last row."""
    values, columns, counts = row_entries(vectors, rows % vectors.shape[0])
    used, places = np.unique(columns, return_inverse=True)
    dense = np.zeros((len(rows), len(used)), dtype=np.float32)
    dense[np.repeat(np.arange(len(rows)), counts), places] = values
    return np.asarray(dense @ dense.T, dtype=np.float64)


def normalised_relevances(scores: Float64, tiers: NDArray[np.integer]) -> Float64:
    """Scale the scores of each tier to 0 to 1, because different models have different scales.

    If all scores of a tier are equal, the relevance falls with the position.

    Args:
        scores: (m,) finite.
        tiers: (m,) the position of the model that ranked the item, 0 for the most trusted.

    Returns:
        (m,) float64.
    """
    found = np.empty(len(scores))
    for tier in range(int(tiers.max(initial=-1)) + 1):
        mine = tiers == tier
        if not len(values := scores[mine]):
            continue
        least, span = values.min(), np.ptp(values)
        by_place = 1 - np.arange(len(values)) / len(values)
        found[mine] = (values - least) / span if span > 0 else by_place
    return found


def rerank(
    relevance: Float64, alike: Float64, *, tiers: NDArray[np.integer], diversity: float, n: int
) -> NDArray[np.intp]:
    """Choose n of m items in turn by relevance minus the mean similarity to those chosen before.

    Maximal marginal relevance, Carbonell and Goldstein (1998), doi:10.1145/290941.291025, with the
    mean in place of the maximum, as in Smyth and McClave (2001), doi:10.1007/3-540-44593-5_25.
    Items of a later tier follow all items of the earlier ones.

    Args:
        relevance: (m,) finite.
        alike: (m, m) similarities, 0 to 1.
        tiers: (m,) not negative.
        diversity: The weight of similarity, 0 to 1. The first of equal items wins.

    Returns:
        (min(n, m),) indices of the chosen items, in their order.
    """
    worth = (1 - diversity) * relevance
    if not len(worth):
        return np.empty(0, dtype=np.intp)
    # A tier weighs more than any difference within a tier.
    worth = worth - tiers * (np.ptp(worth) + diversity + 1)
    # With k items chosen, `gains` is k times the current worth, so a choice only adds its row.
    steps = worth - diversity * alike
    gains, best = np.zeros_like(worth), int(worth.argmax())
    chosen = np.empty(min(n, len(worth)), dtype=np.intp)
    for place in range(len(chosen)):
        chosen[place] = best
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
        self, pools: NDArray[np.intp], scores: NDArray[np.floating], k: int
    ) -> NDArray[np.intp]:
        """Choose (n_rows, k) items; -1 behind the last one.

        Args:
            pools: (n_rows, m) items, the best first; -1 behind the last one.
            scores: (n_rows, m) the scores of these items.
        """
        lists = np.full((len(pools), k), -1, dtype=np.intp)
        for row, (pool, values) in enumerate(zip(pools, scores, strict=True)):
            items, tiers = pool[pool >= 0], np.zeros((pool >= 0).sum(), dtype=np.intp)
            relevance = normalised_relevances(values[pool >= 0].astype(np.float64), tiers)
            alike = pairwise_similarities(self.vectors, items)
            order = rerank(relevance, alike, tiers=tiers, diversity=self.diversity, n=k)
            lists[row, : len(order)] = items[order]
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
