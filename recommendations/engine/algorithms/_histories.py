"""Histories in the order of their times, and the gaps between their films."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import Now, Times, row_numbers

#: The ends of the classes of gaps: the same second, a minute, an hour. The last class is longer.
GAPS_S = (0.0, 60.0, 3600.0)
LONGEST_GAP = len(GAPS_S)
#: The class of a gap that is not known.
UNKNOWN_GAP = LONGEST_GAP + 1

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Histories:
    """The liked films of several users, the earliest first.

    Attributes:
        items: (n,) int32, the concatenated histories.
        lengths: (n_users,) lengths of the histories.
        entries: (n,) position of each film in the data of the matrix that it comes from.
        moments: (n,) Unix seconds; 0 if times are not known.
    """

    items: NDArray[np.int32]
    lengths: NDArray[np.intp]
    entries: NDArray[np.intp]
    moments: Float64

    @classmethod
    def of(
        cls,
        interactions: csr_matrix,
        times: Times,
        places: NDArray[np.int32],
        drawn: Float64 | None = None,
    ) -> Self:
        """The liked items.

        Args:
            places: (n_items,) the number of each item in the histories; -1 to leave it out.
            drawn: (nnz,) decides the order of items of the same moment; None if it does not matter.
        """
        users, items = row_numbers(interactions), places[interactions.indices]
        entries = np.flatnonzero((interactions.data > 0) & (items >= 0))
        moments = np.zeros(interactions.nnz) if times is None else times.data
        keys = (items, moments if drawn is None else drawn, moments, users)
        entries = entries[np.lexsort([key[entries] for key in keys])]
        lengths = np.bincount(users[entries], minlength=interactions.shape[0])
        return cls(items[entries], lengths, entries, moments[entries])

    @cached_property
    def owners(self) -> NDArray[np.intp]:
        """(n,) the user of each film."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def steps_back(self) -> NDArray[np.intp]:
        """(n,) number of later films of the same user."""
        return np.cumsum(self.lengths)[self.owners] - 1 - np.arange(len(self.items))

    def last(self, longest: int) -> Histories:
        """The last films of each user, at most `longest`."""
        kept = np.flatnonzero(self.steps_back < longest)
        return self._of(kept, np.minimum(self.lengths, longest))

    def backwards(self) -> Histories:
        """The histories with the latest film first."""
        return self._of(np.lexsort((self.steps_back, self.owners)), self.lengths)

    def _of(self, films: NDArray[np.intp], lengths: NDArray[np.intp]) -> Histories:
        return Histories(self.items[films], lengths, self.entries[films], self.moments[films])

    def shares(self, decays: Float64) -> Iterator[Float64]:
        """For each decay, (n,) the weight of each film after the last step.

        Films of the same moment get the mean of their weights, since their order is not known.
        """
        is_later = (np.diff(self.moments) != 0) | (np.diff(self.owners) != 0)
        groups = np.concatenate((np.zeros(len(self.items[:1]), np.intp), np.cumsum(is_later)))
        sizes = np.bincount(groups)
        for decay in decays:
            yield (np.bincount(groups, decay**self.steps_back) / sizes)[groups]

    def last_gaps(self, now: Now) -> NDArray[np.intp]:
        """(n_users,) the class of the gap between the last film and now, for `gap_classes`."""
        gaps = np.full(len(self.lengths), np.nan)
        if now is not None:
            read = np.flatnonzero(self.lengths)
            gaps[read] = now[read] - self.moments[np.cumsum(self.lengths)[read] - 1]
        return gap_classes(gaps)


def gap_classes(seconds: Float64) -> NDArray[np.intp]:
    """(n,) the class of each gap; UNKNOWN_GAP for NaN. A clock that was set back makes no gap."""
    return np.where(np.isnan(seconds), UNKNOWN_GAP, np.searchsorted(GAPS_S, seconds))
