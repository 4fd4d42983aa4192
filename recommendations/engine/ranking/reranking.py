"""From the best items to the order of a list: what is relevant, and not all of a kind."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.feature_vectors import FeatureKind, tfidf_vectors
from recommendations.engine.matrices import ItemFeatures

Float64 = NDArray[np.float64]

#: So many of the best are arranged: three times as many as a list has.
POOL = 120
#: What makes two films alike, and how much; of what no film has, the share goes to the rest.
SHARES = {"genre": 0.5, "decade": 0.2, "director": 0.2, "language": 0.1}


def diversity_vectors(items: ItemFeatures) -> csr_matrix:
    """(n_items, n_features) float32: the product of two rows is how alike the items are, 0 to 1.

    It is the weighted mean of their cosines in each of `SHARES`. An item that has nothing of one
    is unlike all others in that.
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
    """(m, m) of each two of them."""
    found: Float64 = (vectors @ vectors.T).toarray().astype(np.float64)
    return found


def normalised_relevances(scores: Float64, tiers: NDArray[np.integer]) -> Float64:
    """The scores of each tier from 0 to 1: those of several have no scale in common.

    Where all of a tier have the same score, the order counts in which they stand.

    Args:
        scores: (m,)
        tiers: (m,) who put the item there.
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
    """Choose n of m items one by one: relevance, less the mean likeness to those chosen before.

    Maximal marginal relevance, Carbonell and Goldstein (1998), doi:10.1145/290941.291025, with the
    mean in place of the maximum, as Smyth and McClave (2001), doi:10.1007/3-540-44593-5_25; what
    was measured: docs/decisions/0046. An item of a later tier comes after all of the earlier ones.

    Args:
        relevance: (m,) finite.
        alike: (m, m) from 0 to 1.
        tiers: (m,) not negative.
        diversity: 0 goes by relevance alone, 1 by likeness alone; among equals the first counts.

    Returns:
        (min(n, m),) places of the chosen ones, in their order.
    """
    worth = (1 - diversity) * relevance
    if not len(worth):
        return np.empty(0, dtype=np.intp)
    # No difference within a tier outweighs a tier.
    worth = worth - tiers * (np.ptp(worth) + diversity + 1)
    # With k chosen, k times what each is worth now: what is chosen next only adds its row.
    steps = worth - diversity * alike
    gains, best = np.zeros_like(worth), int(worth.argmax())
    chosen = np.empty(min(n, len(worth)), dtype=np.intp)
    for place in range(len(chosen)):
        chosen[place] = best
        gains += steps[best]
        gains[best] = -np.inf  # and so it stays
        best = int(gains.argmax())
    return chosen


@dataclass(frozen=True, eq=False)
class DiversityReranker:
    """The order of lists, as an evaluation judges it.

    Attributes:
        vectors: As from `vectors_of`.
    """

    vectors: csr_matrix
    diversity: float
    pool: int = POOL

    def lists(
        self, pools: NDArray[np.intp], scores: NDArray[np.floating], k: int
    ) -> NDArray[np.intp]:
        """(n_rows, k) of the best of each row; -1 behind the last one.

        Args:
            pools: (n_rows, m) items, the best first; -1 behind the last one.
            scores: (n_rows, m)
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
    """The order of a list in which no two of the first ones have the same key.

    What has the key of one before it comes right behind the first ones, if something else is left
    to stand there; otherwise the order stays.

    Args:
        keys: Of each place; "" is unlike all others.
        fixed: Places that stay what they are. The others keep clear of their keys.

    Returns:
        The places of before, in the new order.
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


HALF_LIFE_DAYS = 14


def newness(days: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n,) 1 on the day on which a film starts; half as much two weeks before it, or after.

    Args:
        days: (n,) from today to the start, below 0 for one that lies back.
    """
    found: NDArray[np.float64] = np.exp2(-np.abs(days) / HALF_LIFE_DAYS)
    return found


def fatigue(times: NDArray[np.integer]) -> NDArray[np.float64]:
    """(n,) from 0 towards 1 for what was shown so many times and never opened; once is nothing.

    Lee, Lakshmanan, Tiwari and Shah (2014), doi:10.1145/2623330.2623356, find that interest falls
    with each time; how fast is our guess until impressions tell.
    """
    found: NDArray[np.float64] = 1 - np.exp2(-np.maximum(times - 1, 0.0))
    return found
