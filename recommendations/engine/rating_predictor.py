"""How many stars a viewer would give a film, from what viewers of similar taste gave it.

User-based nearest neighbours: Resnick et al. (1994), doi:10.1145/192844.192905, with the
significance weighting of Herlocker et al. (1999), doi:10.1145/312624.312682. In place of a
viewer's mean stands the baseline of Koren (2010), doi:10.1145/1644873.1644874: the mean of all
ratings, the film's offset from it, and the viewer's. So a viewer who gave five stars to everything
has a taste too, and what everybody loves makes nobody alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import Array

#: Chosen on a validation split of `ml-latest-small`: docs/recommender.md has the figures.
#: As many ratings of no deviation as an offset is drawn towards zero by.
OFFSET_DAMPING = 5.0
#: A likeness counts in full from so many shared items on.
SHARED_ITEMS = 50
#: Of those who rated the item, so many are asked that are most alike.
NEIGHBOURS = 50
#: Added to the neighbours' likenesses, as one more who agrees with the baseline.
LIKENESS_DAMPING = 0.2
#: With less there is too little to say: a likeness from a few ratings is chance.
LEAST_RATINGS = 5
LEAST_NEIGHBOURS = 3
#: The scale, in stars.
LOWEST, HIGHEST = 0.5, 5.0


@dataclass(frozen=True, eq=False)
class Taste:
    """What is known of one viewer.

    Attributes:
        offset: In stars, from what others give the same items.
        likeness: (n_users,) float32, above 0 to 1 for a neighbour, 0 for who is none.
    """

    offset: float
    likeness: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RatingPredictor:
    """All ratings, by item, as deviations from the baseline.

    Attributes:
        n_users: How many users the ratings are of.
        mean: Of all ratings, in stars.
        item_offsets: (n_items,) float32 stars, 0 for an item without ratings.
        starts: (n_items + 1,) int64, where the ratings of each item begin.
        raters: (n_ratings,) int32, rows of users, ascending within an item.
        deviations: (n_ratings,) float32 stars beside mean and both offsets.
        norms: (n_users,) float32, the length of each user's deviations.
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
        """Take the baseline off the ratings.

        Args:
            ratings: (n_users, n_items) half stars, 1 to 10; whoever rated nothing has an empty row.
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
        """Fold a viewer in, known or new, by the ratings of today.

        Args:
            items: (n,) indices of the items that the viewer has rated, each once.
            half_stars: (n,) 1 to 10.
            besides: The viewer's own row, if there is one: nobody is a neighbour of oneself.

        Returns:
            None for fewer than LEAST_RATINGS.
        """
        if len(items) < LEAST_RATINGS:
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
        """(n_users,) the cosine of all deviations, less where few items are shared.

        What is below zero counts as zero: that two disagree on all says little of a third film.
        """
        columns = [slice(self.starts[item], self.starts[item + 1]) for item in items]
        raters = np.concatenate([self.raters[column] for column in columns]).astype(np.intp)
        products = np.concatenate([
            self.deviations[column] * deviation
            for column, deviation in zip(columns, deviations, strict=True)
        ])  # fmt: skip
        agreement = np.bincount(raters, weights=products, minlength=self.n_users)
        shared = np.bincount(raters, minlength=self.n_users)
        significance = np.minimum(shared, SHARED_ITEMS) / SHARED_ITEMS
        alike = np.flatnonzero(agreement > 0)  # and so are both norms
        norms = self.norms[alike] * np.linalg.norm(deviations)
        likeness = np.zeros(self.n_users, dtype=np.float32)
        likeness[alike] = agreement[alike] / norms * significance[alike]
        return likeness

    def predict(
        self, taste: Taste, items: NDArray[np.integer] | None = None
    ) -> NDArray[np.float32]:
        """The stars that a viewer of this taste would give to each of `items`, or to all.

        Args:
            items: (m,) indices.

        Returns:
            (m,) float32 from LOWEST to HIGHEST; NaN where fewer than LEAST_NEIGHBOURS rated it.
        """
        asked = np.arange(len(self.item_offsets)) if items is None else items
        deviations = np.array(
            [self._deviation(taste, int(item)) for item in asked], dtype=np.float64
        )
        stars = self.mean + taste.offset + self.item_offsets[asked] + deviations
        return np.clip(stars, LOWEST, HIGHEST).astype(np.float32)

    def _deviation(self, taste: Taste, item: int) -> float:
        """What the neighbours say of an item, beside the baseline; NaN if they are too few."""
        ratings = slice(self.starts[item], self.starts[item + 1])
        likeness = taste.likeness[self.raters[ratings]]
        alike = np.flatnonzero(likeness)
        if len(alike) < LEAST_NEIGHBOURS:
            return float("nan")
        weights = likeness[alike]
        if len(alike) > NEIGHBOURS:
            # All of equals: which of them comes first must not depend on who joined first.
            nearest = weights >= np.partition(weights, -NEIGHBOURS)[-NEIGHBOURS]
            alike, weights = alike[nearest], weights[nearest]
        theirs = self.deviations[ratings][alike]
        return float(weights @ theirs / (weights.sum() + LIKENESS_DAMPING))

    def to_arrays(self) -> dict[str, Array]:
        """Everything that predicting needs, by name."""
        return {
            "n_users": np.array([self.n_users], dtype=np.int64),
            "mean": np.array([self.mean], dtype=np.float64),
            "item_offsets": self.item_offsets,
            "starts": self.starts,
            "raters": self.raters,
            "deviations": self.deviations,
            "norms": self.norms,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """The inverse of `to_arrays`. The arrays may be mapped read-only and are not copied."""
        return cls(
            int(arrays["n_users"][0]),
            float(arrays["mean"][0]),
            np.asarray(arrays["item_offsets"], dtype=np.float32),
            np.asarray(arrays["starts"], dtype=np.int64),
            np.asarray(arrays["raters"], dtype=np.int32),
            np.asarray(arrays["deviations"], dtype=np.float32),
            np.asarray(arrays["norms"], dtype=np.float32),
        )


def _offsets(
    owners: NDArray[np.int32], deviations: NDArray[np.float32], n: int
) -> NDArray[np.float32]:
    """(n,) the mean deviation of each owner's ratings, drawn towards zero."""
    sums = np.bincount(owners, weights=deviations, minlength=n)
    counts = np.bincount(owners, minlength=n)
    return (sums / (counts + OFFSET_DAMPING)).astype(np.float32)


def as_percent(stars: NDArray[np.float32]) -> NDArray[np.float32]:
    """(m,) float32 whole numbers from 0 to 100; NaN stays."""
    percents: NDArray[np.float32] = np.rint((stars - LOWEST) / (HIGHEST - LOWEST) * 100)
    return percents
