"""Interactions as matrices of a few thousand viewers each. It runs on workers: no Django."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import IdMap
from recommendations.spark.shared_folder import SharedFolder


class ViewerFile(NamedTuple):
    """A Parquet file with all evidence of the viewers with ids of one range.

    Attributes:
        first_row: The row of the first of these viewers in the matrix of all viewers.
        users: (n,) int64, the ids of the active viewers, ascending.
    """

    name: str
    first_row: int
    users: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ViewerBlock:
    """The part of a `Dataset` of some consecutive viewers, as its matrices."""

    first_row: int
    interactions: csr_matrix
    times: csr_matrix
    ratings: csr_matrix


@dataclass(frozen=True, eq=False)
class SharedInteractions:
    """The interactions of all viewers in files; only one file at a time is in memory.

    Attributes:
        items: (n_items,) int64, the ids of the published movies, ascending.
        weights: (n,) float32, the weight of each code of evidence.
        rating_codes: The codes of half a star to five stars are from its start on.
        until: Unix seconds; later interactions are left out.
    """

    folder: SharedFolder
    files: tuple[ViewerFile, ...]
    items: NDArray[np.int64]
    weights: NDArray[np.float32]
    rating_codes: range
    until: float = inf

    @property
    def n_users(self) -> int:
        return sum(len(file.users) for file in self.files)

    @property
    def user_ids(self) -> NDArray[np.int64]:
        """(n_users,) int64, ascending."""
        none = np.empty(0, dtype=np.int64)
        return np.concatenate([none, *(file.users for file in self.files)])

    @property
    def n_items(self) -> int:
        return len(self.items)

    def read(self, file: ViewerFile) -> ViewerBlock:
        table = self.folder.read_table(file.name)
        users, movies, codes, seconds, counts = (
            table[name].to_numpy() for name in ("user", "movie", "code", "seconds", "counts")
        )
        rows, columns = IdMap(file.users).indices(users), IdMap(self.items).indices(movies)
        usable = (rows >= 0) & (columns >= 0) & (seconds <= self.until)
        is_rating = (codes >= self.rating_codes.start) & (codes < self.rating_codes.stop)
        shape = (len(file.users), self.n_items)

        def matrix(which: NDArray[np.bool_], values: NDArray[np.generic]) -> csr_matrix:
            # The rows of the file are by viewer and movie.
            starts = np.searchsorted(rows[which], np.arange(shape[0] + 1)).astype(np.int32)
            return csr_matrix((values[which], columns[which], starts), shape=shape)

        counting = usable & counts
        interactions = matrix(counting, self.weights[codes])
        places = (seconds[counting], interactions.indices, interactions.indptr)
        half_stars = (codes - self.rating_codes.start + 1).astype(np.uint8)
        return ViewerBlock(
            file.first_row,
            interactions,
            csr_matrix(places, shape=shape),
            matrix(usable & is_rating, half_stars),
        )
