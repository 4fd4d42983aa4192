"""Sums over viewers by item, added up block by block."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms.popularity import HALF_LIFE_S
from recommendations.engine.matrices import row_numbers

Sums = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(eq=False)
class ItemSums:
    """Sums over the interactions that were added.

    Attributes:
        reference_s: Unix seconds from which `recent` counts the age of an interaction.
        touched, liked_by: (n_items,) numbers of interactions and of likes.
        weights: (n_items,) sums of the weights.
        recent: (n_items,) sums of the positive weights, halved in each HALF_LIFE_S of their age.
        liked_weight: The sum of all positive weights.
        n_likers: Number of viewers with a like.
        latest: Unix seconds of the latest interaction; 0 without any.
    """

    n_items: int
    reference_s: float
    touched: Counts = field(init=False)
    liked_by: Counts = field(init=False)
    weights: Sums = field(init=False)
    recent: Sums = field(init=False)
    liked_weight: float = 0.0
    n_likers: int = 0
    latest: float = 0.0

    def __post_init__(self) -> None:
        self.touched, self.liked_by = np.zeros((2, self.n_items), dtype=np.int64)
        self.weights, self.recent = np.zeros((2, self.n_items))

    def add(self, interactions: csr_matrix, times: csr_matrix) -> None:
        columns, weights = interactions.indices, interactions.data.astype(np.float64)
        positive = np.maximum(weights, 0)
        faded = positive * 0.5 ** ((self.reference_s - times.data) / HALF_LIFE_S)
        self.touched += np.bincount(columns, minlength=self.n_items)
        self.liked_by += np.bincount(columns[weights > 0], minlength=self.n_items)
        self.weights += np.bincount(columns, weights=weights, minlength=self.n_items)
        self.recent += np.bincount(columns, weights=faded, minlength=self.n_items)
        self.liked_weight += float(positive.sum())
        self.n_likers += len(np.unique(row_numbers(interactions)[weights > 0]))
        self.latest = max(self.latest, float(times.data.max(initial=0)))

    @property
    def n(self) -> int:
        """Number of interactions."""
        return int(self.touched.sum())

    @property
    def n_likes(self) -> int:
        return int(self.liked_by.sum())

    @property
    def mean_like(self) -> float:
        """As `matrices.mean_like`."""
        return self.liked_weight / self.n_likes if self.n_likes else 1.0

    @property
    def popularity(self) -> Sums:
        """(n_items,) as `recent`, with ages that count from the latest interaction."""
        sums: Sums = self.recent * 0.5 ** ((self.latest - self.reference_s) / HALF_LIFE_S)
        return sums
