"""Sparse linear method. Ning and Karypis (2011), doi:10.1109/ICDM.2011.134.

Solved by alternating directions: Steck, Dimakopoulou, Riabov and Jebara (2020), "ADMM SLIM",
doi:10.1145/3336191.3371774.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms._item_weights import ItemWeightsRecommender, damping
from recommendations.engine.algorithms.ease import Float32, all_cores, gram, invert
from recommendations.engine.matrices import ItemFeatures

#: The step of the dual variables over the regularisation. Sweeps with 1 or 10 left twice as far
#: to go as those with 3.
STEP = 3.0


class SlimRecommender(ItemWeightsRecommender):
    """As EASE, with weights that are not negative and mostly nothing: an elastic net.

    Args:
        regularization: Of the squares; by default 0.8 times the root of the number of likes.
        sparsity: Of the absolute values, as a share of the regularisation.
        dropout: Share of each history that is hidden while learning, as in EASE.
        damping: Power of the number of viewers that scores are divided by.
        iterations: Sweeps, each one product of dense matrices.
        max_items: A catalogue of more is an obstacle.
    """

    name = "slim"
    description = "For each film the few others that speak for it, and none that speak against it."
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "regularization": (50.0, 100.0, 200.0, 400.0, 800.0),
        "sparsity": (0.002, 0.005, 0.01, 0.02),
    }

    def __init__(
        self,
        *,
        regularization: float | None = None,
        sparsity: float = 0.005,
        dropout: float = 1 / 3,
        damping: float = 0.2,
        iterations: int = 10,
        max_items: int = 4_000,
    ) -> None:
        self.regularization = regularization
        self.sparsity = sparsity
        self.dropout = dropout
        self.damping = damping
        self.iterations = iterations
        self.max_items = max_items

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        likes = int((interactions.data > 0).sum())
        return {"regularization": self._regularization(likes), "sparsity": self.sparsity}

    def obstacle(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> str | None:
        n_items = interactions.shape[1]
        if n_items <= self.max_items:
            return None
        return f"It takes at most {self.max_items:,} films, and here are {n_items:,}."

    def _learn(self, likes: csr_matrix) -> csr_matrix:
        regularization = self._regularization(likes.nnz)
        inverse = gram(likes)
        diagonal = np.einsum("ii->i", inverse)
        ridge = regularization + diagonal * np.float32(self.dropout / (1 - self.dropout))
        step = np.float32(STEP * regularization)
        diagonal += ridge + step
        inverse = invert(inverse)
        threshold = np.float32(self.sparsity / STEP)
        weights = self._alternate(inverse, ridge, step, threshold)
        weights *= damping(likes, self.damping)
        return csr_matrix(weights)

    def _alternate(
        self, inverse: Float32, ridge: Float32, step: np.float32, threshold: np.float32
    ) -> Float32:
        """(n_items, n_items), not negative: the sweeps, with the dual variables over the step.

        P(G - step·(dual - sparse)) is I - P(ridge + step + step·(dual - sparse)), so that each
        sweep is one product.
        """
        sparse, dual = np.zeros_like(inverse), np.zeros_like(inverse)
        diagonal = np.diagonal(inverse).copy()
        for done in range(1, self.iterations + 1):
            right = dual - sparse
            right *= step
            np.einsum("ii->i", right)[:] += ridge + step
            with all_cores():
                dense = inverse @ right
            np.negative(dense, out=dense)
            np.einsum("ii->i", dense)[:] += 1
            dense -= inverse * (np.diagonal(dense) / diagonal)
            dual += dense
            sparse = np.maximum(dual - threshold, 0)
            dual -= sparse
            self._report(done / (self.iterations + 1))
        np.fill_diagonal(sparse, 0)
        return sparse

    def _regularization(self, n_likes: int) -> float:
        if self.regularization is not None:
            return self.regularization
        return max(1.0, 0.8 * math.sqrt(n_likes))
