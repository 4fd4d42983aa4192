"""Re-ranking: the order of a list by relevance, diversity, newness and fatigue."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.feature_vectors import FeatureKind, tfidf_vectors
from recommendations.engine.matrices import ItemFeatures

Float64 = NDArray[np.float64]

#: Number of the best items that are re-ranked, three times the length of a list.
POOL = 120
#: Days in which the newness of a film halves.
HALF_LIFE_DAYS = 14
#: The share of each kind of feature in similarity. Kinds that no item has leave theirs to the rest.
SHARES = {"genre": 0.5, "decade": 0.2, "director": 0.2, "language": 0.1}


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


def pairwise_similarities(vectors: csr_matrix) -> Float64:
    """(m, m) float64, the products of all rows."""
    found: Float64 = (vectors @ vectors.T).toarray().astype(np.float64)
    return found


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
    for tier in np.unique(tiers):
        mine = tiers == tier
        values = scores[mine]
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
            alike = pairwise_similarities(self.vectors[items])
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
