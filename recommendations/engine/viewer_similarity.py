"""How alike two viewers' tastes are, by the films that both have said something of.

The adjusted cosine of Sarwar et al. (2001), doi:10.1145/371920.372071, between viewers: from each
weight half of the film's damped mean is taken off, so that what everybody loves says less of two
viewers. Half of it, as of viewers who only ever say "like" nothing would be left. The cosine of n
shared films counts for n / (n + shrinkage) of itself: the significance weighting of Herlocker et
al. (1999), doi:10.1145/312624.312682, without their edge at 50 films.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import Array

#: Chosen on `ml-latest-small`: docs/decisions/0050-viewers-of-similar-taste.md has the figures.
CENTRING = 0.5
#: As many weights of zero as a film's mean is drawn down by.
MEAN_DAMPING = 5.0
#: A pair whose similarity lies below the threshold by no more may match by one film: beyond it
#: that would have to weigh as much as most of the others together.
REACH = 0.1
#: So many words of others on a viewer's films are added up at once: of all films in a large cinema
#: there are millions.
ADDED_AT_ONCE = 1_000_000
#: Of a similarity. What is added up in another order differs only behind them.
DECIMALS = 6

Floats = NDArray[np.floating]


class PairSums(NamedTuple):
    """Of pairs of viewers, over the films that both have said something of; (n,) each.

    Attributes:
        shared: How many films.
        products: Of the two deviations.
        own_squares: Of the first viewer's deviations.
        other_squares: Of the second one's.
    """

    shared: Floats
    products: Floats
    own_squares: Floats
    other_squares: Floats

    def with_one_more(self, own: Floats | float, other: Floats) -> PairSums:
        """The same with one more film, of these deviations."""
        return PairSums(
            self.shared + 1,
            self.products + own * other,
            self.own_squares + np.square(own),
            self.other_squares + np.square(other),
        )

    def at(self, places: NDArray[np.integer] | NDArray[np.bool_]) -> PairSums:
        return PairSums(*(each[places] for each in self))


@dataclass(frozen=True)
class MatchRule:
    """When two viewers match.

    Attributes:
        threshold: The least similarity, 0 to 1.
        shrinkage: With so many shared films the cosine counts by half.
    """

    threshold: float
    shrinkage: float

    def similarity(self, sums: PairSums) -> NDArray[np.float64]:
        """(n,) from -1 to 1; 0 for who shares nothing, or nothing but the films' means."""
        shared = sums.shared.astype(np.float64)
        lengths = np.sqrt(np.multiply(sums.own_squares, sums.other_squares, dtype=np.float64))
        known = (lengths > 0) & (shared > 0)
        found = np.zeros(len(shared))
        cosines = np.clip(sums.products[known] / lengths[known], -1, 1)
        found[known] = cosines * shared[known] / (shared[known] + self.shrinkage)
        return np.round(found, DECIMALS)

    @property
    def floor(self) -> float:
        """The least similarity of a pair that is kept."""
        return max(self.threshold - REACH, 10.0**-DECIMALS)

    @property
    def least_shared(self) -> int:
        """With fewer films in common not even one more could make two viewers match."""
        if self.threshold == 1:
            return 1 if not self.shrinkage else np.iinfo(np.int32).max
        needed = self.threshold * self.shrinkage / (1 - self.threshold)
        return max(1, ceil(needed - 1e-9) - 1)


def film_centres(interactions: csr_matrix) -> NDArray[np.float32]:
    """(n_items,) float32: what is taken off the weights of each film.

    Args:
        interactions: (n_users, n_items) weights.
    """
    n_items = interactions.shape[1]
    counts = np.bincount(interactions.indices, minlength=n_items)
    sums = np.bincount(interactions.indices, weights=interactions.data, minlength=n_items)
    return (CENTRING * sums / (counts + MEAN_DAMPING)).astype(np.float32)


def deviations(interactions: csr_matrix) -> csr_matrix:
    """(n_users, n_items) float32, of the same sparsity: the weights without the films' centres."""
    data = interactions.data - film_centres(interactions)[interactions.indices]
    places = (data.astype(np.float32), interactions.indices, interactions.indptr)
    return csr_matrix(places, shape=interactions.shape)


@dataclass(frozen=True, eq=False)
class Deviations:
    """Everybody's deviations by film, as they were at a training: what one viewer is held against.

    Attributes:
        n_users: How many viewers they are of.
        latest: Unix seconds of the last word among them.
        centres: (n_items,) float32, taken off the weights.
        starts: (n_items + 1,) int64, where those of each film begin.
        users: (n,) int32, rows of viewers.
        values: (n,) float32.
    """

    n_users: int
    latest: float
    centres: NDArray[np.float32]
    starts: NDArray[np.int64]
    users: NDArray[np.int32]
    values: NDArray[np.float32]

    @classmethod
    def fit(cls, interactions: csr_matrix, times: csr_matrix) -> Self:
        """From the weights, (n_users, n_items), and their Unix seconds."""
        by_film = deviations(interactions).tocsc()
        return cls(
            interactions.shape[0],
            float(times.data.max(initial=0)),
            film_centres(interactions),
            by_film.indptr.astype(np.int64),
            by_film.indices.astype(np.int32, copy=False),
            by_film.data.astype(np.float32, copy=False),
        )

    def centres_of(self, items: NDArray[np.integer]) -> NDArray[np.float32]:
        """(m,) of each item; 0 for -1, a film that came later and has no mean yet."""
        centres: NDArray[np.float32] = np.append(self.centres, np.float32(0))[items]
        return centres

    def against_all(
        self,
        items: NDArray[np.integer],
        own: Floats,
        *,
        least_shared: int,
        sharing: int | None = None,
    ) -> tuple[NDArray[np.intp], PairSums]:
        """Hold one viewer against all, in memory for what others said of the same films.

        Args:
            items: (m,) columns of what the viewer has said something of, each once.
            own: (m,) the viewer's deviations.
            sharing: The column of a film: only those who have said something of it.

        Returns:
            (n,) rows of those who share as many films with the viewer, in ascending order, and
            their sums. The viewer is among them, if the training knew that one.
        """
        share = None
        if sharing is not None:
            share = np.zeros(self.n_users, dtype=bool)
            share[self.users[self._column(sharing)]] = True
        totals = np.zeros((4, self.n_users))
        sizes = self.starts[items + 1] - self.starts[items]
        blocks = np.flatnonzero(np.diff(np.cumsum(sizes) // ADDED_AT_ONCE)) + 1
        for block in np.split(np.arange(len(items)), blocks):
            self._add(totals, items[block], own[block], share)
        found = np.flatnonzero(totals[0] >= least_shared)
        return found, PairSums(*totals[:, found])

    def _add(
        self,
        totals: NDArray[np.float64],
        items: NDArray[np.integer],
        own: Floats,
        share: NDArray[np.bool_] | None,
    ) -> None:
        """Add what these items make of the four sums, (4, n_users), of those who `share`."""
        columns = [self._column(item) for item in items]
        if not columns:
            return
        rows = np.concatenate([self.users[column] for column in columns])
        others = np.concatenate([self.values[column] for column in columns])
        mine = np.repeat(own.astype(np.float32), [column.stop - column.start for column in columns])
        if share is not None:
            kept = np.flatnonzero(share[rows])
            rows, others, mine = rows[kept], others[kept], mine[kept]
        rows = rows.astype(np.intp)
        totals[0] += np.bincount(rows, minlength=self.n_users)
        for place, parts in enumerate((mine * others, mine**2, others**2), start=1):
            totals[place] += np.bincount(rows, weights=parts, minlength=self.n_users)

    def _column(self, item: int) -> slice:
        return slice(self.starts[item], self.starts[item + 1])

    def to_arrays(self) -> dict[str, Array]:
        """Everything, by name."""
        return {
            "n_users": np.array([self.n_users], dtype=np.int64),
            "latest": np.array([self.latest], dtype=np.float64),
            "centres": self.centres,
            "starts": self.starts,
            "users": self.users,
            "values": self.values,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """The inverse of `to_arrays`. The arrays may be mapped read-only and are not copied."""
        return cls(
            int(arrays["n_users"][0]),
            float(arrays["latest"][0]),
            np.asarray(arrays["centres"], dtype=np.float32),
            np.asarray(arrays["starts"], dtype=np.int64),
            np.asarray(arrays["users"], dtype=np.int32),
            np.asarray(arrays["values"], dtype=np.float32),
        )
