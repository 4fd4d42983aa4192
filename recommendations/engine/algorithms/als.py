"""Implicit-feedback matrix factorisation. Hu, Koren and Volinsky (2008), doi:10.1109/ICDM.2008.22.

The library `implicit` trains. Folding a user in and scoring is NumPy on the item factors, so
that a process that only serves never imports `implicit`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recommendations.engine.algorithms._fold_in import (
    FactorModel,
    cosines_with,
    fold_in,
    fold_in_all,
    unit_vectors,
)
from recommendations.engine.feature_vectors import predict_factors
from recommendations.engine.matrices import Array, ItemFeatures, Scores
from recommendations.engine.recommender import ModelRecommender

Float64 = NDArray[np.float64]

#: Sweeps that bring fitted factors up to date with a few more interactions.
UPDATE_ITERATIONS = 2


class AlsRecommender(ModelRecommender[FactorModel]):
    """Alternating least squares.

    A weight's size, times `alpha`, is the confidence in a preference: 1 above 0, and 0 below:
    a dislike says with confidence what an unseen item says without.

    With features of the items, those that nobody has touched get factors too (`cold_start.py`).

    Args:
        factors: Length of the vectors; by default 32 to 192, the more interactions the longer,
            and 128 for very many, where time is dearer.
        regularization: By default the root of the number of interactions over 8, at most 80:
            more data fill more directions, and each wants holding down.
        alpha: The confidence of a positive weight of average size.
        iterations: Sweeps over users and items.
    """

    name = "als"
    description = "Viewers and films as points in one space, learned from who liked what."
    search_space = {
        "regularization": (4.0, 6.0, 9.0, 13.0, 20.0, 30.0, 45.0, 65.0, 100.0, 150.0),
        "alpha": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
        "factors": (16, 32, 64, 128, 192, 256),
    }

    def __init__(
        self,
        *,
        factors: int | None = None,
        regularization: float | None = None,
        alpha: float = 8.0,
        iterations: int = 15,
        seed: int = 1895,
    ) -> None:
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.iterations = iterations
        self.seed = seed
        self._user_factors: NDArray[np.float32] | None = None

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        return {
            "regularization": self._regularization(interactions.nnz),
            "alpha": self.alpha,
            "factors": self._factors(interactions),
        }

    def fit(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> Self:
        self._user_factors = self._model = None
        return self._train(interactions, items, self.iterations)

    def update(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> Self:
        """As in `Recommender`; starts from the factors that stand, where `fit` has run here."""
        standing = self._user_factors
        if standing is None or standing.shape[0] != interactions.shape[0]:
            return self.fit(interactions, items, times)
        return self._train(interactions, items, UPDATE_ITERATIONS)

    def _train(self, interactions: csr_matrix, items: ItemFeatures | None, iterations: int) -> Self:
        scale = self.alpha / _mean_positive(interactions)
        n_items = interactions.shape[1]
        touched = np.bincount(interactions.indices, minlength=n_items)
        known = touched > 0
        liked = interactions.indices[interactions.data > 0]
        liked_by = np.bincount(liked, minlength=n_items).astype(np.int32)
        regularization = self._regularization(interactions.nnz)
        if interactions.nnz:
            item_factors = self._solve(interactions, known, scale, regularization, iterations)
        else:
            item_factors = np.zeros((n_items, 1), dtype=np.float32)
        gram = _gram(item_factors, regularization)
        cold = np.zeros(n_items, dtype=np.bool_)
        if items is not None:
            cold, predicted = predict_factors(items, item_factors, touched)
            item_factors[cold] = predicted
        self._model = FactorModel(item_factors, gram, known, cold, liked_by, scale)
        return self

    def _solve(
        self,
        interactions: csr_matrix,
        known: NDArray[np.bool_],
        scale: float,
        regularization: float,
        iterations: int,
    ) -> NDArray[np.float32]:
        """(n_items, k) the item factors, from those that stand on; zeros for untouched items."""
        # Imported here: a process that has run OpenMP cannot fork, and one that serves need not.
        from implicit.cpu.als import AlternatingLeastSquares

        with threadpool_limits(1, "blas"):  # two BLAS threads slow its solver down tenfold
            solver = AlternatingLeastSquares(
                factors=self._factors(interactions),
                regularization=regularization,
                alpha=scale,
                iterations=iterations,
                random_state=self.seed,
            )
            if self._model is not None and self._user_factors is not None:
                solver.user_factors = self._user_factors
                solver.item_factors = self._with_new_items(self._model, known)
            solver.fit(
                interactions.astype(np.float32),
                show_progress=False,
                callback=lambda done, *_: self._report((done + 1) / iterations),
            )
        self._user_factors = solver.user_factors
        return np.where(known[:, None], solver.item_factors, np.float32(0))

    def _with_new_items(self, model: FactorModel, known: NDArray[np.bool_]) -> NDArray[np.float32]:
        """The item factors that stand, with a little noise for items that nobody had touched.

        Among new users and new items alone, zeros would stay zeros for good.
        """
        factors = np.where(known[:, None], model.item_factors, np.float32(0))
        new = known & ~model.known
        noise = np.random.default_rng(self.seed).random((new.sum(), factors.shape[1]))
        factors[new] = noise * 0.01
        return factors

    def _factors(self, interactions: csr_matrix) -> int:
        if self.factors is not None:
            return self.factors
        sizes = ((30_000, 32), (300_000, 128), (5_000_000, 192))
        return next((size for limit, size in sizes if interactions.nnz < limit), 128)

    def _regularization(self, n_interactions: int) -> float:
        if self.regularization is not None:
            return self.regularization
        return min(80.0, max(0.1, math.sqrt(n_interactions) / 8))

    def score(self, history: csr_matrix, times: csr_matrix | None = None) -> Scores:
        model = self._fitted_for(history)
        return _scores(model, fold_in_all(model, history))

    def scores_without(
        self,
        history: csr_matrix,
        entries: NDArray[np.integer],
        times: csr_matrix | None = None,
    ) -> Scores:
        model = self._fitted_for(history)
        folded = fold_in(model, history, 0)
        if folded is None:
            return np.full((1 + len(entries), model.n_items), np.nan, dtype=np.float32)
        return _scores(model, folded.without(entries).astype(np.float32))

    def contributions(self, history: csr_matrix, items: NDArray[np.integer]) -> Float64 | None:
        """As in `Recommender`. Section 5 of the paper: a score is a sum over the user's items."""
        model = self._fitted_for(history)
        folded = fold_in(model, history, 0)
        if folded is None:
            return None
        wanted = model.item_factors[items].astype(np.float64)
        towards_items = cho_solve(folded.cholesky, wanted.T, check_finite=False)
        parts = np.zeros((len(wanted), history.nnz))
        parts[:, folded.entries] = (folded.pull[:, None] * (folded.factors @ towards_items)).T
        return parts

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

    @property
    def cold(self) -> NDArray[np.bool_]:
        """(n_items,) the items that nobody has touched, of which content alone tells.

        Raises NotFittedError.
        """
        return self._learned().cold

    def to_arrays(self) -> dict[str, Array]:
        model = self._learned()
        return {
            "item_factors": model.item_factors,
            "gram": model.gram,
            "known": model.known,
            "cold": model.cold,
            "liked_by": model.liked_by,
            "scale": np.array([model.scale]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        recommender = cls()
        known = np.asarray(arrays["known"], dtype=np.bool_)
        recommender._model = FactorModel(
            np.asarray(arrays["item_factors"], dtype=np.float32),
            np.asarray(arrays["gram"], dtype=np.float64),
            known,
            np.asarray(arrays.get("cold", np.zeros(len(known))), dtype=np.bool_),
            # What was trained before it was counted has no opinion on which items are alike.
            np.asarray(arrays.get("liked_by", np.zeros(len(known))), dtype=np.int32),
            float(np.asarray(arrays["scale"], dtype=np.float64)[0]),
        )
        return recommender


def _scores(model: FactorModel, vectors: NDArray[np.float32]) -> Scores:
    scores: Scores = vectors @ model.item_factors.T
    scores[:, ~(model.known | model.cold)] = np.nan
    return scores


def _gram(item_factors: NDArray[np.float32], regularization: float) -> Float64:
    wide = item_factors.astype(np.float64)
    return wide.T @ wide + regularization * np.eye(wide.shape[1])


def _mean_positive(interactions: csr_matrix) -> float:
    positive = interactions.data[interactions.data > 0]
    return float(positive.mean()) if len(positive) else 1.0
