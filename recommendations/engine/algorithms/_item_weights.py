"""Linear item models: one matrix of weights; a score is a sum over the films in the history."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse

from recommendations.engine.matrices import (
    Array,
    Features,
    Scores,
    Times,
    mean_like,
    sparse_from_arrays,
    sparse_to_arrays,
)
from recommendations.engine.recommender import Explainer, LeaveOneOut, ModelRecommender

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


@dataclass(eq=False)
class ItemWeightsExplainer(Explainer):
    """A score is a sum over the history."""

    @cached_property
    def likes(self) -> NDArray[np.float32]:
        """(nnz,) the size of each known like; 0 for another entry."""
        known = self.model.known[self.items]
        return np.asarray(_sizes(self.weights, self.model.mean) * known)

    def contributions(self, items: NDArray[np.integer]) -> NDArray[np.floating] | None:
        """As in `Explainer`; None without a liked item that the model knows."""
        if not self.likes.any():
            return None
        weights = _dense(self.model.weights[np.ix_(self.items, items)])
        return np.asarray(weights.T * self.likes)

    def without(self, entries: NDArray[np.integer], items: NDArray[np.integer]) -> LeaveOneOut:
        weights = _dense(self.model.weights[self.items[entries]])
        less = self.scores - weights * self.likes[entries, None]
        scores = np.vstack([self.scores, less])
        if np.count_nonzero(self.likes) == 1:
            scores[1:][self.likes[entries] > 0] = np.nan
        return LeaveOneOut.of(scores, items)


class ItemWeightsRecommender(ModelRecommender[ItemWeightsModel]):
    """Scores are `likes @ weights`; a subclass learns the weights.

    A like counts by sqrt(weight / mean weight). Dislikes are ignored: to subtract them, in whole
    or in part, made the lists worse.
    """

    explainer_type = ItemWeightsExplainer

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
        return self.adopt(weights, liked, known, mean)

    def adopt(
        self, weights: Weights, liked: NDArray[np.intp], known: NDArray[np.bool_], mean: float
    ) -> Self:
        """Become the model of these weights between the `liked` items, ascending indices."""
        weights = _spread(weights, liked, len(known))
        self._model = ItemWeightsModel(weights, known, mean)
        self._report(1)
        return self

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        model = self._fitted_for(history)
        likes = likes_of(history, model.mean)
        scores = _dense(likes @ model.weights)
        scores[~has_known_likes(likes, model.known)] = np.nan
        scores[:, ~model.known] = np.nan
        return scores

    def known_items(self) -> NDArray[np.bool_]:
        return self.learned().known

    def to_arrays(self) -> dict[str, Array]:
        model = self.learned()
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


def _dense(matrix: Weights) -> NDArray[np.float32]:
    return np.asarray(matrix.toarray() if issparse(matrix) else matrix)


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


def damping(liked_by: NDArray[np.integer], power: float) -> NDArray[np.float32]:
    """(n_items,) float32 factors for scores: the number of viewers plus RARITY, to -power."""
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
