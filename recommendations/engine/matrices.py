"""Between the ids of the database and the rows and columns of a matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.linalg
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import ThreadpoolController

Array: TypeAlias = NDArray[np.generic]


Scores: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class ItemFeatures:
    """What is known of the items beside who liked them.

    Attributes:
        matrix: (n_items, n_features) float32, an item's weight of each feature.
        names: What each feature is, such as `genre:drama`.
    """

    matrix: csr_matrix
    names: tuple[str, ...]


@dataclass(frozen=True)
class IdMap:
    """Dense indices for sparse ids, in ascending order of the ids.

    Attributes:
        ids: (n,) int64, ascending, without repeats; the index of an id is its place.
    """

    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def indices(self, ids: Iterable[int] | NDArray[np.integer]) -> NDArray[np.int32]:
        """The index of each id, -1 for one that is not in the map."""
        wanted = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), dtype=np.int64)
        if not len(self.ids):
            return np.full(len(wanted), -1, dtype=np.int32)
        places = np.searchsorted(self.ids, wanted)
        places[places == len(self.ids)] = 0
        return np.where(self.ids[places] == wanted, places, -1).astype(np.int32)


def values_at(indices: NDArray[np.integer], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The value at each index, NaN where that is -1."""
    found: NDArray[np.float32] = np.append(values, np.float32(np.nan))[indices]
    return found


def without_each_entry(history: csr_matrix, entries: NDArray[np.integer]) -> csr_matrix:
    """(1 + m, n_items): the history itself, and then without each of its `entries`.

    Args:
        history: (1, n_items).
        entries: (m,) places in `history.indices`.
    """
    n_rows = 1 + len(entries)
    kept = np.ones((n_rows, history.nnz), dtype=bool)
    kept[np.arange(1, n_rows), entries] = False
    ends = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
    data, indices = (
        np.broadcast_to(values, kept.shape)[kept] for values in (history.data, history.indices)
    )
    return csr_matrix((data, indices, ends), shape=(n_rows, history.shape[1]))


# Both bring a BLAS of their own, and what is not loaded yet is not found below.


def one_thread() -> AbstractContextManager[object]:
    """For loops over small systems, where waiting for a second thread takes longer than the work.

    Servers and trainers begin with OPENBLAS_NUM_THREADS=1; whoever uses the engine from elsewhere
    need not know of it. Unlike `threadpool_limits` it does not look for libraries each time,
    which takes longer than to score a viewer.
    """
    limited: AbstractContextManager[object] = _blas().limit(limits=1, user_api="blas")
    return limited


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


#: Values of a dense block of rows: 40 MB of float32.
BLOCK_SIZE = 10_000_000


def blocks(n_rows: int, n_columns: int) -> Iterable[slice]:
    """Rows of at most BLOCK_SIZE values together, one after the other."""
    step = max(1, BLOCK_SIZE // max(1, n_columns))
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def sparse_to_arrays(name: str, matrix: csr_matrix) -> dict[str, Array]:
    return {
        f"{name}_starts": matrix.indptr,
        f"{name}_columns": matrix.indices,
        f"{name}_values": matrix.data,
    }


def sparse_from_arrays(name: str, arrays: Mapping[str, Array], *, n_columns: int) -> csr_matrix:
    starts = np.asarray(arrays[f"{name}_starts"], dtype=np.int64)
    columns = np.asarray(arrays[f"{name}_columns"], dtype=np.int32)
    values = np.asarray(arrays[f"{name}_values"], dtype=np.float32)
    return csr_matrix((values, columns, starts), shape=(len(starts) - 1, n_columns))
