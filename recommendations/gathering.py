"""Which items have which features: gathered item by item, in bounded memory."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

#: A feature of one item alone says nothing of any other.
LEAST_ITEMS = 2
#: Beyond so many features those that one item alone has had so far are forgotten, and counted anew
#: should they come again: Manku and Motwani (2002), "Approximate Frequency Counts over Data
#: Streams".
ROOM = 1_000_000


class Gathered:
    """Counts, of six bytes each.

    Attributes:
        n_items: How many items have any.
    """

    def __init__(self, *, room: int = ROOM) -> None:
        self.n_items = 0
        self._least_room = self._room = room
        self._columns = _numbered(())
        #: Of each entry its column and count; of each item its row and where its entries end.
        self._entries, self._counts = array("i"), array("H")
        self._rows, self._ends = array("i"), array("q")

    def add(self, row: int, counts: Mapping[str, int]) -> None:
        """The features of one more item; its row lies behind those before. Counts go to 65,535."""
        if not counts:
            return
        self.n_items += 1
        self._entries.extend(map(self._columns.__getitem__, counts))
        self._counts.extend(counts.values())
        self._rows.append(row)
        self._ends.append(len(self._entries))
        if len(self._columns) > self._room:
            self._forget_rare()

    def _forget_rare(self) -> None:
        is_shared = self._items_of_each() >= LEAST_ITEMS
        columns = np.where(is_shared, np.cumsum(is_shared) - 1, -1).astype(np.int32)
        entries, counts, ends = self._renumbered(columns)
        self._columns = _numbered(name for name, n in self._columns.items() if is_shared[n])
        self._entries, self._counts = array("i", entries.tobytes()), array("H", counts.tobytes())
        self._ends = array("q", ends.tobytes())
        # Where most are shared there is little to forget, and much to go through for it.
        self._room = max(self._least_room, 2 * len(self._columns))

    def shared(
        self, n_items: int, *, by_at_most: int | None = None, features: int | None = None
    ) -> tuple[list[str], csr_matrix]:
        """What several items have.

        Args:
            n_items: The rows of the matrix.
            by_at_most: Left out is what more items have.
            features: So many, those of the most items.

        Returns:
            The names in ascending order, and (n_items, n_features) float32 counts.
        """
        items_of = self._items_of_each()
        is_wanted = items_of >= LEAST_ITEMS
        if by_at_most is not None:
            is_wanted &= items_of <= by_at_most
        names = sorted(name for name, column in self._columns.items() if is_wanted[column])
        if features is not None and len(names) > features:
            names.sort(key=lambda name: -items_of[self._columns[name]])
            names = sorted(names[:features])
        return names, self._matrix(names, n_items)

    def _matrix(self, names: list[str], n_items: int) -> csr_matrix:
        columns = np.full(len(self._columns), -1, dtype=np.int32)
        places = np.fromiter((self._columns[name] for name in names), dtype=np.intp)
        columns[places] = np.arange(len(names))
        entries, counts, ends = self._renumbered(columns)
        starts = np.zeros(n_items + 1, dtype=np.int64)
        starts[np.array(self._rows, dtype=np.intp) + 1] = np.diff(ends, prepend=0)
        shape = n_items, len(names)
        matrix = csr_matrix((counts.astype(np.float32), entries, np.cumsum(starts)), shape=shape)
        matrix.sort_indices()
        return matrix

    def _renumbered(
        self, columns: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.uint16], NDArray[np.int64]]:
        """Entries, counts and ends with these columns for the present ones, without those of -1."""
        entries = columns[np.frombuffer(self._entries, dtype=np.int32)]
        is_kept = entries >= 0
        kept_before = np.append(0, np.cumsum(is_kept, dtype=np.int32))
        ends = kept_before[np.array(self._ends, dtype=np.int64)].astype(np.int64)
        return entries[is_kept], np.frombuffer(self._counts, dtype=np.uint16)[is_kept], ends

    def _items_of_each(self) -> NDArray[np.intp]:
        entries = np.frombuffer(self._entries, dtype=np.int32)
        return np.bincount(entries, minlength=len(self._columns))


def _numbered(names: Iterable[str]) -> defaultdict[str, int]:
    """Numbers from 0 for the names, and the next one for each name that is asked for."""
    columns: defaultdict[str, int] = defaultdict()
    columns.update((name, number) for number, name in enumerate(names))
    columns.default_factory = columns.__len__
    return columns
