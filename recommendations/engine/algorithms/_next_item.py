"""The regression of the next film of a history on those before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recommendations.engine.algorithms._histories import (
    LONGEST_GAP,
    UNKNOWN_GAP,
    Histories,
    gap_classes,
)

#: A film with a smaller share in a feature is ignored in it.
FORGOTTEN = 1e-4
#: A smaller number of steps is rounding.
ROUNDING = 1e-3
#: Pairs of films that are counted at once: about 200 MB.
PAIRS_AT_ONCE = 10_000_000
#: Share of the time that passes before solving, on a million interactions.
COUNTED = 0.4

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


def gap_transitions(histories: Histories, n_items: int, backwards: float) -> csr_matrix:
    """(c * n_items, n_items) float32, how often each item followed each film, by class of the gap.

    Each also counts in the class of an unknown gap, and with the weight `backwards` the other way.
    The longest class stays empty: after an hour the features alone rank best.
    """
    first = np.flatnonzero(histories.steps_back[:-1])
    gaps = gap_classes(np.diff(histories.moments)[first])
    parts: list[tuple[NDArray[np.integer], NDArray[np.integer], Float32]] = []
    for classes in (gaps, np.full(len(gaps), UNKNOWN_GAP)):
        kept = classes != LONGEST_GAP
        counted, blocks = first[kept], classes[kept] * n_items
        films, followers = histories.items[counted], histories.items[counted + 1]
        ones = np.ones(len(counted), dtype=np.float32)
        parts.append((films + blocks, followers, ones))
        parts.append((followers + blocks, films, ones * np.float32(backwards)))
    rows, columns, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    shape = ((UNKNOWN_GAP + 1) * n_items, n_items)
    return csr_matrix((values, (rows, columns)), shape=shape)


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

    It builds the normal equations without a loop over all steps. Let f be the feature of decay g
    and e the one-hot film of each step: f_t = g f_(t-1) + e_t. For two features of decays g and h,
    the sum of f f' over the steps, except for the last step of each user, is
    (g C + h D' + N - H K') / (1 - g h). C and D are the sums of each feature times the next film,
    N counts films, and H and K are the features after the last step. With h = 0, f is the last film
    alone, and the product with the weights is what they tell after each last film.

    Returns:
        ((len(decays) + 1) * n_items, n_items) float32; the last block is the mean of what the
        others tell after each film, where it is not the last step of a user.
    """
    report = on_progress or (lambda share: None)
    if not n_items:
        return np.zeros((0, 0), dtype=np.float32)
    followers = _followers(histories, decays, n_items, backwards, report)
    products = _CrossProducts(histories, n_items, backwards)
    steps = products.counts - products.ends(0.0).power(2).sum(axis=0).A1
    normal = _normal_equations(products, decays, followers)
    squares = normal.diagonal().reshape(len(decays), n_items).mean(axis=1)
    squares[squares <= 0] = steps.mean() or 1.0
    penalties = regularization * squares / (steps.mean() or 1.0)
    normal[np.diag_indices_from(normal)] += np.repeat(penalties, n_items).astype(np.float32)
    targets = np.asfortranarray(np.concatenate(followers))
    told = np.zeros((n_items, n_items), dtype=np.float32)
    with threadpool_limits(threads, "blas"):
        # The upper blocks are filled; transposed, they are the lower ones, in LAPACK's order.
        factor = cho_factor(normal.T, lower=True, overwrite_a=True, check_finite=False)
        weights: Float32 = cho_solve(factor, targets, overwrite_b=True, check_finite=False)
        del normal, factor
        for feature, (decay, before) in enumerate(zip(decays, followers, strict=True)):
            block = products.block(0.0, decay, before, before)
            told += block @ weights[feature * n_items : (feature + 1) * n_items]
    told[steps < ROUNDING] = 0
    told /= np.maximum(steps, ROUNDING)[:, None].astype(np.float32)
    report(1.0)
    return np.concatenate((weights, told))


def reach(decay: float) -> int:
    """The number of steps after which a film is forgotten in a feature, at least 1."""
    return 1 + int(np.log(FORGOTTEN) / np.log(decay)) if decay else 1


def _followers(
    histories: Histories,
    decays: Float64,
    n_items: int,
    backwards: float,
    report: Callable[[float], None],
) -> list[Float32]:
    """For each feature, (n_items, n_items): its sum (first axis) before each film (second axis)."""
    items, found = histories.items, []
    steps_so_far = np.arange(len(items)) - np.searchsorted(histories.owners, histories.owners)
    for place, decay in enumerate(decays):
        read = np.minimum(steps_so_far, reach(decay))
        fading = (decay ** np.arange(read.max(initial=0))).astype(np.float32)
        came = np.zeros((n_items, n_items), dtype=np.float32)
        for start, stop in _portions(read):
            lengths = read[start:stop]
            ends = np.cumsum(lengths, dtype=np.int32)
            numbers = np.arange(lengths.sum(), dtype=np.int32)
            films = numbers + np.repeat((np.arange(start, stop) - ends).astype(np.int32), lengths)
            values = fading[np.repeat(ends - 1, lengths) - numbers]
            features = csr_matrix(
                (values, items[films], np.append(0, ends)), shape=(stop - start, n_items)
            )
            places = items[start:stop], np.arange(stop - start)
            ones = np.ones(stop - start, dtype=np.float32)
            came += (csr_matrix((ones, places), shape=features.shape[::-1]) @ features).toarray()
            report(COUNTED * (place + stop / len(items)) / len(decays))
        # Read backwards, each pair is the other way round.
        found.append(came.T + np.float32(backwards) * came)
    return found


def _portions(read: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Ranges of steps with about PAIRS_AT_ONCE films before them, at least one step each."""
    pairs, start = np.cumsum(read), 0
    while start < len(read):
        done = pairs[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(pairs, done + PAIRS_AT_ONCE, side="right")))
        yield start, stop
        start = stop


@dataclass(frozen=True)
class _CrossProducts:
    """The sums of products of two features over the steps with a next film."""

    histories: Histories
    n_items: int
    backwards: float

    @cached_property
    def counts(self) -> Float64:
        """(n_items,) how often each film was watched."""
        watched = np.bincount(self.histories.items, minlength=self.n_items)
        return np.asarray(watched * (1 + self.backwards), dtype=np.float64)

    def block(self, g: float, h: float, of_g: Float32, of_h: Float32) -> Float32:
        """(n_items, n_items) for the decays g and h.

        Args:
            of_g, of_h: The features before each film, as from `_followers`.
        """
        block = np.float32(g) * of_g
        block += np.float32(h) * of_h.T
        block -= (self.ends(g).T.tocsr() @ self.ends(h)).toarray()
        block[np.diag_indices(self.n_items)] += self.counts.astype(np.float32)
        block /= np.float32(1 - g * h)
        return block

    def ends(self, decay: float) -> csr_matrix:
        """A feature after the last step of each user, of the histories read both ways."""
        shape = (len(self.histories.lengths), self.n_items)
        parts: list[tuple[Float32, NDArray[np.intp], NDArray[np.int32]]] = []
        for read, weight in ((self.histories, 1.0), (self.histories.backwards(), self.backwards)):
            values = (np.sqrt(weight) * decay**read.steps_back).astype(np.float32)
            kept = np.abs(values) > 1e-6
            owners = read.owners + len(parts) * shape[0]
            parts.append((values[kept], owners[kept], read.items[kept]))
        values, rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
        return csr_matrix((values, (rows, columns)), shape=(2 * shape[0], shape[1]))


def _normal_equations(
    products: _CrossProducts, decays: Float64, followers: list[Float32]
) -> Float32:
    """The cross products of all features; only the upper blocks."""
    n_items, n = products.n_items, len(decays)
    normal = np.zeros((n * n_items, n * n_items), dtype=np.float32)
    for a in range(n):
        for b in range(a, n):
            normal[a * n_items : (a + 1) * n_items, b * n_items : (b + 1) * n_items] = (
                products.block(decays[a], decays[b], followers[a], followers[b])
            )
    return normal
