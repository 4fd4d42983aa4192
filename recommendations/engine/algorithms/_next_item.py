"""The ridge regression of `sequence`: its normal equations, without a loop over all steps.

Let f be the feature of decay g and e the one-hot film of each step: f_t = g f_(t-1) + e_t. For two
features of decays g and h, the sum of f f' over the steps, except for the last step of each user,
is (g C + h D' + N - H K') / (1 - g h). C and D are the sums of each feature times the next film, N
counts films, and H and K are the features after the last step. Only C and D need all pairs of
films of a user.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

#: Pairs of films that are counted at once, at least those of one user: about 300 MB.
PAIRS_AT_ONCE = 20_000_000
#: Share of the time that passes before solving, on a million interactions.
COUNTED = 0.4


@dataclass(frozen=True)
class Histories:
    """The liked films of several users, the earliest first.

    Attributes:
        items: (n,) int32, the concatenated histories.
        lengths: (n_users,) lengths of the histories.
        entries: (n,) position of each film in the data of the matrix that it comes from.
    """

    items: NDArray[np.int32]
    lengths: NDArray[np.intp]
    entries: NDArray[np.intp]

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
        kept = self.steps_back < longest
        return Histories(self.items[kept], np.minimum(self.lengths, longest), self.entries[kept])

    def backwards(self) -> Histories:
        """The histories with the latest film first."""
        order = np.lexsort((self.steps_back, self.owners))
        return Histories(self.items[order], self.lengths, self.entries[order])


def next_item_weights(
    histories: Histories,
    decays: Float64,
    *,
    n_items: int,
    backwards: float,
    regularization: float,
    threads: int,
    on_progress: Callable[[float], None] | None = None,
) -> Float32:
    """Ridge regression of the next film on the features of the films so far.

    Returns:
        (len(decays) * n_items, n_items) float32.
    """
    report = on_progress or (lambda share: None)
    followers = _followers(histories, decays, n_items, backwards, report)
    normal, mean_squares = _normal_equations(histories, decays, followers, backwards)
    penalties = regularization * mean_squares / (mean_squares[decays.argmin()] or 1.0)
    normal[np.diag_indices_from(normal)] += np.repeat(
        np.where(penalties > 0, penalties, regularization), n_items
    ).astype(np.float32)
    if not normal.size:
        return np.zeros((*normal.shape[:1], n_items), dtype=np.float32)
    targets = np.asfortranarray(np.concatenate(followers))
    with threadpool_limits(threads, "blas"):
        # The upper blocks are filled; transposed, they are the lower ones, in LAPACK's order.
        factor = cho_factor(normal.T, lower=True, overwrite_a=True, check_finite=False)
        weights: Float32 = cho_solve(factor, targets, overwrite_b=True, check_finite=False)
    report(1.0)
    return weights


def _followers(
    histories: Histories,
    decays: Float64,
    n_items: int,
    backwards: float,
    report: Callable[[float], None],
) -> list[Float32]:
    """For each feature, (n_items, n_items): its sum (first axis) before each film (second axis)."""
    before = [np.zeros((n_items, n_items), dtype=np.float32) for _ in decays]
    counts = _counts(decays, int(histories.lengths.max(initial=0)), backwards)
    for users, films in _portions(histories):
        lengths, items = histories.lengths[users], histories.items[films]
        ends = np.concatenate(([0], np.cumsum(lengths)))
        others = np.concatenate([np.tile(items[a:b], b - a) for a, b in pairwise(ends)])
        rows = np.concatenate(([0], np.cumsum(np.repeat(lengths, lengths))))
        ones = np.ones(len(items), dtype=np.float32)
        came = csr_matrix((ones, (items, np.arange(len(items)))), shape=(n_items, len(items)))
        for count, total in zip(counts, before, strict=True):
            values = np.concatenate([count[:length, :length].ravel() for length in lengths])
            features = csr_matrix((values, others, rows), shape=(len(items), n_items))
            total += (came @ features).toarray().T
        report(COUNTED * users.stop / len(histories.lengths))
    return before


def _counts(decays: Float64, longest: int, backwards: float) -> list[Float32]:
    """For each feature, (longest, longest) float32: the weight of film j when film i comes.

    j comes before i, or after it in histories that are read backwards.
    """
    steps = np.arange(longest)[:, None] - np.arange(longest)
    weights = np.select([steps > 0, steps < 0], [1.0, backwards])
    gaps = np.maximum(np.abs(steps) - 1, 0)
    return [(weights * decay**gaps).astype(np.float32) for decay in decays]


def _portions(histories: Histories) -> Iterator[tuple[slice, slice]]:
    """Slices of users and of their films, with about PAIRS_AT_ONCE pairs of films each."""
    pairs = np.cumsum(histories.lengths.astype(np.int64) ** 2)
    ends = np.cumsum(histories.lengths)
    start = 0
    while start < len(pairs):
        done = pairs[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(pairs, done + PAIRS_AT_ONCE, side="right")))
        yield slice(start, stop), slice(ends[start - 1] if start else 0, ends[stop - 1])
        start = stop


def _normal_equations(
    histories: Histories, decays: Float64, followers: list[Float32], backwards: float
) -> tuple[Float32, Float64]:
    """The features' cross products (upper blocks only), and the mean square of each feature."""
    n_items = followers[0].shape[0] if followers else 0
    n = len(decays)
    normal = np.zeros((n * n_items, n * n_items), dtype=np.float32)
    counted = np.bincount(histories.items, minlength=n_items) * (1 + backwards)
    ends = [_ends(histories, decay, n_items, backwards) for decay in decays]
    squares = np.zeros(n)
    for a in range(n):
        rows = slice(a * n_items, (a + 1) * n_items)
        for b in range(a, n):
            block = normal[rows, b * n_items : (b + 1) * n_items]
            block += np.float32(decays[a]) * followers[a]
            block += np.float32(decays[b]) * followers[b].T
            block -= (ends[a].T.tocsr() @ ends[b]).toarray()
            block[np.diag_indices(n_items)] += counted.astype(np.float32)
            block /= np.float32(1 - decays[a] * decays[b])
        squares[a] = normal[rows, rows].diagonal().mean() if n_items else 0.0
    return normal, squares


def _ends(histories: Histories, decay: float, n_items: int, backwards: float) -> csr_matrix:
    """A feature after the last step of each user, stacked on the same of the backward histories."""
    shape = (len(histories.lengths), n_items)
    parts: list[tuple[Float32, NDArray[np.intp], NDArray[np.int32]]] = []
    for read, weight in ((histories, 1.0), (histories.backwards(), backwards)):
        values = (np.sqrt(weight) * decay**read.steps_back).astype(np.float32)
        kept = np.abs(values) > 1e-6
        parts.append((values[kept], read.owners[kept] + len(parts) * shape[0], read.items[kept]))
    values, rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
    return csr_matrix((values, (rows, columns)), shape=(2 * shape[0], shape[1]))
