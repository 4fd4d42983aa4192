"""Content-based filtering by TF-IDF profiles.

Pazzani and Billsus (2007), doi:10.1007/978-3-540-72079-9_10; Lops, de Gemmis and Semeraro (2011),
doi:10.1007/978-0-387-85820-3_3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.feature_vectors import FeatureKind, row_lengths, tfidf_vectors
from recommendations.engine.matrices import (
    Array,
    Features,
    ItemFeatures,
    Scores,
    Times,
    product_of_rows,
    row_entries,
)
from recommendations.engine.recommender import Explainer, LeaveOneOut, ModelRecommender

Float32 = NDArray[np.float32]

#: The weights of genre, decade and keyword are chosen on a validation split of cold films
#: (ml-latest-small). No open data have the other kinds: they are set by analogy.
KINDS = {
    "genre": FeatureKind(1.0, rarity=True, evening=0.0),
    "decade": FeatureKind(0.3, rarity=True, evening=0.0),
    "language": FeatureKind(0.3, rarity=True, evening=0.0),
    "director": FeatureKind(3.0, rarity=True, evening=0.0),
    "person": FeatureKind(3.0, rarity=True, evening=0.0),
    "keyword": FeatureKind(5.0, rarity=True, evening=0.0),
    "word": FeatureKind(1.0, rarity=True, evening=0.0),
}
#: Users scored at once. Their profiles must stay in the CPU cache: 20,000 features of 64 users are
#: 5 MB. With 256 users, each took five times as long.
BATCH = 64
#: Number of pseudo-items of usual reach that smooth the reach of a feature.
USUAL_ITEMS = 5


@dataclass(frozen=True)
class ContentModel:
    """The fitted model.

    Attributes:
        vectors: (n_items, n_features) float32, the weighted features of each item.
        lengths: (n_items,) float32, lengths of the vectors; 0 for an item without features.
        reach: (n_features,) float32, the mean number of users who like an item with the feature,
            relative to that of any item.
    """

    vectors: csr_matrix
    lengths: NDArray[np.float32]
    reach: NDArray[np.float32]

    @property
    def n_items(self) -> int:
        return len(self.lengths)

    @cached_property
    def unknown(self) -> NDArray[np.intp]:
        """The items without features."""
        return np.flatnonzero(self.lengths == 0)


@dataclass(eq=False)
class ContentExplainer(Explainer):
    """The profile is a sum over the history, and so is a score times the profile's length."""

    def __post_init__(self) -> None:
        super().__post_init__()
        model: ContentModel = self.model
        self.shares = _shares(model, self.items, self.weights)
        values, features, counts = row_entries(model.vectors, self.items)
        parts = values * np.repeat(self.shares, counts)
        self.profile = np.bincount(features, parts, len(model.reach)).astype(np.float32)
        self.length = np.sqrt(self.profile @ self.profile)

    def contributions(self, items: NDArray[np.integer]) -> Float32 | None:
        if not self.length:
            return None
        products = self.model.vectors[self.items] @ self._reaching(items)
        return np.asarray(products.T * (self.shares / self.length))

    def _reaching(self, items: NDArray[np.integer]) -> Float32:
        """(n_features, n), the vector of each item with the reach of its features."""
        values, features, counts = row_entries(self.model.vectors, items)
        columns = np.zeros((len(self.model.reach), len(items)), dtype=np.float32)
        columns[features, np.repeat(np.arange(len(items)), counts)] = (
            values * self.model.reach[features]
        )
        return columns

    def without(self, entries: NDArray[np.integer], items: NDArray[np.integer]) -> LeaveOneOut:
        if not self.length or not len(entries):
            return super().without(entries, items)
        vectors, liked, shares = self.model.vectors, self.items[entries], self.shares[entries]
        values, features, counts = row_entries(vectors, liked)
        rows = np.repeat(np.arange(len(entries)), counts)
        values = values * shares[rows].astype(np.float64)
        # |p - v|² = |p|² - v·(2p - v)
        less = np.bincount(rows, values * (2 * self.profile[features] - values), len(entries))
        length = np.float64(self.length)
        lengths = np.sqrt(np.maximum(length**2 - less, 0))
        if np.count_nonzero(self.shares) == 1:
            lengths[shares > 0] = np.nan
        lengths = np.append(length, lengths)
        towards = self._reaching(liked) * shares
        most = np.zeros(len(self.profile), dtype=np.float32)
        np.maximum.at(most, features, towards[features, rows])

        def falls(of: Any) -> NDArray[np.floating]:
            is_whole = isinstance(of, slice)
            return vectors @ towards if is_whole else product_of_rows(vectors, of, towards)

        whole = self.scores * self.length
        bounds = (whole - vectors @ most, whole)
        sums = self.leave_out(items, whole, bounds, falls)
        scores = sums.scores / lengths[:, None]
        return LeaveOneOut(scores, sums.least / lengths, sums.greatest / lengths)


class ContentRecommender(ModelRecommender[ContentModel]):
    """Scores are the product of an item's vector and the user's profile, a sum of liked items.

    Each liked item enters the profile with length 1, and the profile is scaled to length 1. Items
    keep their length, so the better described of two equal matches comes first, and each feature
    counts by its reach. Both rank better than the cosine, which prefers items with a single
    feature. Negative weights are ignored: to subtract them changed no figure on the validation
    split.
    """

    name = "content"
    description = "Films made of the same as those you liked: genres, people, keywords, plot."
    must_beat_popularity = False
    explainer_type = ContentExplainer

    def obstacle(
        self, interactions: csr_matrix, items: Features = None, times: Times = None
    ) -> str | None:
        if items is None or not items.matrix.nnz:
            return "Nothing is known of the films: no genres, people or keywords."
        return None

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        n_items = interactions.shape[1]
        liked = interactions.indices[interactions.data > 0]
        liked_by = np.bincount(liked, minlength=n_items)
        return self.fit_counts(
            items, np.bincount(interactions.indices, minlength=n_items), liked_by
        )

    def fit_counts(
        self, items: Features, touched: NDArray[np.integer], liked_by: NDArray[np.integer]
    ) -> Self:
        """As `fit`, from the (n_items,) numbers of interactions and of likes."""
        if items is None:
            items = ItemFeatures(csr_matrix(np.zeros((len(touched), 0))), ())
        vectors = tfidf_vectors(items, KINDS)
        reach = _reach(vectors, touched > 0, liked_by)
        self._model = ContentModel(vectors, row_lengths(vectors), reach)
        return self

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        model = self._fitted_for(history)
        scores: Scores = np.empty(history.shape, dtype=np.float32)
        shares = _shares(model, history.indices, history.data)
        for start in range(0, history.shape[0], BATCH):
            rows = slice(start, start + BATCH)
            profiles, lengths = _profiles(model, history, shares, rows)
            profiles *= model.reach[:, None]
            np.divide((model.vectors @ profiles).T, lengths[:, None], out=scores[rows])
        scores[:, model.unknown] = np.nan
        return scores

    def known_items(self) -> NDArray[np.bool_]:
        return self.learned().lengths > 0

    def similar_items(self, item: int) -> Scores | None:
        """As in `Recommender`: the cosine of two items. None if no item has features."""
        model = self.learned()
        if len(model.unknown) == model.n_items:
            return None
        products = model.vectors @ model.vectors[item].toarray().ravel()
        with np.errstate(invalid="ignore"):
            cosines: Scores = products / model.lengths / model.lengths[item]
        return cosines.clip(-1, 1)

    def to_arrays(self) -> dict[str, Array]:
        model = self.learned()
        return {
            "data": model.vectors.data,
            "indices": model.vectors.indices,
            "indptr": model.vectors.indptr,
            "lengths": model.lengths,
            "reach": model.reach,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        recommender = cls()
        lengths = np.asarray(arrays["lengths"], dtype=np.float32)
        reach = np.asarray(arrays["reach"], dtype=np.float32)
        values = np.asarray(arrays["data"], dtype=np.float32)
        places = (np.asarray(arrays[name], dtype=np.int32) for name in ("indices", "indptr"))
        vectors = csr_matrix((values, *places), shape=(len(lengths), len(reach)), copy=False)
        recommender._model = ContentModel(vectors, lengths, reach)
        return recommender


def _shares(
    model: ContentModel, items: NDArray[np.integer], weights: NDArray[np.float32]
) -> Float32:
    """The factor of each entry in a profile; 0 if it is not liked or has no features."""
    lengths = model.lengths[items]
    shares = np.zeros(len(items), dtype=np.float32)
    np.divide(np.maximum(weights, 0), lengths, out=shares, where=lengths > 0)
    return shares


def _profiles(
    model: ContentModel, history: csr_matrix, shares: Float32, rows: slice
) -> tuple[Float32, Float32]:
    """(n_features, n_rows) sums of the liked items, and their lengths; NaN for an empty profile."""
    starts = history.indptr[rows.start : rows.stop + 1]
    n_rows, entries = len(starts) - 1, slice(starts[0], starts[-1])
    values, features, counts = row_entries(model.vectors, history.indices[entries])
    owners = np.repeat(np.repeat(np.arange(n_rows), np.diff(starts)), counts)
    sums = np.bincount(
        features.astype(np.intp) * n_rows + owners,
        weights=values * np.repeat(shares[entries], counts),
        minlength=len(model.reach) * n_rows,
    )
    profiles = sums.reshape(len(model.reach), n_rows).astype(np.float32)
    lengths = np.linalg.norm(profiles, axis=0)
    lengths[lengths == 0] = np.nan
    return profiles, lengths


def _reach(
    vectors: csr_matrix, touched: NDArray[np.bool_], liked_by: NDArray[np.integer]
) -> NDArray[np.float32]:
    """(n_features,) float32: 1 where items with the feature have as many users as any item."""
    n_items, n_features = vectors.shape
    if not liked_by.any():
        return np.ones(n_features, dtype=np.float32)
    usual = liked_by[touched].mean()
    features, rows = vectors.indices, np.repeat(np.arange(n_items), np.diff(vectors.indptr))
    users = np.bincount(features, weights=liked_by[rows], minlength=n_features)
    items = np.bincount(features, weights=touched[rows], minlength=n_features)
    reach = (users / usual + USUAL_ITEMS) / (items + USUAL_ITEMS)
    return np.asarray(reach, dtype=np.float32)
