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

#: Mean number of likes of a film from which the data count as dense.
DENSE = 20


class ItemKnnRecommender(ItemWeightsRecommender):
    """Scores films by the cosine of their viewers with those of the films in the history.

    Args:
        neighbours: Number of neighbours of each film; by default 50, or 30 if the data are dense
            and so the nearest neighbours more certain.
        shrinkage: Number of viewers that are added to the norms in a cosine.
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
        neighbours: int | None = None,
        shrinkage: float = 5.0,
        rarity: float = 0.2,
        damping: float = 0.0,
        max_products: float = 5e9,
    ) -> None:
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

    def _neighbours(self, n_likes: int, n_items: int) -> int:
        if self.neighbours is not None:
            return self.neighbours
        return 30 if n_likes >= DENSE * n_items else 50

    def _learn(self, likes: csr_matrix) -> csr_matrix:
        lists = csr_matrix(likes.T)
        squares = lists.power(2).sum(axis=1).A1
        lengths = np.sqrt(squares).astype(np.float32)
        # `shrinkage` counts average entries.
        shrinkage = np.float32(self.shrinkage * np.mean(squares / np.diff(lists.indptr)))
        liked_by = np.diff(lists.indptr)
        of_source = damping(liked_by, self.rarity)
        of_target = damping(liked_by, self.damping)
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
