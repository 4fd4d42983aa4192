"""Items as vectors of what they are made of: TF-IDF in which each kind of feature has its say.

Pazzani and Billsus (2007), doi:10.1007/978-3-540-72079-9_10; Lops, de Gemmis and Semeraro (2011),
doi:10.1007/978-0-387-85820-3_3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.protocol import ItemFeatures


@dataclass(frozen=True)
class Kind:
    """How the features of one kind count.

    Attributes:
        weight: Length of the part of the vector that they make in an item of usual length.
        rarity: Whether a rare one says more than a common one.
        evening: How far items with many and with few of them are made alike: 1 gives all the same
            length, 0 leaves the one with more of them longer.
    """

    weight: float
    rarity: bool
    evening: float


#: Of a kind that a table of kinds does not name.
OTHER = Kind(1.0, rarity=True, evening=1.0)


def describe(items: ItemFeatures, kinds: Mapping[str, Kind]) -> csr_matrix:
    """Weigh the features of each item.

    Args:
        kinds: By what stands before the colon of a feature's name.

    Returns:
        (n_items, n_features) float32, not negative; a row without entries for an item of which
        nothing is known.
    """
    counts = csr_matrix(items.matrix, dtype=np.float64, copy=True)
    counts.sum_duplicates()
    counts.data = np.maximum(counts.data, 0)
    counts.eliminate_zeros()
    n_items, n_features = counts.shape
    groups = np.array([name.partition(":")[0] for name in items.names], dtype=np.str_)
    frequency = np.bincount(counts.indices, minlength=n_features)
    idf = np.log((1 + n_items) / (1 + frequency)) + 1
    rows = np.repeat(np.arange(n_items), np.diff(counts.indptr))
    values = np.log1p(counts.data)
    for group in np.unique(groups):
        kind = kinds.get(str(group), OTHER)
        mine = (groups == group)[counts.indices]
        part = values[mine] * (idf[counts.indices[mine]] if kind.rarity else 1)
        values[mine] = kind.weight * _evened(part, rows[mine], n_items, kind.evening)
    shape = (n_items, n_features)
    return csr_matrix((values.astype(np.float32), counts.indices, counts.indptr), shape=shape)


def lengths_of(vectors: csr_matrix) -> NDArray[np.float32]:
    """(n_items,) float32, 0 for an item of which nothing is known."""
    squares = vectors.multiply(vectors).sum(axis=1)
    lengths: NDArray[np.float32] = np.sqrt(np.asarray(squares).ravel()).astype(np.float32)
    return lengths


def _evened(
    values: NDArray[np.float64], rows: NDArray[np.intp], n_items: int, evening: float
) -> NDArray[np.float64]:
    """The values scaled so that an item with the usual length gets length 1."""
    squares = np.bincount(rows, weights=values**2, minlength=n_items)
    if not squares.any():
        return values
    usual = np.sqrt(squares[squares > 0].mean())
    scaled: NDArray[np.float64] = (
        values * np.sqrt(squares[rows]) ** -evening * usual ** (evening - 1)
    )
    return scaled
