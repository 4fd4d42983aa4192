"""Implicit-feedback matrix factorisation. Hu, Koren and Volinsky (2008), doi:10.1109/ICDM.2008.22.

The library `implicit` trains. Fold-in and scores need only NumPy and the item factors, so a process
that only serves never imports `implicit`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recommendations.engine.algorithms._factor_model import (
    FactorModel,
    FoldedIn,
    fold_in_all,
    user_vectors,
)
from recommendations.engine.feature_vectors import predict_factors
from recommendations.engine.matrices import Array, Features, Scores, Times, mean_like
from recommendations.engine.recommender import Explainer, LeaveOneOut, ModelRecommender, Scoring

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

#: Sweeps that update fitted factors with a few more interactions.
UPDATE_ITERATIONS = 2


@dataclass(eq=False)
class AlsScoring(Scoring):
    """Each user is folded in once, for the scores and for the explanations."""

    @cached_property
    def folded(self) -> Sequence[FoldedIn | None]:
        return fold_in_all(self.recommender.learned(), self.history)

    @cached_property
    def scores(self) -> Scores:
        model: FactorModel = self.recommender.learned()
        scores: Scores = user_vectors(model, self.folded) @ model.item_factors.T
        scores[:, model.unknown] = np.nan
        return scores


@dataclass(eq=False)
class AlsExplainer(Explainer):
    """An entry is left out by the formula of Sherman and Morrison:

    (A - d·yy')⁻¹(b - p·y) = x - z·(p - d·y'x) / (1 - d·y'z) with z = A⁻¹y.
    """

    def contributions(self, items: NDArray[np.integer]) -> Float64 | None:
        """As in `Explainer`, by section 5 of the paper: a score is a sum over the history."""
        own: FoldedIn | None = self.scoring.folded[self.row]
        if own is None:
            return None
        parts = np.zeros((len(items), len(self.items)))
        parts[:, own.entries] = (own.solved(items) @ own.factors.T) * own.pull
        return parts

    def without(self, entries: NDArray[np.integer], items: NDArray[np.integer]) -> LeaveOneOut:
        own: FoldedIn | None = self.scoring.folded[self.row]
        if own is None or not len(entries):
            return super().without(entries, items)
        factors = self.model.item_factors
        changes = np.zeros((len(entries), factors.shape[1]))
        places = np.searchsorted(own.entries, entries).clip(max=len(own.entries) - 1)
        found = np.flatnonzero(own.entries[places] == entries)
        places = places[found]
        left_out, pull, beyond = own.items[places], own.pull[places], own.beyond[places]
        y, solved = factors[left_out].astype(np.float64), own.solved(left_out)
        sizes = (pull - beyond * (y @ own.vector)) / (1 - beyond * (y * solved).sum(axis=1))
        changes[found] = sizes[:, None] * solved
        if np.count_nonzero(own.pull) == 1:  # nothing liked is left
            changes[found[pull > 0]] = np.nan
        furthest = np.sqrt(np.fmax.reduce((changes**2).sum(axis=1)))
        most = self.model.norms * np.float32(furthest)
        bounds, towards = (self.scores - most, self.scores + most), changes.T.astype(np.float32)
        return self.leave_out(items, self.scores, bounds, lambda of: factors[of] @ towards)


class AlsRecommender(ModelRecommender[FactorModel]):
    """Alternating least squares.

    The absolute weight times `alpha` is the confidence in a preference, which is 1 for a positive
    and 0 for a negative weight: a dislike counts as a confident "unseen".

    If item features are given, items without interactions get factors too (`predict_factors`).

    Args:
        factors: Length of the vectors; by default 32 to 192, growing with the interactions, and
            128 beyond 5 million to save time.
        regularization: By default sqrt(interactions) / 8, at most 80.
        alpha: The confidence of a positive weight of average size.
        iterations: Sweeps over users and items.
    """

    model_type = FactorModel
    scoring_type = AlsScoring
    explainer_type = AlsExplainer
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
        self._user_factors: Float32 | None = None

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        return {
            "regularization": self.regularization_for(interactions.nnz),
            "alpha": self.alpha,
            "factors": self.factors_for(interactions.nnz),
        }

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        self._user_factors = self._model = None
        return self._train(interactions, items, self.iterations)

    def update(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        """As in `Recommender`; starts from the current factors if this object ran `fit`."""
        standing = self._user_factors
        if standing is None or standing.shape[0] != interactions.shape[0]:
            return self.fit(interactions, items, times)
        return self._train(interactions, items, UPDATE_ITERATIONS)

    def _train(self, interactions: csr_matrix, items: Features, iterations: int) -> Self:
        scale = self.alpha / mean_like(interactions)
        n_items = interactions.shape[1]
        touched = np.bincount(interactions.indices, minlength=n_items)
        liked = interactions.indices[interactions.data > 0]
        liked_by = np.bincount(liked, minlength=n_items)
        regularization = self.regularization_for(interactions.nnz)
        if interactions.nnz:
            item_factors = self._solve(interactions, touched > 0, scale, regularization, iterations)
        else:
            item_factors = np.zeros((n_items, 1), dtype=np.float32)
        return self.adopt(item_factors, touched, liked_by, scale, regularization, items)

    def adopt(
        self,
        item_factors: Float32,
        touched: NDArray[np.integer],
        liked_by: NDArray[np.integer],
        scale: float,
        regularization: float,
        items: Features,
    ) -> Self:
        """Become the model of these (n_items, k) factors, and predict those of new items.

        Args:
            touched, liked_by: (n_items,) numbers of interactions and of likes.
            scale: The confidence of a weight of 1.
        """
        known = touched > 0
        item_factors = np.where(known[:, None], item_factors, np.float32(0))
        gram = _gram(item_factors, regularization)
        cold = np.zeros(len(known), dtype=np.bool_)
        if items is not None:
            cold, predicted = predict_factors(items, item_factors, touched)
            item_factors[cold] = predicted
        counts = liked_by.astype(np.int32)
        self._model = FactorModel(item_factors, gram, known, cold, counts, scale)
        return self

    def _solve(
        self,
        interactions: csr_matrix,
        known: NDArray[np.bool_],
        scale: float,
        regularization: float,
        iterations: int,
    ) -> Float32:
        """(n_items, k) item factors, starting from the current ones; zeros without interactions."""
        # A process that has run OpenMP cannot fork, and a process that serves does not need it.
        from implicit.cpu.als import AlternatingLeastSquares

        with threadpool_limits(1, "blas"):  # two BLAS threads make the solver ten times slower
            solver = AlternatingLeastSquares(
                factors=self.factors_for(interactions.nnz),
                regularization=regularization,
                alpha=scale,
                iterations=iterations,
                random_state=self.seed,
            )
            if self._model is not None and self._user_factors is not None:
                solver.user_factors = self._user_factors
                solver.item_factors = self.with_new_items(known)
            solver.fit(
                interactions.astype(np.float32),
                show_progress=False,
                callback=lambda done, *_: self._report((done + 1) / iterations),
            )
        self._user_factors = solver.user_factors
        factors: Float32 = solver.item_factors
        return factors

    def with_new_items(self, known: NDArray[np.bool_]) -> Float32:
        """The current item factors, with a little noise for items that are new.

        Zeros would stay zeros where only new users have new items.
        """
        model = self.learned()
        factors = np.where(known[:, None], model.item_factors, np.float32(0))
        new = known & ~model.known
        noise = np.random.default_rng(self.seed).random((new.sum(), factors.shape[1]))
        factors[new] = noise * 0.01
        return factors

    def factors_for(self, n_interactions: int) -> int:
        if self.factors is not None:
            return self.factors
        sizes = ((30_000, 32), (300_000, 128), (5_000_000, 192))
        return next((size for limit, size in sizes if n_interactions < limit), 128)

    def regularization_for(self, n_interactions: int) -> float:
        if self.regularization is not None:
            return self.regularization
        return min(80.0, max(0.1, math.sqrt(n_interactions) / 8))

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        self._fitted_for(history)
        return AlsScoring(self, history, times).scores

    def known_items(self) -> NDArray[np.bool_]:
        model = self.learned()
        return model.known | model.cold

    def similar_items(self, item: int) -> Scores:
        """As in `Recommender`: the cosine of the factors."""
        return self.learned().cosines_with(item)

    def item_directions(self) -> Scores:
        """As in `Recommender`: the directions of the factors."""
        return self.learned().unit_vectors()

    @property
    def cold(self) -> NDArray[np.bool_]:
        """(n_items,) items whose factors come from their features alone. Raises NotFittedError."""
        return self.learned().cold

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        n_items = len(arrays["known"])
        # The first releases have neither of these.
        missing = {"cold": np.zeros(n_items, np.bool_), "liked_by": np.zeros(n_items, np.int32)}
        return super().from_arrays({**missing, **arrays})


def solve_rows(
    confidences: csr_matrix, factors: Float32, others: Float32, regularization: float
) -> None:
    """Half a sweep on one thread: improve the factors of some rows, in place.

    Args:
        confidences: (n_rows, n_others) float32; the sign tells likes from dislikes.
        factors: (n_rows, k) float32, from which the solver starts.
        others: (n_others, k) float32.
    """
    from implicit.cpu.als import AlternatingLeastSquares

    size = others.shape[1]
    als = AlternatingLeastSquares(factors=size, regularization=regularization, num_threads=1)
    with threadpool_limits(1, "blas"):
        als.solver(confidences, factors, others, regularization, num_threads=1)


def _gram(item_factors: Float32, regularization: float) -> Float64:
    wide = item_factors.astype(np.float64)
    return wide.T @ wide + regularization * np.eye(wide.shape[1])
