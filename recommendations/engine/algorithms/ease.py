"""EASE, a linear autoencoder in closed form, and the base of models with one matrix of weights.

Steck (2019), doi:10.1145/3308558.3313710.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from scipy.linalg.lapack import spotrf, spotri
from scipy.sparse import csr_matrix, issparse
from threadpoolctl import threadpool_limits

from recommendations.engine.matrices import (
    Array,
    Features,
    Scores,
    Times,
    blocks,
    core_count,
    mean_like,
    sparse_from_arrays,
    sparse_to_arrays,
    without_each_entry,
)
from recommendations.engine.recommender import ModelRecommender

Float32 = NDArray[np.float32]
#: (n_items, n_items) float32; row i is what a like of item i adds to the score of each item. Dense
#: if most weights are not 0.
Weights: TypeAlias = csr_matrix | NDArray[np.float32]

#: Pseudo-likes that limit the damping of rare films.
RARITY = 10


@dataclass(frozen=True)
class ItemWeightsModel:
    """The fitted model.

    Attributes:
        weights: Zero on the diagonal.
        known: (n_items,) bool, the items with interactions.
        mean: The mean of the positive weights in the training data.
    """

    weights: Weights
    known: NDArray[np.bool_]
    mean: float

    @property
    def n_items(self) -> int:
        return len(self.known)


class ItemWeightsRecommender(ModelRecommender[ItemWeightsModel]):
    """A linear model: scores are `likes @ weights`, and a subclass learns the weights.

    A like counts by sqrt(weight / mean weight). Dislikes are ignored: to subtract them, in whole
    or in part, made the lists worse.
    """

    @abstractmethod
    def _learn(self, likes: csr_matrix) -> Weights:
        """Learn the weights, with a zero diagonal.

        Args:
            likes: (n_users, n_items) float32, positive; no column is empty.
        """

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        n_items = interactions.shape[1]
        known = np.bincount(interactions.indices, minlength=n_items) > 0
        mean = mean_like(interactions)
        likes = likes_of(interactions, mean)
        liked = np.flatnonzero(np.bincount(likes.indices, minlength=n_items))
        weights: Weights = csr_matrix(np.zeros((0, 0), dtype=np.float32))
        if len(liked):
            weights = self._learn(csr_matrix(likes[:, liked]))
        weights = _spread(weights, liked, n_items)
        self._model = ItemWeightsModel(weights, known, mean)
        self._report(1)
        return self

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        model = self._fitted_for(history)
        likes = likes_of(history, model.mean)
        sums = likes @ model.weights
        scores: Scores = sums.toarray() if issparse(sums) else sums
        scores[~has_known_likes(likes, model.known)] = np.nan
        scores[:, ~model.known] = np.nan
        return scores

    def scores_without(
        self, history: csr_matrix, entries: NDArray[np.integer], times: Times = None
    ) -> Scores:
        model = self._fitted_for(history)
        all_likes = without_each_entry(history, entries)
        scores = np.tile(self.score(history), (1 + len(entries), 1))
        rows: Weights = model.weights[history.indices[entries]]
        weights = rows.toarray() if issparse(rows) else rows
        scores[1:] -= weights * _sizes(history.data[entries], model.mean)[:, None]
        scores[~has_known_likes(likes_of(all_likes, model.mean), model.known)] = np.nan
        return scores

    def contributions(
        self, history: csr_matrix, items: NDArray[np.integer]
    ) -> NDArray[np.float64] | None:
        """As in `Recommender`; None without a liked item that the model knows."""
        model = self._fitted_for(history)
        if not has_known_likes(likes_of(history, model.mean), model.known)[0]:
            return None
        rows = model.weights[history.indices][:, items]
        weights = rows.toarray() if issparse(rows) else rows
        sizes = _sizes(history.data, model.mean).astype(np.float64)
        parts: NDArray[np.float64] = (weights * sizes[:, None]).T
        return parts

    def to_arrays(self) -> dict[str, Array]:
        model = self._learned()
        weights = model.weights
        return {
            **(sparse_to_arrays("weights", weights) if issparse(weights) else {"weights": weights}),
            "known": model.known,
            "mean": np.array([model.mean]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        recommender = cls()
        known = np.asarray(arrays["known"], dtype=np.bool_)
        weights: Weights = (
            np.asarray(arrays["weights"], dtype=np.float32)
            if "weights" in arrays
            else sparse_from_arrays("weights", arrays, n_columns=len(known))
        )
        mean = float(np.asarray(arrays["mean"], dtype=np.float64)[0])
        recommender._model = ItemWeightsModel(weights, known, mean)
        return recommender


def likes_of(interactions: csr_matrix, mean: float) -> csr_matrix:
    """The positive entries, float32: sqrt(weight / mean) of each."""
    liked = interactions.data > 0
    ends = np.concatenate(([0], np.cumsum(liked)))[interactions.indptr]
    sizes = _sizes(interactions.data[liked], mean)
    return csr_matrix((sizes, interactions.indices[liked], ends), shape=interactions.shape)


def _sizes(weights: NDArray[np.float32], mean: float) -> NDArray[np.float32]:
    return np.sqrt(np.maximum(weights, 0) / mean, dtype=np.float32)


def has_known_likes(likes: csr_matrix, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n_rows,) bool, whether the row has a known item."""
    seen = np.concatenate(([0], np.cumsum(known[likes.indices])))
    return np.diff(seen[likes.indptr]) > 0


def damping(likes: csr_matrix, power: float) -> NDArray[np.float32]:
    """(n_items,) float32 factors for scores: the number of viewers plus RARITY, to -power."""
    liked_by = np.bincount(likes.indices, minlength=likes.shape[1])
    return ((liked_by + RARITY) ** -float(power)).astype(np.float32)


def _spread(weights: Weights, places: NDArray[np.intp], n_items: int) -> Weights:
    """Embed the weights in a larger catalogue, at `places`."""
    if len(places) == n_items:
        return weights
    if not issparse(weights):
        dense = np.zeros((n_items, n_items), dtype=np.float32)
        dense[np.ix_(places, places)] = weights
        return dense
    lengths = np.zeros(n_items, dtype=np.int64)
    lengths[places] = np.diff(weights.indptr)
    ends = np.concatenate(([0], np.cumsum(lengths)))
    columns = places[weights.indices].astype(np.int32)
    return csr_matrix((weights.data, columns, ends), shape=(n_items, n_items))


class EaseRecommender(ItemWeightsRecommender):
    """Predicts the likes of each film as a weighted sum of the likes of all others (least squares).

    Args:
        regularization: Added to the diagonal of the items' cross products; by default
            0.8 * sqrt(likes), which is 800 for a million.
        dropout: Share of each history that is hidden while learning, which equals regularisation
            by popularity. Steck (2020), "Autoencoders that don't overfit towards the identity".
        damping: Scores are divided by this power of the number of viewers.
        max_items: A larger catalogue is an obstacle: time grows with the cube of its size, memory
            with the square.
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
        max_items: int = 10_000,
    ) -> None:
        self.regularization = regularization
        self.dropout = dropout
        self.damping = damping
        self.max_items = max_items

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        likes = int((interactions.data > 0).sum())
        return {"regularization": self._regularization(likes), "damping": self.damping}

    def obstacle(
        self, interactions: csr_matrix, items: Features = None, times: Times = None
    ) -> str | None:
        n_items = interactions.shape[1]
        if n_items <= self.max_items:
            return None
        return f"It takes at most {self.max_items:,} films, and here are {n_items:,}."

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
