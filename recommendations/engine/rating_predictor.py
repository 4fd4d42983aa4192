"""Predicts the stars that a viewer would give a film, from viewers of similar taste.

User-based nearest neighbours: Resnick et al. (1994), doi:10.1145/192844.192905, with the
significance weighting of Herlocker et al. (1999), doi:10.1145/312624.312682. Ratings are centred
on the baseline of Koren (2010), doi:10.1145/1644873.1644874 (global mean, film offset, viewer
offset) instead of the viewer's mean: a viewer who gives only five stars then has a taste too, and
films that everybody loves make no two viewers similar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import (
    Array,
    blocks,
    model_from_arrays,
    model_to_arrays,
    ranges,
)

# Chosen on a validation split of `ml-latest-small`; docs/measurements.md has the figures.
#: Number of pseudo-ratings of zero deviation that shrink an offset.
OFFSET_DAMPING = 5.0
#: Similarity counts in full from this number of shared items.
SHARED_ITEMS = 50
#: The most similar raters of an item that are used.
NEIGHBOURS = 50
#: Weight of a pseudo-neighbour who agrees with the baseline.
LIKENESS_DAMPING = 0.2
#: With fewer ratings, or fewer neighbours, a similarity is chance and there is no prediction.
MIN_RATINGS = 5
MIN_NEIGHBOURS = 3
#: The scale, in stars.
LOWEST, HIGHEST = 0.5, 5.0


@dataclass(frozen=True, eq=False)
class Taste:
    """One viewer, folded in.

    Attributes:
        offset: Mean deviation in stars from what others give the same items, damped.
        likeness: (n_users,) float32, similarity 0 to 1; 0 for a user who is no neighbour.
    """

    offset: float
    likeness: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RatingPredictor:
    """All ratings, grouped by item, as deviations from the baseline.

    Attributes:
        mean: Mean of all ratings, in stars.
        item_offsets: (n_items,) float32 stars, 0 for an item without ratings.
        starts: (n_items + 1,) int64, where the ratings of each item begin.
        raters: (n_ratings,) int32 rows of users, ascending within an item.
        deviations: (n_ratings,) float32, in stars, from the mean plus both offsets.
        norms: (n_users,) float32, Euclidean length of each user's deviations.
    """

    n_users: int
    mean: float
    item_offsets: NDArray[np.float32]
    starts: NDArray[np.int64]
    raters: NDArray[np.int32]
    deviations: NDArray[np.float32]
    norms: NDArray[np.float32]

    @classmethod
    def fit(cls, ratings: csr_matrix) -> Self:
        """Subtract the baseline from the ratings.

        Args:
            ratings: (n_users, n_items) half stars, 1 to 10; empty rows are allowed.
        """
        n_users, n_items = ratings.shape
        by_item = ratings.tocsc()
        by_item.sort_indices()
        raters = by_item.indices.astype(np.int32, copy=False)
        items = np.repeat(np.arange(n_items, dtype=np.int32), np.diff(by_item.indptr))
        deviations: NDArray[np.float32] = by_item.data.astype(np.float32) / np.float32(2)
        mean = float(deviations.mean(dtype=np.float64)) if len(deviations) else 0.0
        deviations -= np.float32(mean)
        item_offsets = _offsets(items, deviations, n_items)
        deviations -= item_offsets[items]
        deviations -= _offsets(raters, deviations, n_users)[raters]
        starts = by_item.indptr.astype(np.int64)
        squares = np.bincount(raters, weights=deviations**2, minlength=n_users)
        norms = np.sqrt(squares).astype(np.float32)
        return cls(n_users, mean, item_offsets, starts, raters, deviations, norms)

    def taste_of(
        self,
        items: NDArray[np.integer],
        half_stars: NDArray[np.integer],
        *,
        besides: int | None = None,
    ) -> Taste | None:
        """Fold a viewer in, known or new.

        Args:
            items: (n,) indices of the items that the viewer has rated, unique.
            half_stars: (n,) 1 to 10.
            besides: The viewer's own row, if any, which is no neighbour.

        Returns:
            None for fewer than MIN_RATINGS ratings.
        """
        if len(items) < MIN_RATINGS:
            return None
        deviations = half_stars / 2 - self.mean - self.item_offsets[items]
        offset = float(deviations.sum() / (len(items) + OFFSET_DAMPING))
        likeness = self._likeness(items, deviations - offset)
        if besides is not None:
            likeness[besides] = 0
        return Taste(offset, likeness)

    def _likeness(
        self, items: NDArray[np.integer], deviations: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """(n_users,) float32, 0 to 1: the cosine of the deviations, shrunk if few items are shared.

        A negative cosine counts as 0: two viewers who disagree say little about a third film.
        """
        ratings, lengths = ranges(self.starts[items], self.starts[items + 1])
        raters = self.raters[ratings]
        products = self.deviations[ratings] * np.repeat(deviations, lengths)
        agreement = np.bincount(raters, weights=products, minlength=self.n_users)
        shared = np.bincount(raters, minlength=self.n_users)
        significance = np.minimum(shared, SHARED_ITEMS) / SHARED_ITEMS
        alike = np.flatnonzero(agreement > 0)  # then both norms are above 0 too
        norms = self.norms[alike] * np.linalg.norm(deviations)
        likeness = np.zeros(self.n_users, dtype=np.float32)
        likeness[alike] = agreement[alike] / norms * significance[alike]
        return likeness

    def predict(
        self, taste: Taste, items: NDArray[np.integer] | None = None
    ) -> NDArray[np.float32]:
        """Predict the stars for `items` (m indices), or for all items.

        Returns:
            (m,) float32 from LOWEST to HIGHEST; NaN where fewer than MIN_NEIGHBOURS rated it.
        """
        asked = np.arange(len(self.item_offsets)) if items is None else items
        deviations = np.empty(len(asked))
        for block in blocks(len(asked), self.n_users):
            deviations[block] = self._deviations(taste, asked[block])
        stars = self.mean + taste.offset + self.item_offsets[asked] + deviations
        return np.clip(stars, LOWEST, HIGHEST).astype(np.float32)

    def _deviations(self, taste: Taste, items: NDArray[np.integer]) -> NDArray[np.float64]:
        """(m,) the neighbours' weighted mean deviation for each item; NaN if they are too few."""
        ratings, lengths = ranges(self.starts[items], self.starts[items + 1])
        rows = np.repeat(np.arange(len(items)), lengths)
        weights = taste.likeness[self.raters[ratings]]
        alike = np.flatnonzero(weights)
        rows, weights, ratings = rows[alike], weights[alike], ratings[alike]
        counts = np.bincount(rows, minlength=len(items))
        if (counts > NEIGHBOURS).any():
            order = np.lexsort((-weights, rows))
            last = np.cumsum(counts) - counts + np.minimum(counts, NEIGHBOURS) - 1
            # All ties are kept, or the result would depend on the order in which users joined.
            least = weights[order[last.clip(min=0, max=len(order) - 1)]]
            nearest = weights >= least[rows]
            rows, weights, ratings = rows[nearest], weights[nearest], ratings[nearest]
        sums = np.bincount(rows, weights * self.deviations[ratings], len(items))
        totals = np.bincount(rows, weights, len(items))
        found: NDArray[np.float64] = sums / (totals + LIKENESS_DAMPING)
        found[counts < MIN_NEIGHBOURS] = np.nan
        return found

    def to_arrays(self) -> dict[str, Array]:
        return model_to_arrays(self)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        return model_from_arrays(cls, arrays)


def _offsets(
    owners: NDArray[np.int32], deviations: NDArray[np.float32], n: int
) -> NDArray[np.float32]:
    """(n,) float32, the mean deviation of each owner's ratings, shrunk towards 0."""
    sums = np.bincount(owners, weights=deviations, minlength=n)
    return damped_means(sums, np.bincount(owners, minlength=n))


def damped_means(sums: NDArray[Any], counts: NDArray[np.integer]) -> NDArray[np.float32]:
    """(n,) float32, the means of sums of `counts` deviations, shrunk towards 0."""
    means: NDArray[np.float32] = (sums / (counts + OFFSET_DAMPING)).astype(np.float32)
    return means


def as_percent(stars: NDArray[np.float32]) -> NDArray[np.float32]:
    """(m,) float32 whole numbers from 0 to 100; NaN stays NaN."""
    percents: NDArray[np.float32] = np.rint((stars - LOWEST) / (HIGHEST - LOWEST) * 100)
    return percents
