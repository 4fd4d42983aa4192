"""Folding a user in: factors for whoever comes with a history, solved for on the item factors.

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

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class FactorModel:
    """What scoring needs.

    Attributes:
        item_factors: (n_items, k) float32; a row of zeros for an item that nobody has touched,
            unless it is cold.
        gram: (k, k) float64, the touched items' cross product plus the regularisation.
        known: (n_items,) bool, the items that somebody has touched.
        cold: (n_items,) bool, those that nobody has, with factors from what they are made of.
        liked_by: (n_items,) int32, how many users have liked each.
        scale: The confidence of a weight of 1.
    """

    item_factors: NDArray[np.float32]
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
    def lengths(self) -> NDArray[np.float32]:
        """(n_items,) of the factors; NaN where too few have liked the item to say who they are."""
        return lengths_of_liked(self.item_factors, self.liked_by)


@dataclass(frozen=True)
class FoldedIn:
    """One user, solved for.

    Attributes:
        vector: (k,) float64, the user's factors.
        cholesky: The factorised left side of the user's equations.
        entries: (m,) places in the history that the model has factors of.
        factors: (m, k) float64, the item factors of those entries.
        pull, beyond: (m,) float64, as in `_Equations`.
    """

    vector: Float64
    cholesky: tuple[Float64, bool]
    entries: NDArray[np.intp]
    factors: Float64
    pull: Float64
    beyond: Float64

    def without(self, entries: NDArray[np.integer]) -> Float64:
        """(1 + n, k) the user's factors, and what they would be without each of the entries.

        By the formula of Sherman and Morrison: (A − d·yy')⁻¹(b − p·y) = x − z·(p − d·y'x) / (1 −
        d·y'z) with z = A⁻¹y, where p is the pull of the entry. NaN where nothing liked is left.
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
    """What is known of one user.

    Attributes:
        entries: (m,) places in the history that the model has factors of.
        items: (m,) their items.
        pull: (m,) float64, the confidence of a positive entry, 0 for a negative one.
        beyond: (m,) float64, by how much the confidence goes beyond what `gram` holds of the item.
    """

    entries: NDArray[np.intp]
    items: NDArray[np.integer]
    pull: Float64
    beyond: Float64


def _equations(model: FactorModel, history: csr_matrix, row: int) -> _Equations | None:
    """None without a known liked item."""
    start, end = history.indptr[row], history.indptr[row + 1]
    items, weights = history.indices[start:end], history.data[start:end]
    entries = np.flatnonzero(model.known[items] | model.cold[items])
    confidence = model.scale * weights[entries].astype(np.float64)
    pull = np.maximum(confidence, 0)
    if not pull.any():
        return None
    # As untouched with confidence 1, a known item is in the cross product; a cold one is not.
    beyond = np.abs(confidence) - model.known[items[entries]]
    return _Equations(entries, items[entries], pull, beyond)


def fold_in(model: FactorModel, history: csr_matrix, row: int) -> FoldedIn | None:
    """Solve for one user as `implicit` does in training; None without a known liked item."""
    own = _equations(model, history, row)
    if own is None:
        return None
    factors = model.item_factors[own.items].astype(np.float64)
    left = model.gram + (factors.T * own.beyond) @ factors
    cholesky = cho_factor(left, lower=True, overwrite_a=True, check_finite=False)
    vector = cho_solve(cholesky, own.pull @ factors, check_finite=False)
    return FoldedIn(vector, cholesky, own.entries, factors, own.pull, own.beyond)


def fold_in_all(model: FactorModel, history: csr_matrix) -> NDArray[np.float32]:
    """(n_rows, k) float32, the factors of each user; NaN without a known liked item.

    The same as `fold_in`. A user of few items is solved for in as many unknowns as items, by the
    matrix inversion lemma: (G + Y'DY)⁻¹ Y'p = G⁻¹Y' (I + D Y G⁻¹ Y')⁻¹ p.
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


#: Items that one and the same viewer alone has liked are no more alike than that.
ENOUGH_VIEWERS = 5


def lengths_of_liked(
    item_factors: NDArray[np.float32], liked_by: NDArray[np.int32]
) -> NDArray[np.float32]:
    """(n_items,) of the factors; NaN where fewer than ENOUGH_VIEWERS have liked the item."""
    lengths = np.linalg.norm(item_factors, axis=1)
    return np.where(liked_by < ENOUGH_VIEWERS, np.nan, lengths).astype(np.float32)


def cosines_with(
    item_factors: NDArray[np.float32], lengths: NDArray[np.float32], item: int
) -> Scores:
    """(n_items,) from -1 to 1, of each item and this one; NaN where a length is."""
    direction = item_factors[item] / lengths[item]
    alike: Scores = item_factors @ direction / lengths
    return alike.clip(-1, 1)


def unit_vectors(
    item_factors: NDArray[np.float32], lengths: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(n_items, k) of length 1, a copy; NaN where a length is."""
    pointing: NDArray[np.float32] = item_factors / lengths[:, None]
    return pointing
