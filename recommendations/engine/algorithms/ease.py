"""A linear autoencoder in closed form. Steck (2019), doi:10.1145/3308558.3313710."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular
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
#: From this ratio of films to viewers on, the inverse comes from a system of the viewers' size.
FEW_USERS = 2
#: From this number of likes on, active viewers count less. With a quarter of it nothing was gained.
MANY_LIKES = 300_000
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
        activity: A viewer with L likes counts (mean L / L)^activity while learning; by default 0.5
            from MANY_LIKES on, and 0 below.
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
        activity: float | None = None,
    ) -> None:
        self.regularization = regularization
        self.dropout = dropout
        self.damping = damping
        self.activity = activity

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        likes = int((interactions.data > 0).sum())
        return {"regularization": self._regularization(likes), "damping": self.damping}

    def fit_cost(self, interactions: csr_matrix) -> FitCost:
        """The time grows with the cube of the liked items, the memory with the square of all.

        With few viewers it grows with their number and the square of the items.
        """
        liked = interactions.data > 0
        n_liked = np.count_nonzero(np.bincount(interactions.indices[liked]))
        lengths = np.diff(np.concatenate(([0], np.cumsum(liked)))[interactions.indptr])
        n_users = np.count_nonzero(lengths)
        width = n_users if FEW_USERS * n_users < n_liked else n_liked
        seconds = PAIR_S * float((lengths.astype(np.float64) ** 2).sum())
        seconds += float(n_liked) ** 2 * width / PRODUCTS_PER_S
        return FitCost(seconds, MATRICES * 4.0 * interactions.shape[1] ** 2)

    def _learn(self, likes: csr_matrix) -> Weights:
        likes = likes[np.diff(likes.indptr) > 0]
        liked_by = np.bincount(likes.indices, minlength=likes.shape[1])
        likes = weigh_by_activity(likes, self.activity_for(likes.nnz), likes.nnz / likes.shape[0])
        if FEW_USERS * likes.shape[0] < likes.shape[1]:
            squares = np.asarray(likes.power(2).sum(axis=0), dtype=np.float32).ravel()
            inverse = invert_by_users(likes, self._added(squares, likes.nnz))
            return self._weights(inverse, liked_by)
        products = gram(likes)
        self._report(0.2)
        return self.solve(products, liked_by)

    def solve(self, products: Float32, liked_by: NDArray[np.integer]) -> Float32:
        """The weights from the items' cross products, in place.

        Args:
            products: (n_items, n_items), as from `gram`.
            liked_by: (n_items,) number of users who like the item.
        """
        diagonal = np.einsum("ii->i", products)
        diagonal += self._added(diagonal, int(liked_by.sum()))
        return self._weights(invert(products), liked_by)

    def _added(self, squares: Float32, n_likes: int) -> Float32:
        """(n_items,) the penalties that are added to the diagonal, `squares`.

        The mean square of a like is 1 before viewers are weighted. The regularisation follows it.
        """
        mean_square = float(squares.sum(dtype=np.float64)) / n_likes
        added = squares * np.float32(self.dropout / (1 - self.dropout))
        added += np.float32(self._regularization(n_likes) * mean_square)
        return added

    def _weights(self, inverse: Float32, liked_by: NDArray[np.integer]) -> Float32:
        self._report(0.9)
        own: Float32 = np.diagonal(inverse)
        inverse *= -damping(liked_by, self.damping) / own
        np.fill_diagonal(inverse, 0)
        return inverse

    def activity_for(self, n_likes: int) -> float:
        """The power for so many likes."""
        if self.activity is not None:
            return self.activity
        return 0.5 if n_likes >= MANY_LIKES else 0.0

    def _regularization(self, n_likes: int) -> float:
        if self.regularization is not None:
            return self.regularization
        return max(1.0, 0.8 * math.sqrt(n_likes))


def all_cores() -> threadpool_limits:
    """Use all cores for large dense products, although the process started with one BLAS thread."""
    return threadpool_limits(core_count(), "blas")


def weigh_by_activity(likes: csr_matrix, power: float, mean_length: float) -> csr_matrix:
    """The likes times the root of each viewer's weight.

    Args:
        likes: (n, n_items) float32, all likes of some viewers.
        mean_length: The mean number of likes of all viewers who have one.
    """
    if not power:
        return likes
    lengths = np.diff(likes.indptr)
    roots = (mean_length / np.maximum(lengths, 1)) ** (power / 2)
    weighted = likes.copy()
    weighted.data *= np.repeat(roots.astype(np.float32), lengths)
    return weighted


def gram(likes: csr_matrix) -> Float32:
    """(n_items, n_items) float32, the items' cross products likesᵀ likes."""
    n_items = likes.shape[1]
    by_item = csr_matrix(likes.T)
    product = np.empty((n_items, n_items), dtype=np.float32)
    for block in blocks(n_items, n_items):
        (by_item[block] @ likes).toarray(out=product[block])
    return product


def invert_by_users(likes: csr_matrix, added: Float32) -> Float32:
    """Invert likesᵀ likes + diag(added) by Woodbury's identity: a system of the users' size.

    Args:
        likes: (n_users, n_items) float32.
        added: (n_items,) positive.

    Returns:
        (n_items, n_items) float32.
    """
    scaled = csr_matrix(likes.multiply(1 / added))
    system = np.eye(likes.shape[0], dtype=np.float32) + (scaled @ likes.T).toarray()
    with all_cores():
        half = solve_triangular(cholesky(system, lower=True), scaled.toarray(), lower=True)
        inverse = np.asarray(half.T @ half, dtype=np.float32)
    np.negative(inverse, out=inverse)
    np.einsum("ii->i", inverse)[:] += 1 / added
    return inverse


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
