"""A linear autoencoder in closed form. Steck (2019), doi:10.1145/3308558.3313710."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from scipy.linalg.lapack import spotrf, spotri
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recommendations.engine.algorithms._item_weights import ItemWeightsRecommender, Weights, damping
from recommendations.engine.fit_cost import FitCost
from recommendations.engine.matrices import blocks, core_count

Float32 = NDArray[np.float32]

#: Float products a second while inverting, and seconds for each pair of a viewer's likes, on two
#: cores.
PRODUCTS_PER_S, PAIR_S = 100e9, 5e-9
#: Matrices of all pairs of items in memory at once: the work, its copy for the whole catalogue, and
#: the model that it replaces.
MATRICES = 3


class EaseRecommender(ItemWeightsRecommender):
    """Predicts the likes of each film as a weighted sum of the likes of all others (least squares).

    Args:
        regularization: Added to the diagonal of the items' cross products; by default
            0.8 * sqrt(likes), which is 800 for a million.
        dropout: Share of each history that is hidden while learning, which equals regularisation
            by popularity. Steck (2020), "Autoencoders that don't overfit towards the identity".
        damping: Scores are divided by this power of the number of viewers.
    """

    name = "ease"
    description = "What each film says for each other one, solved for all of them at once."
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "regularization": (50.0, 100.0, 200.0, 400.0, 800.0, 1600.0),
        "damping": (0.0, 0.1, 0.2, 0.3, 0.4),
    }

    def __init__(
        self,
        *,
        regularization: float | None = None,
        dropout: float = 1 / 3,
        damping: float = 0.2,
    ) -> None:
        self.regularization = regularization
        self.dropout = dropout
        self.damping = damping

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        likes = int((interactions.data > 0).sum())
        return {"regularization": self._regularization(likes), "damping": self.damping}

    def fit_cost(self, interactions: csr_matrix) -> FitCost:
        """The time grows with the cube of the liked items, the memory with the square of all."""
        liked = interactions.data > 0
        n_liked = np.count_nonzero(np.bincount(interactions.indices[liked]))
        lengths = np.diff(np.concatenate(([0], np.cumsum(liked)))[interactions.indptr])
        seconds = PAIR_S * float((lengths.astype(np.float64) ** 2).sum()) + float(n_liked) ** 3 / (
            PRODUCTS_PER_S
        )
        return FitCost(seconds, MATRICES * 4.0 * interactions.shape[1] ** 2)

    def _learn(self, likes: csr_matrix) -> Weights:
        products = gram(likes)
        self._report(0.2)
        diagonal = np.einsum("ii->i", products)
        diagonal *= 1 + self.dropout / (1 - self.dropout)
        diagonal += self._regularization(likes.nnz)
        weights = invert(products)
        self._report(0.9)
        own: Float32 = np.diagonal(weights)
        weights *= -damping(likes, self.damping) / own
        np.fill_diagonal(weights, 0)
        return weights

    def _regularization(self, n_likes: int) -> float:
        if self.regularization is not None:
            return self.regularization
        return max(1.0, 0.8 * math.sqrt(n_likes))


def all_cores() -> threadpool_limits:
    """Use all cores for large dense products, although the process started with one BLAS thread."""
    return threadpool_limits(core_count(), "blas")


def gram(likes: csr_matrix) -> Float32:
    """(n_items, n_items) float32, the items' cross products likesᵀ likes."""
    n_items = likes.shape[1]
    by_item = csr_matrix(likes.T)
    product = np.empty((n_items, n_items), dtype=np.float32)
    for block in blocks(n_items, n_items):
        (by_item[block] @ likes).toarray(out=product[block])
    return product


def invert(matrix: Float32) -> Float32:
    """Invert a symmetric positive definite float32 matrix in place, by Cholesky.

    float32 keeps four digits with this much regularisation, in half the time and memory of float64.

    Raises:
        LinAlgError: The matrix is not positive definite.
    """
    # The transpose of a symmetric C array is the same matrix in LAPACK's order, without a copy.
    with all_cores():
        factor, failed = spotrf(matrix.T, lower=True, overwrite_a=True, clean=False)
        if not failed:
            inverse, failed = spotri(factor, lower=True, overwrite_c=True)
    if failed:
        raise LinAlgError("the matrix is not positive definite: more regularization is needed")
    return _mirrored(inverse.T)


def _mirrored(upper: Float32) -> Float32:
    """Copy the upper triangle to the lower one, in place."""
    n = len(upper)
    for block in blocks(n, n):
        upper[block.stop :, block] = upper[block, block.stop :].T
        square = upper[block, block]
        square[:] = np.triu(square) + np.triu(square, 1).T
    return upper
