"""Calibrated lists: the genres of a list in the proportions of the films that the user likes.

Steck (2018), doi:10.1145/3240323.3240372, with equal weights of all films.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array

from recommendations.engine.ranking.reranking import POOL, chosen_lists, normalised_relevances

Float64 = NDArray[np.float64]

#: Share of the wanted proportions that Steck mixes in, so that no logarithm is of 0.
SMOOTHING = 0.01
#: The weight of calibration beside relevance, 0 to 1: the largest one that costs at most a tenth of
#: the NDCG on each validation split of `ml-latest-small`.
CALIBRATION = 0.3


def genre_shares(genres: csr_matrix) -> csr_matrix:
    """Divide each film among its genres.

    Args:
        genres: (n_items, n_genres) above 0 where the film has the genre.

    Returns:
        (n_items, n_genres) float64; rows have the sum 1, or 0 without a genre.
    """
    n_genres = np.asarray(genres.sum(axis=1), dtype=np.float64).ravel()
    scale = np.divide(1, n_genres, out=np.zeros_like(n_genres), where=n_genres > 0)
    return csr_matrix(diags_array(scale) @ genres)


def genre_tastes(history: csr_matrix, shares: csr_matrix) -> Float64:
    """(n_rows, n_genres) proportions of the liked films; NaN without any.

    Args:
        history: (n_rows, n_items) above 0 for a liked film.
        shares: As from `genre_shares`.
    """
    return proportions(((history > 0).astype(np.float64) @ shares).toarray())


def proportions(values: Float64) -> Float64:
    """The rows scaled to the sum 1; NaN where the sum is 0."""
    total = values.sum(axis=-1, keepdims=True)
    found: Float64 = np.divide(values, total, out=np.full_like(values, np.nan), where=total > 0)
    return found


def divergence(wanted: Float64, given: Float64) -> Float64:
    """Kullback-Leibler divergence of the given from the wanted proportions, in nats.

    Args:
        wanted: (..., n_genres)
        given: (..., n_genres)

    Returns:
        (...,) 0 for the same proportions; NaN where there are none.
    """
    mixed = (1 - SMOOTHING) * given + SMOOTHING * wanted
    wanted = np.broadcast_to(wanted, mixed.shape)
    terms = np.divide(wanted, mixed, out=np.ones_like(mixed), where=~(wanted <= 0))
    found: Float64 = (wanted * np.log(terms)).sum(axis=-1)
    return found


def calibrate(
    relevance: Float64,
    shares: Iterable[Float64],
    wanted: Float64,
    *,
    tiers: NDArray[np.integer],
    n: int,
    weight: float = CALIBRATION,
) -> NDArray[np.intp]:
    """Choose n of m items in turn by relevance minus the divergence of the list with the item.

    Items of a later tier follow all items of the earlier ones. The first of equal items wins.

    Args:
        relevance: (n_rows, m); -inf for no item.
        shares: For each row (m, n_genres), as from `genre_shares`.
        wanted: (n_rows, n_genres) proportions. A row of NaN is ordered by relevance.
        tiers: (n_rows, m) not negative for an item.
        weight: Of the divergence, 0 to 1; relevance has the rest.

    Returns:
        (n_rows, min(n, m)) indices of the chosen items, in their order; -1 behind the last one.
    """
    chosen = np.full((len(relevance), min(n, relevance.shape[1])), -1, dtype=np.intp)
    # The divergence lies between 0 and this.
    most = -np.log(SMOOTHING)
    for row, of_row in enumerate(shares):
        [items] = np.nonzero(relevance[row] > -np.inf)
        if not len(items):
            continue
        worth = (1 - weight) * relevance[row, items]
        worth -= tiers[row, items] * (np.ptp(worth) + weight * most + 1)
        order = _choose(worth, of_row[items], wanted[row], weight, chosen.shape[1])
        chosen[row, : len(order)] = items[order]
    return chosen


def _choose(worth: Float64, shares: Float64, wanted: Float64, weight: float, n: int) -> list[int]:
    """The chosen items of one row."""
    chosen: list[int] = []
    if np.isnan(wanted).any():
        chosen += np.argsort(-worth, kind="stable")[:n].tolist()
        return chosen
    # A genre that is not wanted only adds to the whole.
    is_wanted = wanted > 0
    wanted, whole = wanted[is_wanted], shares.sum(axis=1)
    shares = np.ascontiguousarray(shares[:, is_wanted])
    listed, size = np.zeros(len(wanted)), 0.0
    worth = worth.copy()
    for _ in range(min(n, len(worth))):
        given = (listed + shares) / np.maximum(size + whole, SMOOTHING)[:, None]
        mixed = (1 - SMOOTHING) * given + SMOOTHING * wanted
        # The divergence is a constant of the row minus this.
        best = int((worth + weight * (np.log(mixed) @ wanted)).argmax())
        chosen.append(best)
        listed, size = listed + shares[best], size + whole[best]
        worth[best] = -np.inf
    return chosen


@dataclass(frozen=True, eq=False)
class CalibratedReranker:
    """Re-ranks by calibration alone, for an evaluation.

    Attributes:
        shares: As from `genre_shares`.
        weight: As in `calibrate`.
    """

    shares: csr_matrix
    weight: float
    pool: int = POOL

    def lists(
        self,
        pools: NDArray[np.intp],
        scores: NDArray[np.floating],
        k: int,
        history: csr_matrix,
    ) -> NDArray[np.intp]:
        """As `DiversityReranker.lists`, with the (n_rows, n_items) histories."""
        tiers = np.where(pools >= 0, 0, -1)
        of_pools = (self.shares[pool].toarray() for pool in pools)
        order = calibrate(
            normalised_relevances(scores, tiers),
            of_pools,
            genre_tastes(history, self.shares),
            tiers=tiers,
            n=k,
            weight=self.weight,
        )
        return chosen_lists(pools, order, k)
