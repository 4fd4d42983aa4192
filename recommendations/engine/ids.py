"""Between the ids of the database and the rows and columns of a matrix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
