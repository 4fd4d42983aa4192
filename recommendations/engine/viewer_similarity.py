"""The similarity of two viewers' tastes, by the films that both have judged.

The adjusted cosine of Sarwar et al. (2001), doi:10.1145/371920.372071, between viewers: half of the
film's damped mean is subtracted from each weight, so that films that everybody loves count less.
The whole mean would leave nothing of viewers who only ever say "like". The cosine over n shared
films is multiplied by n / (n + shrinkage): the significance weighting of Herlocker et al. (1999),
doi:10.1145/312624.312682, without their edge at 50 films.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import Array, model_from_arrays, model_to_arrays

#: Share of a film's mean that is subtracted. Chosen on `ml-latest-small`.
CENTRING = 0.5
#: Number of pseudo-weights of 0 that shrink a film's mean.
MEAN_DAMPING = 5.0
#: Pairs so far below the threshold are kept too, because one more film may make them match. Beyond
#: it, that film would have to count as much as most of the others together.
REACH = 0.1
#: Verdicts of others that are added up at once: a large cinema has millions of them.
ADDED_AT_ONCE = 1_000_000
#: Similarities are rounded to these; sums in another order differ only behind them.
DECIMALS = 6

Floats = NDArray[np.floating]


class PairSums(NamedTuple):
    """Sums over the films that both viewers of a pair have judged; (n,) each, for n pairs.

    Attributes:
        shared: Number of films.
        products: Products of the two deviations.
        own_squares: Squares of the first viewer's deviations.
        other_squares: Squares of the second viewer's deviations.
    """

    shared: Floats
    products: Floats
    own_squares: Floats
    other_squares: Floats

    def with_one_more(self, own: Floats | float, other: Floats) -> PairSums:
        """The sums with one more film, given both deviations from it."""
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
        threshold: The least similarity of a match, 0 to 1.
        shrinkage: Number of shared films at which the cosine counts half.
    """

    threshold: float
    shrinkage: float

    def similarity(self, sums: PairSums) -> NDArray[np.float64]:
        """(n,) float64 from -1 to 1; 0 for a pair without shared films or with zero deviations."""
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
        """The number of shared films below which one more film cannot make the pair match."""
        if self.threshold == 1:
            return 1 if not self.shrinkage else np.iinfo(np.int32).max
        needed = self.threshold * self.shrinkage / (1 - self.threshold)
        return max(1, ceil(needed - 1e-9) - 1)


def film_centres(interactions: csr_matrix) -> NDArray[np.float32]:
    """(n_items,) float32, the values that are subtracted from the weights of each film.

    Args:
        interactions: (n_users, n_items) weights.
    """
    n_items = interactions.shape[1]
    counts = np.bincount(interactions.indices, minlength=n_items)
    sums = np.bincount(interactions.indices, weights=interactions.data, minlength=n_items)
    return damped_centres(counts, sums)


def damped_centres(counts: NDArray[np.integer], sums: NDArray[Any]) -> NDArray[np.float32]:
    """(n_items,) float32, the centres from numbers and sums of weights."""
    return (CENTRING * sums / (counts + MEAN_DAMPING)).astype(np.float32)


def deviations(interactions: csr_matrix) -> csr_matrix:
    """(n_users, n_items) float32 with the same sparsity: the weights minus the films' centres."""
    data = interactions.data - film_centres(interactions)[interactions.indices]
    places = (data.astype(np.float32), interactions.indices, interactions.indptr)
    return csr_matrix(places, shape=interactions.shape)


@dataclass(frozen=True, eq=False)
class Deviations:
    """The deviations of all viewers at a training, grouped by film, to compare one viewer with all.

    Attributes:
        latest: Unix seconds of the latest verdict.
        centres: (n_items,) float32, as from `film_centres`.
        starts: (n_items + 1,) int64, where the deviations of each film begin.
        users: (n,) int32 rows of viewers.
        values: (n,) float32 deviations.
    """

    n_users: int
    latest: float
    centres: NDArray[np.float32]
    starts: NDArray[np.int64]
    users: NDArray[np.int32]
    values: NDArray[np.float32]

    @classmethod
    def fit(cls, interactions: csr_matrix, times: csr_matrix) -> Self:
        """Group the (n_users, n_items) weights; `times` has their Unix seconds."""
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
        """(m,) the centre of each item; 0 for -1, a film that is newer than the training."""
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
        """Compare one viewer with all viewers of the training.

        Args:
            items: (m,) columns of the films that the viewer has judged, unique.
            own: (m,) the viewer's deviations.
            sharing: The column of a film: compare only with viewers who have judged it.

        Returns:
            (n,) ascending rows of the viewers who share at least `least_shared` films, the viewer
            included if the training knew them, and the n sums.
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
        """Add the four sums over these items to the (4, n_users) totals, for users in `share`."""
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

    def likes_by_dislikes(
        self, disliked: NDArray[np.integer], items: NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Count how often viewers who dislike the same films like others.

        Args:
            disliked: (m,) columns of the films that one viewer dislikes, unique.
            items: (n,) columns; -1 for a film that is newer than the training.

        Returns:
            (n,) the number of pairs of a viewer who likes the item and a film of `disliked` that
            this viewer dislikes.
        """
        shared = np.zeros(self.n_users)
        for item in disliked.tolist():
            column = self._column(item)
            shared[self.users[column][self._weights(item) < 0]] += 1
        return np.array(
            [
                shared[self.users[self._column(item)][self._weights(item) > 0]].sum()
                if item >= 0
                else 0.0
                for item in items.tolist()
            ]
        )

    def _weights(self, item: int) -> NDArray[np.float32]:
        """The weights from which the deviations of the item were made."""
        found: NDArray[np.float32] = self.values[self._column(item)] + self.centres[item]
        return np.round(found, 3)  # a weight of 0 stays one

    def _column(self, item: int) -> slice:
        return slice(self.starts[item], self.starts[item + 1])

    def to_arrays(self) -> dict[str, Array]:
        return model_to_arrays(self)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        return model_from_arrays(cls, arrays)
