"""Data for the linear models, and their scores the long way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from tests.engine.camps import csr

Float64 = NDArray[np.float64]


def ratings(*, n_users: int = 60, n_items: int = 25, seed: int = 3) -> csr_matrix:
    """Weights of every kind on a third of the places, some items more popular than others."""
    random = np.random.default_rng(seed)
    there = random.random((n_users, n_items)) < np.linspace(0.1, 0.6, n_items)
    values = random.choice([-3, -2, -1, 0.5, 1, 2, 3], size=(n_users, n_items))
    return csr(values * there)


def liked(interactions: csr_matrix) -> Float64:
    """Dense: the root of each positive weight over the mean one; nothing for a dislike."""
    dense = np.maximum(interactions.toarray(), 0).astype(np.float64)
    sizes: Float64 = np.sqrt(dense / dense[dense > 0].mean())
    return sizes
