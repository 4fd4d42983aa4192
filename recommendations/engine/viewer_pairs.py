"""All pairs of viewers whose tastes are alike, tile by tile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import one_thread
from recommendations.engine.viewer_similarity import MatchRule, PairSums

#: Of a tile: four sums for each of its pairs, in float32, are 64 MB for each thread.
TILE_ROWS, TILE_COLUMNS = 1024, 4096
#: What this share of the viewers has said something of is multiplied as a dense matrix: from about
#: there on BLAS is faster on zeros too. In a large crowd a few films make most of the products.
POPULAR_SHARE = 0.05
#: Pairs that are gathered before those that are too many are dropped.
GATHERED = 4_000_000

#: A pair as the first viewer has it; viewers are rows of the matrix.
PAIR = np.dtype(
    [
        ("user", np.int32),
        ("other", np.int32),
        ("similarity", np.float32),
        ("shared", np.float32),
        ("products", np.float32),
        ("own_squares", np.float32),
        ("other_squares", np.float32),
    ]
)
Pairs = NDArray[np.void]
SUMS = PairSums._fields


def matching_pairs(
    deviations: csr_matrix, rule: MatchRule, *, at_most: int, preferred: NDArray[np.bool_]
) -> Pairs:
    """For each viewer those in reach of a match, each pair from both sides; by viewer, best first.

    Of two viewers the sums are float32: exact for counts, to seven digits for the rest.

    Args:
        deviations: (n_users, n_items) float32.
        at_most: So many of a viewer's are kept: of the preferred ones first, the most alike.
        preferred: (n_users,) who goes before the others.
    """
    said = np.diff(deviations.indptr)
    users = np.flatnonzero(said >= rule.least_shared)
    # Who says much comes first: the tiles of those who say little are then out after one product.
    users = users[np.argsort(-said[users], kind="stable")]
    matrix = _SplitByPopularity.of(deviations[users])
    kept = _BestPairs(users.astype(np.int32), preferred, at_most)
    starts = range(0, len(users), TILE_COLUMNS)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with one_thread(), ThreadPoolExecutor(cores) as threads:
        for _ in threads.map(partial(_column_of_tiles, matrix, rule, kept), reversed(starts)):
            pass  # an error of a thread is raised here
    return kept.result()


@dataclass(frozen=True, eq=False)
class _Factors:
    """One side of the products: ones, deviations and their squares, of films of one kind."""

    ones: NDArray[np.float32] | csr_matrix
    values: NDArray[np.float32] | csr_matrix
    squares: NDArray[np.float32] | csr_matrix


@dataclass(frozen=True, eq=False)
class _SplitByPopularity:
    """The films that many have said something of, and all others."""

    popular: csr_matrix
    others: csr_matrix

    @classmethod
    def of(cls, matrix: csr_matrix) -> _SplitByPopularity:
        counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        is_popular = counts > POPULAR_SHARE * matrix.shape[0]
        by_film = matrix.tocsc()
        shared = ~is_popular & (counts > 1)
        return cls(by_film[:, is_popular].tocsr(), by_film[:, shared].tocsr())

    def factors(self, users: slice, *, transposed: bool) -> tuple[_Factors, _Factors]:
        return (
            _dense(self.popular[users], transposed=transposed),
            _sparse(self.others[users], transposed=transposed),
        )


def _dense(matrix: csr_matrix, *, transposed: bool) -> _Factors:
    values = matrix.toarray()
    ones = np.zeros_like(values)
    ones[np.repeat(np.arange(len(values)), np.diff(matrix.indptr)), matrix.indices] = 1
    parts = ones, values, values**2
    return _Factors(*(part.T if transposed else part for part in parts))


def _sparse(matrix: csr_matrix, *, transposed: bool) -> _Factors:
    turned = matrix.T.tocsr() if transposed else matrix

    def of(data: NDArray[np.float32]) -> csr_matrix:
        return csr_matrix((data, turned.indices, turned.indptr), shape=turned.shape)

    return _Factors(of(np.ones_like(turned.data)), turned, of(turned.data**2))


def _column_of_tiles(
    matrix: _SplitByPopularity, rule: MatchRule, kept: _BestPairs, start: int
) -> None:
    """Viewers from `start` on, against themselves and all who come before them."""
    n = matrix.popular.shape[0]
    stop = min(start + TILE_COLUMNS, n)
    right = matrix.factors(slice(start, stop), transposed=True)
    for first in range(0, stop, TILE_ROWS):
        last = min(first + TILE_ROWS, stop)
        left = matrix.factors(slice(first, last), transposed=False)
        for pairs in _tile(left, right, rule, first, start):
            kept.add(pairs)


def _tile(
    left: tuple[_Factors, _Factors],
    right: tuple[_Factors, _Factors],
    rule: MatchRule,
    first: int,
    start: int,
) -> Iterator[Pairs]:
    """The pairs of a tile that begins at this row and column, from one side and the other."""
    shared = _product(left, right, "ones", "ones")
    users, others = np.nonzero(shared >= rule.least_shared)
    apart = users + first < others + start  # of a tile on the diagonal only what is above it
    users, others = users[apart], others[apart]
    if not len(users):
        return
    sums = PairSums(
        shared[users, others],
        _product(left, right, "values", "values")[users, others],
        _product(left, right, "squares", "ones")[users, others],
        _product(left, right, "ones", "squares")[users, others],
    )
    similarity = rule.similarity(sums)
    near = similarity >= rule.floor
    sums, similarity = sums.at(near), similarity[near]
    users, others = users[near] + first, others[near] + start
    yield _pairs(users, others, similarity, sums)
    mirrored = PairSums(sums.shared, sums.products, sums.other_squares, sums.own_squares)
    yield _pairs(others, users, similarity, mirrored)


def _product(
    left: tuple[_Factors, _Factors], right: tuple[_Factors, _Factors], own: str, other: str
) -> NDArray[np.float32]:
    total: NDArray[np.float32] = getattr(left[0], own) @ getattr(right[0], other)
    total += (getattr(left[1], own) @ getattr(right[1], other)).toarray()
    return total


def _pairs(
    users: NDArray[np.intp],
    others: NDArray[np.intp],
    similarity: NDArray[np.float64],
    sums: PairSums,
) -> Pairs:
    pairs = np.empty(len(users), dtype=PAIR)
    pairs["user"], pairs["other"], pairs["similarity"] = users, others, similarity
    for name, values in zip(SUMS, sums, strict=True):
        pairs[name] = values
    return pairs


@dataclass(eq=False)
class _BestPairs:
    """The best pairs of each viewer so far; threads add to it.

    Attributes:
        users: (n,) int32, rows of the whole matrix by those of the pairs that are added.
    """

    users: NDArray[np.int32]
    preferred: NDArray[np.bool_]
    at_most: int
    _parts: list[Pairs] = field(default_factory=list)
    _gathered: int = 0
    _lock: Lock = field(default_factory=Lock)
    _bars: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        # What a pair has to pass to be among its viewer's best.
        self._bars = np.full(len(self.preferred), -np.inf, dtype=np.float32)

    def add(self, pairs: Pairs) -> None:
        pairs["user"], pairs["other"] = self.users[pairs["user"]], self.users[pairs["other"]]
        with self._lock:
            pairs = pairs[self._worth(pairs) > self._bars[pairs["user"]]]
            self._parts.append(pairs)
            self._gathered += len(pairs)
            if self._gathered > GATHERED:
                best = self._best()
                self._parts, self._gathered = [best], 0

    def result(self) -> Pairs:
        return self._best()

    def _best(self) -> Pairs:
        pairs = np.concatenate([np.empty(0, dtype=PAIR), *self._parts])
        worth = self._worth(pairs)
        order = np.lexsort((pairs["other"], -worth, pairs["user"]))
        pairs, worth = pairs[order], worth[order]
        starts = np.searchsorted(pairs["user"], np.arange(len(self._bars)))
        ranks = np.arange(len(pairs)) - starts[pairs["user"]]
        last = ranks == self.at_most - 1
        self._bars[pairs["user"][last]] = worth[last]
        best: Pairs = pairs[ranks < self.at_most]
        return best

    def _worth(self, pairs: Pairs) -> NDArray[np.float32]:
        """Similarities, of the preferred ones above all others: those are 1 at most."""
        found: NDArray[np.float32] = (
            pairs["similarity"] + np.float32(2) * self.preferred[pairs["other"]]
        )
        return found
