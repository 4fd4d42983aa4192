"""Bayesian personalised ranking. Rendle et al. (2009), arXiv:1205.2618.

The library `implicit` trains. Folding a user in is NumPy on the item factors, so that a process
that only serves never imports `implicit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from scipy.special import expit
from threadpoolctl import threadpool_limits

from recommendations.engine.algorithms._fold_in import cosines_with, lengths_of_liked, unit_vectors
from recommendations.engine.matrices import Array, ItemFeatures, Scores, one_thread
from recommendations.engine.recommender import ModelRecommender

Float64 = NDArray[np.float64]

#: Items that a folded-in history is held against: quantiles of all likes.
RIVALS = 128
#: Newton's method is at the optimum but for rounding of what ranks.
NEWTON_STEPS = 4


@dataclass(frozen=True)
class _Model:
    """What scoring needs.

    Attributes:
        item_factors: (n_items, k) float32; zeros for an item that nobody has liked.
        biases: (n_items,) float32, as learned: how much an item is liked beyond its fame.
        fame: (n_items,) float32, the logarithm of the number of likes and one.
        liked_by: (n_items,) int32, how many users have liked each.
        known: (n_items,) bool, the items that somebody has touched.
        rivals: (RIVALS,) int32, items as often as they are liked; none if there are no likes.
        regularization: As in training.
    """

    item_factors: NDArray[np.float32]
    biases: NDArray[np.float32]
    fame: NDArray[np.float32]
    liked_by: NDArray[np.int32]
    known: NDArray[np.bool_]
    rivals: NDArray[np.int32]
    regularization: float

    @property
    def n_items(self) -> int:
        return len(self.known)

    @cached_property
    def lengths(self) -> NDArray[np.float32]:
        """(n_items,) of the factors; NaN where too few have liked the item to say who they are."""
        return lengths_of_liked(self.item_factors, self.liked_by)


class BprRecommender(ModelRecommender[_Model]):
    """Factors by which each user's liked items come before items drawn at random.

    `implicit` draws the other item as often as it is liked, so what it learns is how much more a
    user likes an item than everybody does. The logarithm of the draws' share put back makes it
    how much the user likes it. Only weights above 0 are read, and not their size.

    Args:
        factors: Length of the vectors.
        regularization: The pull towards 0 with each draw.
        learning_rate: The length of a step.
        iterations: As many draws each as there are likes. By default 60 at 100 thousand
            interactions and 30 from a million on, so that time is kept in bounds.
        max_interactions: More of them are an obstacle: one thread would take minutes.
    """

    name = "bpr"
    description = "Viewers and films as points, placed so that liked films come before others."
    search_space: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "factors": (32, 64, 128),
        "regularization": (0.01, 0.02, 0.04),
    }

    def __init__(
        self,
        *,
        factors: int = 64,
        regularization: float = 0.02,
        learning_rate: float = 0.05,
        iterations: int | None = None,
        max_interactions: int = 10_000_000,
        seed: int = 1895,
    ) -> None:
        self.factors = factors
        self.regularization = regularization
        self.learning_rate = learning_rate
        self.iterations = iterations
        self.max_interactions = max_interactions
        self.seed = seed

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        return {"factors": self.factors, "regularization": self.regularization}

    def obstacle(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> str | None:
        if interactions.nnz <= self.max_interactions:
            return None
        return (
            f"It learns from one interaction after the other: {interactions.nnz:,} "
            f"are more than {self.max_interactions:,}."
        )

    def fit(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> Self:
        n_items = interactions.shape[1]
        likes = interactions.astype(np.float32)
        likes.data = np.maximum(likes.data, 0)
        likes.eliminate_zeros()
        liked_by = np.bincount(likes.indices, minlength=n_items).astype(np.int32)
        order = _by_viewers(likes, self.seed)
        factors = np.zeros((n_items, self.factors + 1), dtype=np.float32)
        if likes.nnz:
            factors[order] = self._train(likes[:, order])
        self._model = _Model(
            factors[:, :-1].copy(),
            factors[:, -1].copy(),
            np.log1p(liked_by).astype(np.float32),
            liked_by,
            np.bincount(interactions.indices, minlength=n_items) > 0,
            _rivals(liked_by, order),
            self.regularization,
        )
        return self

    def _train(self, likes: csr_matrix) -> NDArray[np.float32]:
        """(n_items, factors + 1), the bias last."""
        # Imported here: a process that has run OpenMP cannot fork, and one that serves need not.
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        iterations = self._iterations(likes.nnz)
        solver = BayesianPersonalizedRanking(
            factors=self.factors,
            regularization=self.regularization,
            learning_rate=self.learning_rate,
            iterations=iterations,
            num_threads=1,  # more of them write over each other, in an order of their own
            random_state=self.seed,
        )
        likes.sort_indices()
        with threadpool_limits(1, "blas"):  # or `implicit` warns
            solver.fit(
                likes,
                show_progress=False,
                callback=lambda done, *_: self._report((done + 1) / iterations),
            )
        learned: NDArray[np.float32] = solver.item_factors
        return learned

    def _iterations(self, n_likes: int) -> int:
        if self.iterations is not None:
            return self.iterations
        return int(np.clip(60 * (100_000 / n_likes) ** 0.3, 30, 120))

    def score(self, history: csr_matrix, times: csr_matrix | None = None) -> Scores:
        model = self._fitted_for(history)
        vectors = np.full((history.shape[0], model.item_factors.shape[1]), np.nan, dtype=np.float32)
        with one_thread():
            for row in range(history.shape[0]):
                part = slice(history.indptr[row], history.indptr[row + 1])
                items = history.indices[part][history.data[part] > 0]
                items = np.sort(items[model.known[items]])
                if len(items):
                    vectors[row] = _fold_in(model, items)
        scores: Scores = vectors @ model.item_factors.T + (model.biases + model.fame)
        scores[:, ~model.known] = np.nan
        return scores

    def similar_items(self, item: int) -> Scores:
        """As in `Recommender`: the cosine of the factors. What the same viewers like points alike.

        There is no opinion on what fewer than ENOUGH_VIEWERS have liked.
        """
        model = self._learned()
        return cosines_with(model.item_factors, model.lengths, item)

    def item_directions(self) -> Scores:
        """As in `Recommender`: those of the factors."""
        model = self._learned()
        return unit_vectors(model.item_factors, model.lengths)

    def to_arrays(self) -> dict[str, Array]:
        model = self._learned()
        return {
            "item_factors": model.item_factors,
            "biases": model.biases,
            "fame": model.fame,
            "liked_by": model.liked_by,
            "known": model.known,
            "rivals": model.rivals,
            "regularization": np.array([model.regularization]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        recommender = cls()
        recommender._model = _Model(
            np.asarray(arrays["item_factors"], dtype=np.float32),
            np.asarray(arrays["biases"], dtype=np.float32),
            np.asarray(arrays["fame"], dtype=np.float32),
            np.asarray(arrays["liked_by"], dtype=np.int32),
            np.asarray(arrays["known"], dtype=np.bool_),
            np.asarray(arrays["rivals"], dtype=np.int32),
            float(np.asarray(arrays["regularization"], dtype=np.float64)[0]),
        )
        return recommender


def _by_viewers(likes: csr_matrix, seed: int) -> NDArray[np.intp]:
    """The items in an order that hangs on who liked them, not on their columns.

    So a catalogue in another order draws the same random numbers for the same films.
    """
    marks = np.random.default_rng(seed).random(likes.shape[0])
    users = np.repeat(marks, np.diff(likes.indptr))
    return np.argsort(
        np.bincount(likes.indices, weights=users, minlength=likes.shape[1]), kind="stable"
    )


def _rivals(liked_by: NDArray[np.int32], order: NDArray[np.intp]) -> NDArray[np.int32]:
    """(RIVALS,) items, each as often as its share of the likes; empty without any."""
    ends = np.cumsum(liked_by[order])
    if not len(ends) or not ends[-1]:
        return np.zeros(0, dtype=np.int32)
    quantiles = (np.arange(RIVALS) + 0.5) / RIVALS * ends[-1]
    rivals: NDArray[np.int32] = order[np.searchsorted(ends, quantiles)].astype(np.int32)
    return rivals


def _fold_in(model: _Model, items: NDArray[np.integer]) -> Float64:
    """(k,) the vector at which liked `items` come most surely before the rivals.

    The paper's criterion for one user, with all pairs in place of draws; it is concave.
    """
    vector = np.zeros(model.item_factors.shape[1])
    if not len(model.rivals):
        return vector
    liked = model.item_factors[items].astype(np.float64)
    rivals = model.item_factors[model.rivals].astype(np.float64)
    ahead = model.biases[items].astype(np.float64)[:, None] - model.biases[model.rivals]
    n_pairs = ahead.size
    for _ in range(NEWTON_STEPS):
        doubts = expit(-ahead - (liked @ vector)[:, None] + rivals @ vector)
        slope = (doubts.sum(axis=1) @ liked - doubts.sum(axis=0) @ rivals) / n_pairs
        slope -= model.regularization * vector
        bends = doubts * (1 - doubts)
        crossed = liked.T @ bends @ rivals
        curvature = (liked.T * bends.sum(axis=1)) @ liked + (rivals.T * bends.sum(axis=0)) @ rivals
        curvature = (curvature - crossed - crossed.T) / n_pairs
        curvature[np.diag_indices_from(curvature)] += model.regularization
        vector = vector + cho_solve(cho_factor(curvature, check_finite=False), slope)
    return vector
