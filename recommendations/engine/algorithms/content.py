"""What is made of the same as what one liked: TF-IDF profiles.

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
from recommendations.engine.matrices import Array, ItemFeatures, Scores
from recommendations.engine.recommender import ModelRecommender

#: Genre, decade and keyword are chosen on a validation split of cold films (ml-latest-small); of
#: the other kinds no open ratings tell: they go by likeness to these.
KINDS = {
    "genre": FeatureKind(1.0, rarity=True, evening=0.0),
    "decade": FeatureKind(0.3, rarity=True, evening=0.0),
    "language": FeatureKind(0.3, rarity=True, evening=0.0),
    "director": FeatureKind(3.0, rarity=True, evening=0.0),
    "person": FeatureKind(3.0, rarity=True, evening=0.0),
    "keyword": FeatureKind(5.0, rarity=True, evening=0.0),
    "word": FeatureKind(1.0, rarity=True, evening=0.0),
}
#: Users whose profiles stay in the processor's cache: 20,000 features of 64 are 5 MB. With 256 at
#: once a user took five times as long.
BATCH = 64
#: So many items of the usual reach are added to those that have a feature.
USUAL_ITEMS = 5


@dataclass(frozen=True)
class ContentModel:
    """What scoring needs.

    Attributes:
        vectors: (n_items, n_features) float32, an item's weighted features.
        lengths: (n_items,) float32 of these; 0 for an item of which nothing is known.
        reach: (n_features,) float32, how many users like an item that has it, over how many like
            any item.
    """

    vectors: csr_matrix
    lengths: NDArray[np.float32]
    reach: NDArray[np.float32]

    @property
    def n_items(self) -> int:
        return len(self.lengths)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n_items,) the items of which anything is known."""
        return self.lengths > 0


class ContentRecommender(ModelRecommender[ContentModel]):
    """The product of an item and a user's profile, which is the weighted sum of the liked items.

    Each liked item enters the profile with length 1, and the profile has length 1. Items keep their
    length: of two that fit alike, the one that is better described comes first. And a feature
    counts with its reach. Both find more of what is liked than the bare cosine, for which an item
    with a single feature is the purest. Weights below 0 say nothing here: taking disliked items
    off the profile changed no figure on the validation split.
    """

    name = "content"
    description = "Films made of the same as those you liked: genres, people, keywords, plot."
    must_beat_popularity = False

    def obstacle(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> str | None:
        if items is None or not items.matrix.nnz:
            return "Nothing is known of the films: no genres, people or keywords."
        return None

    def fit(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> Self:
        if items is None:
            items = ItemFeatures(csr_matrix(np.zeros((interactions.shape[1], 0))), ())
        vectors = tfidf_vectors(items, KINDS)
        self._model = ContentModel(vectors, row_lengths(vectors), _reach(vectors, interactions))
        return self

    def score(self, history: csr_matrix, times: csr_matrix | None = None) -> Scores:
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
        """As in `Recommender`: a profile is a sum, and so is its product with an item."""
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
        """As in `Recommender`: the cosine of two items. None if nothing is known of any item."""
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
    """(n_rows, n_items) float32, of the history's sparsity: how much of each is in a profile."""
    lengths = model.lengths[history.indices]
    shares = np.zeros(history.nnz, dtype=np.float32)
    np.divide(np.maximum(history.data, 0), lengths, out=shares, where=lengths > 0)
    return csr_matrix((shares, history.indices, history.indptr), shape=history.shape)


def _profiles(model: ContentModel, history: csr_matrix) -> tuple[csr_matrix, NDArray[np.bool_]]:
    """(n_rows, n_features) float32 of length 1, and for which rows there is one at all."""
    profiles = _shares(model, history) @ model.vectors
    lengths = row_lengths(profiles)
    has_profile = lengths > 0
    profiles.data /= np.repeat(lengths, np.diff(profiles.indptr))
    return profiles, has_profile


def _reach(vectors: csr_matrix, interactions: csr_matrix) -> NDArray[np.float32]:
    """(n_features,) float32: 1 where items with the feature find as many users as any."""
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
