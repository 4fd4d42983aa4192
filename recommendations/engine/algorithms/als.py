"""Implicit-feedback matrix factorisation. Hu, Koren and Volinsky (2008), doi:10.1109/ICDM.2008.22.

The library `implicit` trains. Folding a user in and scoring is NumPy on the item factors, so
that a process that only serves never imports `implicit`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recommendations.engine.protocol import (
    Array,
    ItemFeatures,
    NotFittedError,
    Recommender,
    Scores,
    check_history,
)

Float64 = NDArray[np.float64]

#: Sweeps that bring fitted factors up to date with a few more interactions.
UPDATE_ITERATIONS = 2
#: Items that one and the same viewer alone has liked are no more alike than that.
ENOUGH_VIEWERS = 5


@dataclass(frozen=True)
class _Model:
    """What scoring needs.

    Attributes:
        item_factors: (n_items, k) float32; a row of zeros for an item that nobody has touched.
        gram: (k, k) float64, the factors' cross product plus the regularisation.
        known: (n_items,) bool, the items that somebody has touched.
        liked_by: (n_items,) int32, how many users have liked each.
        scale: The confidence of a weight of 1.
    """

    item_factors: NDArray[np.float32]
    gram: Float64
    known: NDArray[np.bool_]
    liked_by: NDArray[np.int32]
    scale: float

    @cached_property
    def lengths(self) -> NDArray[np.float32]:
        """(n_items,) of the factors; NaN where too few have liked the item to say who they are."""
        lengths = np.linalg.norm(self.item_factors, axis=1)
        return np.where(self.liked_by < ENOUGH_VIEWERS, np.nan, lengths).astype(np.float32)


class AlsRecommender(Recommender):
    """Alternating least squares.

    A weight's size, times `alpha`, is the confidence in a preference: 1 above 0, and 0 below:
    a dislike says with confidence what an unseen item says without.

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
        self._model: _Model | None = None
        self._user_factors: NDArray[np.float32] | None = None

    def fit(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> Self:
        self._user_factors = self._model = None
        return self._train(interactions, self.iterations)

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
        return self._train(interactions, UPDATE_ITERATIONS)

    def _train(self, interactions: csr_matrix, iterations: int) -> Self:
        # Imported here: a process that has run OpenMP cannot fork, and one that serves need not.
        from implicit.cpu.als import AlternatingLeastSquares

        scale = self.alpha / _mean_positive(interactions)
        n_items = interactions.shape[1]
        known = np.bincount(interactions.indices, minlength=n_items) > 0
        liked = interactions.indices[interactions.data > 0]
        liked_by = np.bincount(liked, minlength=n_items).astype(np.int32)
        regularization = self._regularization(interactions.nnz)
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
        if interactions.nnz:
            with threadpool_limits(1, "blas"):  # two BLAS threads slow its solver down tenfold
                solver.fit(
                    interactions.astype(np.float32),
                    show_progress=False,
                    callback=lambda done, *_: self._report((done + 1) / iterations),
                )
            item_factors = np.where(known[:, None], solver.item_factors, np.float32(0))
            self._user_factors = solver.user_factors
        else:
            item_factors = np.zeros((n_items, 1), dtype=np.float32)
        gram = _gram(item_factors, regularization)
        self._model = _Model(item_factors, gram, known, liked_by, scale)
        return self

    def _with_new_items(self, model: _Model, known: NDArray[np.bool_]) -> NDArray[np.float32]:
        """The item factors that stand, with a little noise for items that nobody had touched.

        Among new users and new items alone, zeros would stay zeros for good.
        """
        factors = model.item_factors.copy()
        new = known & ~model.known
        noise = np.random.default_rng(self.seed).random((new.sum(), factors.shape[1]))
        factors[new] = noise * 0.01
        return factors

    def _report(self, share: float) -> None:
        if self.on_progress:
            self.on_progress(share)

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
        model = self._fitted(history)
        vectors = np.full((history.shape[0], model.gram.shape[0]), np.nan, dtype=np.float32)
        for row in range(history.shape[0]):
            folded = _fold_in(model, history, row)
            if folded is not None:
                vectors[row] = folded.vector
        scores: Scores = vectors @ model.item_factors.T
        scores[:, ~model.known] = np.nan
        return scores

    def contributions(self, history: csr_matrix, items: NDArray[np.integer]) -> Float64 | None:
        """As in `Recommender`. Section 5 of the paper: a score is a sum over the user's items."""
        model = self._fitted(history)
        folded = _fold_in(model, history, 0)
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
        direction = model.item_factors[item] / model.lengths[item]
        cosines: Scores = model.item_factors @ direction / model.lengths
        return cosines.clip(-1, 1)

    def _fitted(self, history: csr_matrix) -> _Model:
        model = self._learned()
        check_history(history, len(model.known))
        return model

    def _learned(self) -> _Model:
        if self._model is None:
            raise NotFittedError(self.name)
        return self._model

    def to_arrays(self) -> dict[str, Array]:
        model = self._learned()
        return {
            "item_factors": model.item_factors,
            "gram": model.gram,
            "known": model.known,
            "liked_by": model.liked_by,
            "scale": np.array([model.scale]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        recommender = cls()
        known = np.asarray(arrays["known"], dtype=np.bool_)
        recommender._model = _Model(
            np.asarray(arrays["item_factors"], dtype=np.float32),
            np.asarray(arrays["gram"], dtype=np.float64),
            known,
            # What was trained before it was counted has no opinion on which items are alike.
            np.asarray(arrays.get("liked_by", np.zeros(len(known))), dtype=np.int32),
            float(np.asarray(arrays["scale"], dtype=np.float64)[0]),
        )
        return recommender


@dataclass(frozen=True)
class _FoldedIn:
    """One user, solved for.

    Attributes:
        vector: (k,) float64, the user's factors.
        cholesky: The factorised left side of the user's equations.
        entries: (m,) places in the history that the model knows.
        factors: (m, k) float64, the item factors of those entries.
        pull: (m,) float64, the confidence of a positive entry, 0 for a negative one.
    """

    vector: Float64
    cholesky: tuple[Float64, bool]
    entries: NDArray[np.intp]
    factors: Float64
    pull: Float64


def _fold_in(model: _Model, history: csr_matrix, row: int) -> _FoldedIn | None:
    """Solve for one user as `implicit` does in training; None without a known liked item."""
    start, end = history.indptr[row], history.indptr[row + 1]
    items, weights = history.indices[start:end], history.data[start:end]
    entries = np.flatnonzero(model.known[items])
    confidence = model.scale * weights[entries].astype(np.float64)
    pull = np.maximum(confidence, 0)
    if not pull.any():
        return None
    factors = model.item_factors[items[entries]].astype(np.float64)
    left = model.gram + (factors.T * (np.abs(confidence) - 1)) @ factors
    cholesky = cho_factor(left, lower=True, overwrite_a=True, check_finite=False)
    vector = cho_solve(cholesky, pull @ factors, check_finite=False)
    return _FoldedIn(vector, cholesky, entries, factors, pull)


def _gram(item_factors: NDArray[np.float32], regularization: float) -> Float64:
    wide = item_factors.astype(np.float64)
    return wide.T @ wide + regularization * np.eye(wide.shape[1])


def _mean_positive(interactions: csr_matrix) -> float:
    positive = interactions.data[interactions.data > 0]
    return float(positive.mean()) if len(positive) else 1.0
