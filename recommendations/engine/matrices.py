"""Data structures that the algorithms share: item features, id maps, sparse matrices as arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, TypeAlias, TypeVar, get_type_hints

import numpy as np

# NumPy and SciPy each bring a BLAS, which `_blas` finds only if it is loaded.
import numpy.linalg
import scipy.linalg  # noqa: F401
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import ThreadpoolController

Array: TypeAlias = NDArray[np.generic]
Scores: TypeAlias = NDArray[np.float32]
M = TypeVar("M")

#: Values in a dense block of rows: 40 MB of float32.
BLOCK_SIZE = 10_000_000


@dataclass(frozen=True)
class ItemFeatures:
    """Content features of the items.

    Attributes:
        matrix: (n_items, n_features) float32, the weight of each feature in each item.
        names: A name for each feature, such as `genre:drama`; the kind stands before the colon.
    """

    matrix: csr_matrix
    names: tuple[str, ...]


#: The features of the items, and the Unix seconds of interactions; None if they are not known.
Features: TypeAlias = ItemFeatures | None
Times: TypeAlias = csr_matrix | None
#: (n_rows,) the Unix seconds at which the list of each row is made; NaN or None if not known.
Now: TypeAlias = NDArray[np.float64] | None


@dataclass(frozen=True)
class IdMap:
    """Maps database ids to matrix indices.

    Attributes:
        ids: (n,) int64, ascending and unique; the index of an id is its position here.
    """

    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def indices(self, ids: Iterable[int] | NDArray[np.integer]) -> NDArray[np.int32]:
        """(n,) int32, the index of each id; -1 for an id that is not in the map."""
        wanted = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), dtype=np.int64)
        if not len(self.ids):
            return np.full(len(wanted), -1, dtype=np.int32)
        places = np.searchsorted(self.ids, wanted)
        places[places == len(self.ids)] = 0
        return np.where(self.ids[places] == wanted, places, -1).astype(np.int32)


def values_at(indices: NDArray[np.integer], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The value at each index; NaN where the index is -1."""
    found: NDArray[np.float32] = np.append(values, np.float32(np.nan))[indices]
    return found


def without_each_entry(history: csr_matrix, entries: NDArray[np.integer]) -> csr_matrix:
    """Stack a history and its copies that each lack one entry.

    Args:
        history: (1, n_items).
        entries: (m,) positions in `history.indices`.

    Returns:
        (1 + m, n_items); the first row is the whole history.
    """
    n_rows = 1 + len(entries)
    kept = np.ones((n_rows, history.nnz), dtype=bool)
    kept[np.arange(1, n_rows), entries] = False
    ends = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
    data, indices = (
        np.broadcast_to(values, kept.shape)[kept] for values in (history.data, history.indices)
    )
    return csr_matrix((data, indices, ends), shape=(n_rows, history.shape[1]))


def mean_like(interactions: csr_matrix) -> float:
    """The mean of the positive weights; 1 if there are none."""
    positive = interactions.data[interactions.data > 0]
    return float(positive.mean(dtype=np.float64)) if len(positive) else 1.0


def row_numbers(matrix: csr_matrix) -> NDArray[np.intp]:
    """(nnz,) the row of each stored entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def row_entries(
    matrix: csr_matrix, rows: NDArray[np.integer]
) -> tuple[NDArray[Any], NDArray[np.integer], NDArray[np.integer]]:
    """The values and columns of the entries of some rows, and (n_rows,) their numbers.

    It takes a tenth of the time of `matrix[rows]`.
    """
    places, counts = ranges(matrix.indptr[rows], matrix.indptr[rows + 1])
    return matrix.data[places], matrix.indices[places], counts


def product_of_rows(
    matrix: csr_matrix, rows: NDArray[np.integer], dense: NDArray[np.floating]
) -> NDArray[np.floating]:
    """(n_rows, k), `matrix[rows] @ dense`; for few rows in a third of the time."""
    values, columns, counts = row_entries(matrix, rows)
    products = np.zeros((len(rows), dense.shape[1]), dtype=np.result_type(values, dense))
    if len(values):
        filled = np.flatnonzero(counts)
        starts = (np.cumsum(counts) - counts)[filled]
        products[filled] = np.add.reduceat(values[:, None] * dense[columns], starts)
    return products


def ranges(
    starts: NDArray[np.integer], ends: NDArray[np.integer]
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """The whole numbers from each start to before its end, joined, and (n,) how many of each."""
    counts = ends - starts
    return np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts), counts


def blocks(n_rows: int, n_columns: int) -> Iterable[slice]:
    """Consecutive slices of rows with at most BLOCK_SIZE values each."""
    step = max(1, BLOCK_SIZE // max(1, n_columns))
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def model_to_arrays(model: Any) -> dict[str, Array]:
    """The fields of a dataclass of arrays and numbers, by name; a number becomes shape (1,)."""
    return {field.name: np.atleast_1d(getattr(model, field.name)) for field in fields(model)}


def model_from_arrays(model: type[M], arrays: Mapping[str, Array]) -> M:
    """The inverse of `model_to_arrays`. Arrays may be mapped read-only and are not copied."""
    types = get_type_hints(model)
    return model(**{
        name: types[name](arrays[name][0])
        if types[name] in (int, float)
        else np.asarray(arrays[name])
        for name in (field.name for field in fields(model))  # type: ignore[arg-type]
    })  # fmt: skip


def sparse_to_arrays(name: str, matrix: csr_matrix) -> dict[str, Array]:
    return {
        f"{name}_starts": matrix.indptr,
        f"{name}_columns": matrix.indices,
        f"{name}_values": matrix.data,
    }


def sparse_from_arrays(name: str, arrays: Mapping[str, Array], *, n_columns: int) -> csr_matrix:
    """The inverse of `sparse_to_arrays`."""
    starts = np.asarray(arrays[f"{name}_starts"], dtype=np.int64)
    columns = np.asarray(arrays[f"{name}_columns"], dtype=np.int32)
    values = np.asarray(arrays[f"{name}_values"], dtype=np.float32)
    return csr_matrix((values, columns, starts), shape=(len(starts) - 1, n_columns))


def core_count() -> int | None:
    """The cores of this process, which in a container may be fewer than those of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def one_thread() -> AbstractContextManager[object]:
    """Limit BLAS to one thread: on small systems a second thread costs more than it saves.

    Servers and trainers start with OPENBLAS_NUM_THREADS=1, where this does nothing.
    `threadpool_limits` would search for libraries at each call, which takes longer than to score
    a viewer.
    """
    if os.environ.get("OPENBLAS_NUM_THREADS") == "1":
        return nullcontext()
    limited: AbstractContextManager[object] = _blas().limit(limits=1, user_api="blas")
    return limited


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
