"""Item neighbours. Deshpande and Karypis (2004), doi:10.1145/963770.963776; Aiolli (2013),
doi:10.1145/2507157.2507189."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array, vstack

from recommendations.engine.algorithms._item_weights import ItemWeightsRecommender, damping
from recommendations.engine.matrices import Features, Times, blocks

#: The parameters k1 and b of BM25.
SATURATION, LENGTH_SHARE = 1.2, 0.5
#: Mean number of likes of a film from which the data count as dense.
DENSE = 20


class ItemKnnRecommender(ItemWeightsRecommender):
    """Scores films by their similarity to the films of the history: both have the same viewers.

    Args:
        weighting: How a viewer counts in a film's vector: `cosine` counts all alike; `tfidf` and
            `bm25` count viewers who like everything less. BM25 vectors are compared by the plain
            product, the others by cosine.
        neighbours: Number of neighbours of each film; by default 50, or 30 if the data are dense
            and so the nearest neighbours more certain.
        shrinkage: Number of viewers that are added to the norms in a similarity.
        rarity: A film in the history is divided by this power of its number of viewers.
        damping: Scores are divided by this power of the number of viewers.
        max_products: More pairs of likes by one viewer are an obstacle.
    """

    name = "item_knn"
    description = "Films that the same viewers liked as those of the history."
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "neighbours": (20, 30, 50, 100, 200),
        "shrinkage": (0.0, 5.0, 10.0, 30.0),
        "rarity": (0.0, 0.1, 0.2, 0.3),
    }

    def __init__(
        self,
        *,
        weighting: str = "cosine",
        neighbours: int | None = None,
        shrinkage: float = 5.0,
        rarity: float = 0.2,
        damping: float = 0.0,
        max_products: float = 5e9,
    ) -> None:
        if weighting not in WEIGHTINGS:
            raise ValueError(f"weighting is one of {', '.join(WEIGHTINGS)}, not {weighting}")
        self.weighting = weighting
        self.neighbours = neighbours
        self.shrinkage = shrinkage
        self.rarity = rarity
        self.damping = damping
        self.max_products = max_products

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        return {
            "neighbours": self._neighbours(
                int((interactions.data > 0).sum()), interactions.shape[1]
            ),
            "shrinkage": self.shrinkage,
            "rarity": self.rarity,
        }

    def obstacle(
        self, interactions: csr_matrix, items: Features = None, times: Times = None
    ) -> str | None:
        products = float((np.diff(interactions.indptr).astype(np.float64) ** 2).sum())
        if products <= self.max_products:
            return None
        return (
            f"Comparing its films takes {products:.1e} products, "
            f"and more than {self.max_products:.1e} take too long."
        )

    def _norms(self, lists: csr_matrix) -> tuple[NDArray[np.float32], np.float32]:
        """(n_items,) norms that divide a similarity for either film, and what is added to them."""
        if self.weighting == "bm25":  # BM25 contains the norms already
            return np.ones(lists.shape[0], dtype=np.float32), np.float32(0)
        squares = lists.power(2).sum(axis=1).A1
        # In units of an average entry, whatever the weighting is.
        entry = np.mean(squares / np.diff(lists.indptr))
        return np.sqrt(squares).astype(np.float32), np.float32(self.shrinkage * entry)

    def _neighbours(self, n_likes: int, n_items: int) -> int:
        if self.neighbours is not None:
            return self.neighbours
        return 30 if n_likes >= DENSE * n_items else 50

    def _learn(self, likes: csr_matrix) -> csr_matrix:
        lists = csr_matrix(WEIGHTINGS[self.weighting](likes).T)
        lengths, shrinkage = self._norms(lists)
        of_source = damping(likes, self.rarity)
        of_target = damping(likes, self.damping)
        neighbours = self._neighbours(likes.nnz, likes.shape[1])
        by_viewer, targets = csr_matrix(lists.T), []
        for block in blocks(*[lists.shape[0]] * 2):
            likeness = (lists[block] @ by_viewer).toarray()
            likeness /= lengths[block, None] * lengths + shrinkage
            likeness[np.arange(len(likeness)), np.arange(block.start, block.stop)] = 0
            nearest = _strongest(likeness, neighbours)
            targets.append(diags_array(of_target[block]) @ nearest @ diags_array(of_source))
            self._report(block.stop / lists.shape[0])
        return csr_matrix(vstack(targets, format="csr").T)


def _strongest(rows: NDArray[np.float32], k: int) -> csr_matrix:
    """The k highest values of each row, as a sparse matrix."""
    n_columns = rows.shape[1]
    if k >= n_columns:
        return csr_matrix(rows)
    places = np.argpartition(rows, n_columns - k, axis=1)[:, n_columns - k :]
    places.sort(axis=1)
    values = np.take_along_axis(rows, places, axis=1)
    kept = values != 0
    ends = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
    return csr_matrix((values[kept], places[kept].astype(np.int32), ends), shape=rows.shape)


def _cosine(likes: csr_matrix) -> csr_matrix:
    return likes


def _tfidf(likes: csr_matrix) -> csr_matrix:
    return csr_matrix(diags_array(_rareness(likes)) @ likes)


def _bm25(likes: csr_matrix) -> csr_matrix:
    """BM25 with films as documents and their viewers as words."""
    liked_by = np.bincount(likes.indices, minlength=likes.shape[1])
    length = 1 - LENGTH_SHARE + LENGTH_SHARE * liked_by / liked_by.mean()
    weighted = likes.copy()
    saturated = SATURATION * length[likes.indices] + likes.data
    weighted.data = (likes.data * (SATURATION + 1) / saturated).astype(np.float32)
    return csr_matrix(diags_array(_rareness(likes)) @ weighted)


def _rareness(likes: csr_matrix) -> NDArray[np.float32]:
    """(n_users,) float32 above 0, the inverse document frequency of each viewer."""
    n_likes = np.diff(likes.indptr)
    return np.log((likes.shape[1] + 1) / np.maximum(n_likes, 1)).astype(np.float32)


WEIGHTINGS = {"bm25": _bm25, "cosine": _cosine, "tfidf": _tfidf}
