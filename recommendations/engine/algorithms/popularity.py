"""Popularity with exponential decay, the same for all users."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import Array, Features, Scores, Times
from recommendations.engine.recommender import NotFittedError, Recommender, check_history

#: Age at which an interaction counts half: a year.
HALF_LIFE_S = 365 * 86_400.0


class PopularityRecommender(Recommender):
    """Scores an item by the sum of its positive weights, which halve in HALF_LIFE_S."""

    name = "popularity"
    description = "What most viewers liked lately; the same list for everybody."
    is_personal = False

    def __init__(self) -> None:
        self._popularity: NDArray[np.float32] | None = None
        #: (n_items,) number of users who like the item.
        self.liked_by: NDArray[np.int32] = np.empty(0, dtype=np.int32)

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        weights = np.maximum(interactions.data, 0).astype(np.float64)
        if times is not None and times.nnz:
            weights *= 0.5 ** ((times.data.max() - times.data) / HALF_LIFE_S)
        n_items = interactions.shape[1]
        popularity = np.bincount(interactions.indices, weights=weights, minlength=n_items)
        touched = np.bincount(interactions.indices, minlength=n_items)
        liked = interactions.indices[interactions.data > 0]
        return self.fit_sums(popularity, touched, np.bincount(liked, minlength=n_items))

    def fit_sums(
        self,
        popularity: NDArray[Any],
        touched: NDArray[np.integer],
        liked_by: NDArray[np.integer],
    ) -> Self:
        """As `fit`, from (n_items,) decayed sums, numbers of interactions and numbers of likes."""
        # An item without interactions is new rather than unpopular.
        self._popularity = np.where(touched > 0, popularity, np.nan).astype(np.float32)
        self.liked_by = liked_by.astype(np.int32)
        return self

    @cached_property
    def mean_liked_by(self) -> float:
        """The mean number of users, of the items that users like."""
        return float(self.liked_by.sum() / max(np.count_nonzero(self.liked_by), 1))

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        if self._popularity is None:
            raise NotFittedError(self.name)
        check_history(history, len(self._popularity))
        return np.tile(self._popularity, (history.shape[0], 1))

    def to_arrays(self) -> dict[str, Array]:
        if self._popularity is None:
            raise NotFittedError(self.name)
        return {"popularity": self._popularity, "liked_by": self.liked_by}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        recommender = cls()
        recommender._popularity = np.asarray(arrays["popularity"], dtype=np.float32)
        # The first releases have no counts.
        nobody = np.zeros(len(recommender._popularity))
        recommender.liked_by = np.asarray(arrays.get("liked_by", nobody), dtype=np.int32)
        return recommender
