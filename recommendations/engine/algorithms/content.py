"""Content-based filtering by TF-IDF profiles.

Pazzani and Billsus (2007), doi:10.1007/978-3-540-72079-9_10; Lops, de Gemmis and Semeraro (2011),
doi:10.1007/978-0-387-85820-3_3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.feature_vectors import FeatureKind, row_lengths, tfidf_vectors
from recommendations.engine.matrices import Array, Features, ItemFeatures, Scores, Times
from recommendations.engine.recommender import ModelRecommender

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

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n_items,) bool, the items with features."""
        return self.lengths > 0


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

    def obstacle(
        self, interactions: csr_matrix, items: Features = None, times: Times = None
    ) -> str | None:
        if items is None or not items.matrix.nnz:
            return "Nothing is known of the films: no genres, people or keywords."
        return None

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        if items is None:
            items = ItemFeatures(csr_matrix(np.zeros((interactions.shape[1], 0))), ())
        vectors = tfidf_vectors(items, KINDS)
        self._model = ContentModel(vectors, row_lengths(vectors), _reach(vectors, interactions))
        return self

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        model = self._fitted_for(history)
        profiles, has_profile = _profiles(model, history)
        profiles.data *= model.reach[profiles.indices]
        scores: Scores = np.empty(history.shape, dtype=np.float32)
        for start in range(0, history.shape[0], BATCH):
            rows = slice(start, start + BATCH)
            scores[rows] = (model.vectors @ profiles[rows].T.toarray()).T
        scores[:, ~model.known] = np.nan
        scores[~has_profile] = np.nan
        return scores

    def contributions(
        self, history: csr_matrix, items: NDArray[np.integer]
    ) -> NDArray[np.float64] | None:
        """As in `Recommender`: the profile is a sum over the history, and so is the score."""
        model = self._fitted_for(history)
        shares = _shares(model, history)
        length = row_lengths(shares @ model.vectors)[0]
        if not length:
            return None
        wanted = model.vectors[items]
        wanted.data *= model.reach[wanted.indices]
        products = (wanted @ model.vectors[history.indices].T).toarray()
        return np.asarray(products * (shares.data / length), dtype=np.float64)

    def similar_items(self, item: int) -> Scores | None:
        """As in `Recommender`: the cosine of two items. None if no item has features."""
        model = self._learned()
        if not model.known.any():
            return None
        products = model.vectors @ model.vectors[item].toarray().ravel()
        with np.errstate(invalid="ignore"):
            cosines: Scores = products / model.lengths / model.lengths[item]
        return cosines.clip(-1, 1)

    def to_arrays(self) -> dict[str, Array]:
        model = self._learned()
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


def _shares(model: ContentModel, history: csr_matrix) -> csr_matrix:
    """(n_rows, n_items) float32 with the history's sparsity: each item's share in the profile."""
    lengths = model.lengths[history.indices]
    shares = np.zeros(history.nnz, dtype=np.float32)
    np.divide(np.maximum(history.data, 0), lengths, out=shares, where=lengths > 0)
    return csr_matrix((shares, history.indices, history.indptr), shape=history.shape)


def _profiles(model: ContentModel, history: csr_matrix) -> tuple[csr_matrix, NDArray[np.bool_]]:
    """(n_rows, n_features) profiles of length 1, and (n_rows,) bool: which rows have one."""
    profiles = _shares(model, history) @ model.vectors
    lengths = row_lengths(profiles)
    has_profile = lengths > 0
    profiles.data /= np.repeat(lengths, np.diff(profiles.indptr))
    return profiles, has_profile


def _reach(vectors: csr_matrix, interactions: csr_matrix) -> NDArray[np.float32]:
    """(n_features,) float32: 1 where items with the feature have as many users as any item."""
    n_items, n_features = vectors.shape
    liked_by = np.bincount(interactions.indices[interactions.data > 0], minlength=n_items)
    touched = np.bincount(interactions.indices, minlength=n_items) > 0
    if not liked_by.any():
        return np.ones(n_features, dtype=np.float32)
    usual = liked_by[touched].mean()
    features, rows = vectors.indices, np.repeat(np.arange(n_items), np.diff(vectors.indptr))
    users = np.bincount(features, weights=liked_by[rows], minlength=n_features)
    items = np.bincount(features, weights=touched[rows], minlength=n_features)
    reach = (users / usual + USUAL_ITEMS) / (items + USUAL_ITEMS)
    return np.asarray(reach, dtype=np.float32)
