"""Fold-in: compute the factors of a user from a history and the item factors.

Hu, Koren and Volinsky (2008), doi:10.1109/ICDM.2008.22, equation 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import Scores, one_thread

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

#: Items liked by fewer users have no opinion: a single user would make them look alike.
ENOUGH_VIEWERS = 5


@dataclass(frozen=True)
class FactorModel:
    """A fitted factorisation.

    Attributes:
        item_factors: (n_items, k) float32; zeros for an item that is neither known nor cold.
        gram: (k, k) float64, the cross product of the known items' factors plus regularisation.
        known: (n_items,) bool, the items with interactions.
        cold: (n_items,) bool, the items without interactions whose factors come from features.
        liked_by: (n_items,) int32, number of users who like the item.
        scale: The confidence of a weight of 1.
    """

    item_factors: Float32
    gram: Float64
    known: NDArray[np.bool_]
    cold: NDArray[np.bool_]
    liked_by: NDArray[np.int32]
    scale: float

    @property
    def n_items(self) -> int:
        return len(self.known)

    @cached_property
    def solved_factors(self) -> Float64:
        """(n_items, k) float64, the item factors times the inverse of `gram`."""
        factors = self.item_factors.astype(np.float64)
        return np.ascontiguousarray(cho_solve(cho_factor(self.gram), factors.T).T)

    @cached_property
    def lengths(self) -> Float32:
        """(n_items,) lengths of the factors; NaN for items that fewer than ENOUGH_VIEWERS like."""
        lengths = np.linalg.norm(self.item_factors, axis=1)
        return np.where(self.liked_by < ENOUGH_VIEWERS, np.nan, lengths).astype(np.float32)

    def cosines_with(self, item: int) -> Scores:
        """(n_items,) from -1 to 1, between each item and this one; NaN where `lengths` is NaN."""
        direction = self.item_factors[item] / self.lengths[item]
        cosines: Scores = self.item_factors @ direction / self.lengths
        return cosines.clip(-1, 1)

    def unit_vectors(self) -> Scores:
        """(n_items, k) of length 1; NaN where `lengths` is NaN."""
        vectors: Scores = self.item_factors / self.lengths[:, None]
        return vectors


@dataclass(frozen=True)
class FoldedIn:
    """The factors of one user, with what is needed to leave entries out.

    Attributes:
        vector: (k,) float64, the user's factors.
        cholesky: The factorised left side of the user's equations.
        entries: (m,) positions in the history of the items that have factors.
        factors: (m, k) float64, the factors of these items.
        pull, beyond: (m,) float64, as in `_Equations`.
    """

    vector: Float64
    cholesky: tuple[Float64, bool]
    entries: NDArray[np.intp]
    factors: Float64
    pull: Float64
    beyond: Float64

    def without(self, entries: NDArray[np.integer]) -> Float64:
        """(1 + n, k) float64: the user's factors, then the factors without each of the n entries.

        By the formula of Sherman and Morrison: (A − d·yy')⁻¹(b − p·y) = x − z·(p − d·y'x) / (1 −
        d·y'z) with z = A⁻¹y, where p is the pull of the entry and d its `beyond`. NaN where no
        liked item is left.
        """
        vectors = np.tile(self.vector, (1 + len(entries), 1))
        places = np.searchsorted(self.entries, entries)
        places[places == len(self.entries)] = 0
        found = np.flatnonzero(self.entries[places] == entries)
        places = places[found]
        own, pull, beyond = self.factors[places], self.pull[places], self.beyond[places]
        solved = cho_solve(self.cholesky, own.T, check_finite=False).T
        sizes = (pull - beyond * (own @ self.vector)) / (1 - beyond * (own * solved).sum(axis=1))
        vectors[1 + found] -= sizes[:, None] * solved
        if np.count_nonzero(self.pull) == 1:
            vectors[1 + found[pull > 0]] = np.nan
        return vectors


@dataclass(frozen=True)
class _Equations:
    """The terms of one user's equations.

    Attributes:
        entries: (m,) positions in the history of the items that have factors.
        items: (m,) these items.
        pull: (m,) float64, the confidence of a positive entry; 0 for a negative one.
        beyond: (m,) float64, the confidence minus the share of it that `gram` contains already.
    """

    entries: NDArray[np.intp]
    items: NDArray[np.integer]
    pull: Float64
    beyond: Float64


def _equations(model: FactorModel, history: csr_matrix, row: int) -> _Equations | None:
    """None if the history has no liked item with factors."""
    start, end = history.indptr[row], history.indptr[row + 1]
    items, weights = history.indices[start:end], history.data[start:end]
    entries = np.flatnonzero(model.known[items] | model.cold[items])
    confidence = model.scale * weights[entries].astype(np.float64)
    pull = np.maximum(confidence, 0)
    if not pull.any():
        return None
    # `gram` contains each known item with confidence 1, and no cold item.
    beyond = np.abs(confidence) - model.known[items[entries]]
    return _Equations(entries, items[entries], pull, beyond)


def fold_in(model: FactorModel, history: csr_matrix, row: int) -> FoldedIn | None:
    """Solve for one user, as `implicit` does; None without a liked item with factors."""
    own = _equations(model, history, row)
    if own is None:
        return None
    factors = model.item_factors[own.items].astype(np.float64)
    left = model.gram + (factors.T * own.beyond) @ factors
    cholesky = cho_factor(left, lower=True, overwrite_a=True, check_finite=False)
    vector = cho_solve(cholesky, own.pull @ factors, check_finite=False)
    return FoldedIn(vector, cholesky, own.entries, factors, own.pull, own.beyond)


def fold_in_all(model: FactorModel, history: csr_matrix) -> NDArray[np.float32]:
    """(n_rows, k) float32, the factors of each user; NaN without a liked item with factors.

    Equal to `fold_in`. For a user with few items it solves a system of that size, by the matrix
    inversion lemma: (G + Y'DY)⁻¹ Y'p = G⁻¹Y' (I + D Y G⁻¹ Y')⁻¹ p.
    """
    k = model.gram.shape[0]
    vectors = np.full((history.shape[0], k), np.nan, dtype=np.float32)
    with one_thread():
        for row in range(history.shape[0]):
            own = _equations(model, history, row)
            if own is None:
                continue
            if len(own.items) > k // 2:
                folded = fold_in(model, history, row)
                assert folded is not None
                vectors[row] = folded.vector
            else:
                vectors[row] = _by_its_items(model, own)
    return vectors


def _by_its_items(model: FactorModel, own: _Equations) -> Float64:
    solved = model.solved_factors[own.items]
    left = own.beyond[:, None] * (model.item_factors[own.items] @ solved.T)
    left.flat[:: len(left) + 1] += 1
    vector: Float64 = np.linalg.solve(left, own.pull) @ solved
    return vector
