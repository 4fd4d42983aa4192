"""All pairs of viewers of similar taste, computed tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import core_count, one_thread, row_numbers
from recommendations.engine.viewer_similarity import MatchRule, PairSums

#: Size of a tile: four float32 sums for each of its pairs take 64 MB in each thread.
TILE_ROWS, TILE_COLUMNS = 1024, 4096
#: Films that this share of the viewers has judged are multiplied as a dense matrix: from about
#: there BLAS is faster in spite of the zeros. In a large crowd few films make most of the products.
POPULAR_SHARE = 0.05
#: Pairs that are collected before the excess ones are dropped.
GATHERED = 4_000_000

#: A pair from the first viewer's side; `user` and `other` are rows of the matrix.
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
    """Find for each viewer those whose similarity reaches `rule.floor`.

    Args:
        deviations: (n_users, n_items) float32.
        at_most: Number of others that are kept for each viewer: the preferred ones first, then the
            most similar.
        preferred: (n_users,) bool.

    Returns:
        (n,) of dtype PAIR, by viewer and then best first; each pair occurs from both sides. The
        sums are float32: exact for counts, seven digits otherwise.
    """
    users = compared_users(np.diff(deviations.indptr), rule)
    matrix = _SplitByPopularity.of(deviations[users])
    kept = BestPairs(users, preferred, at_most)
    starts = range(0, len(users), TILE_COLUMNS)
    with one_thread(), ThreadPoolExecutor(core_count()) as threads:
        for _ in threads.map(partial(compare_column, matrix, rule, kept), reversed(starts)):
            pass  # an error of a thread is raised here
    return kept.result()


def compared_users(n_judged: NDArray[np.integer], rule: MatchRule) -> NDArray[np.int32]:
    """The rows with enough films, active viewers first: the tiles of the others end early.

    Args:
        n_judged: (n_users,) number of films.
    """
    users = np.flatnonzero(n_judged >= rule.least_shared)
    return users[np.argsort(-n_judged[users], kind="stable")].astype(np.int32)


@dataclass(frozen=True, eq=False)
class _Factors:
    """One side of the products for popular or for other films: ones, deviations, their squares."""

    ones: NDArray[np.float32] | csr_matrix
    values: NDArray[np.float32] | csr_matrix
    squares: NDArray[np.float32] | csr_matrix


#: One side of a tile: the factors of popular films, and of all others.
TileSide: TypeAlias = tuple[_Factors, _Factors]


class TileMatrix(Protocol):
    """The deviations of the compared users, in their order."""

    @property
    def n_users(self) -> int: ...

    def factors(self, users: slice, *, transposed: bool) -> TileSide: ...


@dataclass(frozen=True, eq=False)
class _SplitByPopularity:
    """The columns of popular films (dense) and of all other films (sparse)."""

    popular: csr_matrix
    others: csr_matrix

    @classmethod
    def of(cls, matrix: csr_matrix) -> _SplitByPopularity:
        counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        by_film = matrix.tocsc()
        popular, others = split_by_popularity(counts, matrix.shape[0])
        return cls(by_film[:, popular].tocsr(), by_film[:, others].tocsr())

    @property
    def n_users(self) -> int:
        return int(self.popular.shape[0])

    def factors(self, users: slice, *, transposed: bool) -> TileSide:
        return tile_side(self.popular[users], self.others[users], transposed=transposed)


def split_by_popularity(
    counts: NDArray[np.integer], n_users: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The (n_items,) columns of popular films, and of the others that two users can share.

    Args:
        counts: (n_items,) the compared users of each film.
        n_users: All compared users.
    """
    is_popular = counts > POPULAR_SHARE * n_users
    return is_popular, ~is_popular & (counts > 1)


def tile_side(popular: csr_matrix, others: csr_matrix, *, transposed: bool) -> TileSide:
    return _dense(popular, transposed=transposed), _sparse(others, transposed=transposed)


def _dense(matrix: csr_matrix, *, transposed: bool) -> _Factors:
    values = matrix.toarray()
    ones = np.zeros_like(values)
    ones[row_numbers(matrix), matrix.indices] = 1
    parts = ones, values, values**2
    return _Factors(*(part.T if transposed else part for part in parts))


def _sparse(matrix: csr_matrix, *, transposed: bool) -> _Factors:
    turned = matrix.T.tocsr() if transposed else matrix

    def of(data: NDArray[np.float32]) -> csr_matrix:
        return csr_matrix((data, turned.indices, turned.indptr), shape=turned.shape)

    return _Factors(of(np.ones_like(turned.data)), turned, of(turned.data**2))


def compare_column(matrix: TileMatrix, rule: MatchRule, kept: BestPairs, start: int) -> None:
    """Compare a column of viewers, from `start` on, with themselves and all earlier viewers."""
    stop = min(start + TILE_COLUMNS, matrix.n_users)
    right = matrix.factors(slice(start, stop), transposed=True)
    for first in range(0, stop, TILE_ROWS):
        last = min(first + TILE_ROWS, stop)
        left = matrix.factors(slice(first, last), transposed=False)
        for pairs in _tile(left, right, rule, first, start):
            kept.add(pairs)


def _tile(
    left: TileSide,
    right: TileSide,
    rule: MatchRule,
    first: int,
    start: int,
) -> Iterator[Pairs]:
    """The pairs of the tile at row `first` and column `start`, from both sides."""
    shared = _product(left, right, "ones", "ones")
    users, others = np.nonzero(shared >= rule.least_shared)
    apart = users + first < others + start  # on the diagonal only the upper triangle
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


def _product(left: TileSide, right: TileSide, own: str, other: str) -> NDArray[np.float32]:
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
class BestPairs:
    """The best pairs of each viewer so far. Thread-safe.

    Attributes:
        users: (n,) int32, the row in the whole matrix for each row of the pairs that are added.
    """

    users: NDArray[np.int32]
    preferred: NDArray[np.bool_]
    at_most: int
    _parts: list[Pairs] = field(default_factory=list)
    _gathered: int = 0
    _lock: Lock = field(default_factory=Lock)
    _bars: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        # The worth that a pair must reach to be among its viewer's best.
        self._bars = np.full(len(self.preferred), -np.inf, dtype=np.float32)

    def add(self, pairs: Pairs) -> None:
        pairs["user"], pairs["other"] = self.users[pairs["user"]], self.users[pairs["other"]]
        with self._lock:
            # If two pairs are equal, the lower row is kept, in whatever order they come.
            pairs = pairs[self._priority(pairs) >= self._bars[pairs["user"]]]
            self._parts.append(pairs)
            self._gathered += len(pairs)
            if self._gathered > GATHERED:
                best = self._best()
                self._parts, self._gathered = [best], 0

    def result(self) -> Pairs:
        return self._best()

    def _best(self) -> Pairs:
        pairs = np.concatenate([np.empty(0, dtype=PAIR), *self._parts])
        worth = self._priority(pairs)
        order = np.lexsort((pairs["other"], -worth, pairs["user"]))
        pairs, worth = pairs[order], worth[order]
        starts = np.searchsorted(pairs["user"], np.arange(len(self._bars)))
        ranks = np.arange(len(pairs)) - starts[pairs["user"]]
        last = ranks == self.at_most - 1
        self._bars[pairs["user"][last]] = worth[last]
        best: Pairs = pairs[ranks < self.at_most]
        return best

    def _priority(self, pairs: Pairs) -> NDArray[np.float32]:
        """The similarity, which is 1 at most, plus 2 for preferred viewers."""
        found: NDArray[np.float32] = (
            pairs["similarity"] + np.float32(2) * self.preferred[pairs["other"]]
        )
        return found
