"""The ratings and deviations of all viewers in a release, which do not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import row_numbers
from recommendations.engine.rating_predictor import RatingPredictor, damped_means
from recommendations.engine.viewer_similarity import Deviations, damped_centres
from recommendations.spark.item_sums import ItemSums
from recommendations.spark.viewer_blocks import SharedInteractions, ViewerBlock

Float32 = NDArray[np.float32]


@dataclass(eq=False)
class ColumnsOnDisk:
    """Entries of a matrix by column, in mapped files that are filled block by block.

    Attributes:
        starts: (n_items + 1,) int64, where the entries of each column begin.
        rows: (n,) int32, ascending within a column.
        values: (n,) float32.
    """

    folder: Path
    counts: NDArray[np.integer]
    starts: NDArray[np.int64] = field(init=False)
    rows: NDArray[np.int32] = field(init=False)
    values: Float32 = field(init=False)
    _filled: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.starts = np.concatenate(([0], np.cumsum(self.counts))).astype(np.int64)
        self._filled = self.starts[:-1].copy()
        self.rows, self.values = (
            self._mapped(name, dtype)
            for name, dtype in (("rows", np.int32), ("values", np.float32))
        )

    def _mapped(self, name: str, dtype: type[np.generic]) -> NDArray[Any]:
        self.folder.mkdir(parents=True, exist_ok=True)
        n = int(self.starts[-1])
        if not n:  # an empty file cannot be mapped
            return np.empty(0, dtype=dtype)
        path = self.folder / f"{name}.npy"
        mapped: NDArray[Any] = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(n,))
        return mapped

    def add(self, first_row: int, block: csr_matrix) -> None:
        """Add the next rows of the matrix."""
        columns = block.tocsc()
        lengths = np.diff(columns.indptr)
        places = np.arange(columns.nnz) + np.repeat(self._filled - columns.indptr[:-1], lengths)
        self.rows[places] = columns.indices + first_row
        self.values[places] = columns.data
        self._filled += lengths


def fit_deviations(interactions: SharedInteractions, sums: ItemSums, folder: Path) -> Deviations:
    """As `Deviations.fit` on all interactions."""
    centres = damped_centres(sums.touched, sums.weights)
    found = ColumnsOnDisk(folder, sums.touched)
    for block in _blocks(interactions):
        weights = block.interactions
        data = (weights.data - centres[weights.indices]).astype(np.float32)
        places = (data, weights.indices, weights.indptr)
        found.add(block.first_row, csr_matrix(places, shape=weights.shape))
    return Deviations(
        interactions.n_users, sums.latest, centres, found.starts, found.rows, found.values
    )


def fit_predictor(interactions: SharedInteractions, folder: Path) -> RatingPredictor:
    """As `RatingPredictor.fit` on all ratings."""
    n_items = interactions.n_items
    counts, totals = np.zeros(n_items, dtype=np.int64), np.zeros(n_items)
    for block in _blocks(interactions):
        items = block.ratings.indices
        counts += np.bincount(items, minlength=n_items)
        totals += np.bincount(items, weights=block.ratings.data / 2, minlength=n_items)
    mean = float(totals.sum() / max(1, counts.sum()))
    item_offsets = damped_means(totals - mean * counts, counts)
    norms = np.zeros(interactions.n_users, dtype=np.float32)
    found = ColumnsOnDisk(folder, counts)
    for block in _blocks(interactions):
        ratings = block.ratings
        rows, n_rows = row_numbers(ratings), ratings.shape[0]
        data = ratings.data.astype(np.float32) / np.float32(2) - np.float32(mean)
        data -= item_offsets[ratings.indices]
        sums = np.bincount(rows, weights=data, minlength=n_rows)
        data -= damped_means(sums, np.diff(ratings.indptr))[rows]
        squares = np.bincount(rows, weights=data**2, minlength=n_rows)
        norms[block.first_row : block.first_row + n_rows] = np.sqrt(squares)
        places = (data, ratings.indices, ratings.indptr)
        found.add(block.first_row, csr_matrix(places, shape=ratings.shape))
    return RatingPredictor(
        interactions.n_users, mean, item_offsets, found.starts, found.rows, found.values, norms
    )


def _blocks(interactions: SharedInteractions) -> Iterator[ViewerBlock]:
    return map(interactions.read, interactions.files)
