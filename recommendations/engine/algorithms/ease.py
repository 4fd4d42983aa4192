"""A linear autoencoder in closed form. Steck (2019), doi:10.1145/3308558.3313710."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix

from recommendations.engine.gram import Float32, gram, invert
from recommendations.engine.item_weights import ItemWeightsRecommender, Weights, damping
from recommendations.engine.protocol import ItemFeatures


class EaseRecommender(ItemWeightsRecommender):
    """Each film's likes as a weighted sum of all others', fitted at once by least squares.

    Args:
        regularization: Added to the diagonal of the items' cross products; by default 0.8 times
            the root of the number of likes: 800 for a million.
        dropout: Share of each history that is hidden while learning, which comes to a
            regularisation by popularity. Steck (2020), "Autoencoders that don't overfit towards
            the identity".
        damping: Power of the number of viewers that scores are divided by.
        max_items: A catalogue of more is an obstacle: time grows with the cube, memory with the
            square.
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
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> str | None:
        n_items = interactions.shape[1]
        if n_items <= self.max_items:
            return None
        return (
            f"It takes at most {self.max_items:,} films (EASE_MAX_ITEMS), and here are {n_items:,}."
        )

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
