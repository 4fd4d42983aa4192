"""The fitted factors of ALS, and the fold-in of users by them.

It needs only NumPy and the item factors, so a process that only serves never imports `implicit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dgetrf, dgetrs, dpotrf, dpotrs
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
    def unknown(self) -> NDArray[np.intp]:
        """The items without factors."""
        return np.flatnonzero(~(self.known | self.cold))

    @cached_property
    def norms(self) -> Float32:
        """(n_items,) lengths of the factors."""
        return np.asarray(np.linalg.norm(self.item_factors, axis=1))

    @cached_property
    def lengths(self) -> Float32:
        """`norms`; NaN for items that fewer than ENOUGH_VIEWERS like."""
        return np.where(self.liked_by < ENOUGH_VIEWERS, np.float32(np.nan), self.norms)

    def cosines_with(self, item: int) -> Scores:
        """(n_items,) from -1 to 1, between each item and this one; NaN where `lengths` is NaN."""
        direction = self.item_factors[item] / self.lengths[item]
        cosines: Scores = self.item_factors @ direction / self.lengths
        return cosines.clip(-1, 1)

    def unit_vectors(self) -> Scores:
        """(n_items, k) of length 1; NaN where `lengths` is NaN."""
        vectors: Scores = self.item_factors / self.lengths[:, None]
        return vectors


@dataclass(frozen=True, eq=False)
class FoldedIn:
    """One user's equations A x = Y'p, with A = G + Y'DY, and their solution.

    A user with few items needs a system of that size only, by the matrix inversion lemma:
    A⁻¹ = G⁻¹ - G⁻¹Y' (I + D Y G⁻¹ Y')⁻¹ D Y G⁻¹, and A⁻¹ Y'p = G⁻¹Y' (I + D Y G⁻¹ Y')⁻¹ p.

    Attributes:
        model: With the factors Y and the matrix G, `gram`.
        entries: (m,) positions in the history of the items that have factors.
        items: (m,) these items.
        pull: (m,) float64, p: the confidence of a positive entry; 0 for a negative one.
        beyond: (m,) float64, D: the confidence minus the share of it that G contains already.
    """

    model: FactorModel
    entries: NDArray[np.intp]
    items: NDArray[np.integer]
    pull: Float64
    beyond: Float64

    @classmethod
    def of(cls, model: FactorModel, history: csr_matrix, row: int = 0) -> Self | None:
        """None if the history has no liked item with factors."""
        start, end = history.indptr[row], history.indptr[row + 1]
        items, weights = history.indices[start:end], history.data[start:end]
        entries = np.flatnonzero(model.known[items] | model.cold[items])
        confidence = model.scale * weights[entries].astype(np.float64)
        pull = np.maximum(confidence, 0)
        if not pull.any():
            return None
        items = items[entries]
        # `gram` contains each known item with confidence 1, and no cold item.
        return cls(model, entries, items, pull, np.abs(confidence) - model.known[items])

    @property
    def factors(self) -> Float64:
        """(m, k), Y."""
        return np.asarray(self.model.item_factors[self.items], dtype=np.float64)

    @property
    def is_small(self) -> bool:
        return len(self.items) <= len(self.model.gram) // 2

    # LAPACK is called directly: SciPy's functions take as long as these equations. A transposed
    # array is in LAPACK's order, and is overwritten in place of a copy.
    @cached_property
    def _equations(self) -> Any:
        """The factorised I + D Y G⁻¹ Y' of a small system, or A."""
        factors = self.factors
        if not self.is_small:
            left = self.model.gram + (factors.T * self.beyond) @ factors
            return dpotrf(left.T, lower=True, clean=False, overwrite_a=True)[0]
        left = self.model.solved_factors[self.items] @ factors.T * self.beyond
        left.flat[:: len(left) + 1] += 1
        return dgetrf(left.T, overwrite_a=True)[:2]

    def _solve(self, right: Float64) -> Float64:
        """Solve the equations for the columns of `right`, which is overwritten."""
        if self.is_small:
            return np.asarray(dgetrs(*self._equations, right, overwrite_b=True)[0])
        return np.asarray(dpotrs(self._equations, right, lower=True, overwrite_b=True)[0])

    @cached_property
    def vector(self) -> Float64:
        """(k,), x: the user's factors."""
        if self.is_small:
            return np.asarray(self._solve(self.pull.copy()) @ self.model.solved_factors[self.items])
        return self._solve(self.pull @ self.factors)

    def solved(self, items: NDArray[np.integer]) -> Float64:
        """(n, k), A⁻¹y of the factors y of each item."""
        if not self.is_small:
            return self._solve(self.model.item_factors[items].astype(np.float64).T).T
        solved = self.model.solved_factors
        shares = self._solve((solved[items] @ self.factors.T * self.beyond).T)
        return np.asarray(solved[items] - shares.T @ solved[self.items])


def fold_in_all(model: FactorModel, history: csr_matrix) -> list[FoldedIn | None]:
    """None for a user without a liked item with factors."""
    return [FoldedIn.of(model, history, row) for row in range(history.shape[0])]


def user_vectors(model: FactorModel, folded: Sequence[FoldedIn | None]) -> Float32:
    """(n_rows, k) float32, the factors of each user; NaN for None."""
    vectors = np.full((len(folded), len(model.gram)), np.nan, dtype=np.float32)
    with one_thread():
        for row, own in enumerate(folded):
            if own is not None:
                vectors[row] = own.vector
    return vectors
