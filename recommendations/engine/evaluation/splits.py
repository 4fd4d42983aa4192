"""Divides interactions into training data, histories and tests.

Choose settings on a split of `Split.train`, never on the test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from recommendations.engine.matrices import Now, row_numbers

#: Number of items among which He et al. rank the held-out item.
NEGATIVES = 99
#: Rows of random numbers that are drawn at once.
BATCH = 256
SEED = 1895
#: The lengths of the histories that `with_short_histories` adds.
SHORT = (1, 3, 10)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Divided interactions; all matrices are (n_users, n_items) with the same users in their rows.

    Attributes:
        train, train_times: The training data.
        history, history_times: The user's interactions when the list is made.
        test: The user's later interactions.
        now: (n_users,) Unix seconds of the user's first test interaction: when the list is made.
            NaN for a user without a test, and None if tests are not later than histories.
        candidates: (n_items,) bool, items that may be listed; None for all.
        negatives: An entry of any value for each item among which the user's test is ranked; no
            other item is listed. None for all items outside the history.
        touched: An entry for each item that the user knows, if `history` is a part of them; none of
            them is listed. None if `history` has them all.
    """

    train: csr_matrix
    train_times: csr_matrix
    history: csr_matrix
    history_times: csr_matrix
    test: csr_matrix
    now: Now = None
    candidates: Mask | None = None
    negatives: csr_matrix | None = None
    touched: csr_matrix | None = None


#: The share of the interactions that are later than the moment of a split by time.
TEST_SHARE = 0.2


def moment_of(times: csr_matrix, *, test_share: float = TEST_SHARE) -> float:
    """The Unix seconds of the moment at which `split_by_time` splits."""
    return float(np.quantile(times.data, 1 - test_share)) if times.nnz else 0.0


def split_by_time(
    interactions: csr_matrix, times: csr_matrix, *, test_share: float = TEST_SHARE
) -> Split:
    """Split at one moment, as a server experiences it; `test_share` of the interactions are later.

    The model learns from the interactions before the moment. The first half of each user's later
    interactions belongs to the history, and the second half is the test, so no test interaction is
    older than the history of its list.
    """
    later = times.data > moment_of(times, test_share=test_share)
    places = _in_order(interactions, times.data, np.flatnonzero(later))
    place, count = _place_in_row(row_numbers(interactions)[places])
    is_test = np.zeros(interactions.nnz, dtype=bool)
    is_test[places[place * 2 >= count]] = True
    split = _split(interactions, times, train=~later, history=~is_test, test=is_test)
    return replace(split, now=_first_moments(_keep(times, is_test)))


def leave_last_out(interactions: csr_matrix, times: csr_matrix) -> Split:
    """The test is the last liked item of each user; the history is all that came before it.

    Later interactions are dropped. Items of the same second are ordered at random, since the order
    of the catalogue tells which one is later. A user without an earlier interaction stays in the
    training data and has no test.
    """
    places = _in_order(interactions, times.data, np.arange(interactions.nnz))
    users = row_numbers(interactions)[places]
    place, _ = _place_in_row(users)
    liked = interactions.data[places] > 0
    last = np.zeros(interactions.shape[0], dtype=np.intp)
    np.maximum.at(last, users[liked], place[liked])
    is_test, is_known = np.zeros((2, interactions.nnz), dtype=bool)
    is_test[places] = (place == last[users]) & (last[users] > 0)
    is_known[places] = (place < last[users]) | (last[users] == 0)
    split = _split(interactions, times, train=is_known, history=is_known, test=is_test)
    return replace(split, now=_first_moments(_keep(times, is_test)))


def leave_one_out(
    interactions: csr_matrix,
    times: csr_matrix,
    *,
    n_negatives: int = NEGATIVES,
    negatives: csr_matrix | None = None,
    seed: int = SEED,
) -> Split:
    """Rank the last liked item, as in `leave_last_out`, among a few items without interactions.

    He et al. (2017), doi:10.1145/3038912.3052569. Such figures can only be compared with others of
    the same negatives: Krichene and Rendle (2020), doi:10.1145/3394486.3403226.

    Args:
        n_negatives: Number of items that are drawn for each user, without replacement.
        negatives: (n_users, n_items) with an entry for each given negative; none are drawn then.
    """
    split = leave_last_out(interactions, times)
    if negatives is None:
        negatives = _draw_negatives(interactions, split.test, n_negatives, seed)
    return replace(split, negatives=negatives)


def strong_generalisation(
    interactions: csr_matrix,
    times: csr_matrix,
    *,
    users_share: float = 0.2,
    test_share: float = 0.2,
    seed: int = SEED,
) -> Split:
    """Test users outside the training data: a part of their items is folded in, the rest tested.

    Marlin (2004), Collaborative Filtering: A Machine Learning Perspective; with these shares in
    Liang et al. (2018), doi:10.1145/3178876.3186150.

    Args:
        users_share: Share of the users that are drawn for the test.
        test_share: Share of their interactions that are drawn for the test, rounded, at least one
            of two.
    """
    random = np.random.default_rng(seed)
    n_users = interactions.shape[0]
    held_out = np.zeros(n_users, dtype=bool)
    held_out[random.permutation(n_users)[: round(users_share * n_users)]] = True
    users = row_numbers(interactions)
    places = np.lexsort((random.random(interactions.nnz), users))
    place, count = _place_in_row(users[places])
    wanted = np.clip(np.rint(count * test_share), 1, np.maximum(count - 1, 0))
    is_test = np.zeros(interactions.nnz, dtype=bool)
    is_test[places] = place < wanted
    of_held_out = held_out[users]
    return _split(
        interactions,
        times,
        train=~of_held_out,
        history=of_held_out & ~is_test,
        test=of_held_out & is_test,
    )


def cold_items(
    interactions: csr_matrix,
    times: csr_matrix,
    *,
    items_share: float = 0.2,
    age: NDArray[np.generic] | None = None,
    seed: int = SEED,
) -> Split:
    """Rank items without training interactions among each other, for users who like one of them.

    Args:
        items_share: Share of the items that are withheld from the training data and histories.
        age: (n_items,) the higher the newer, such as the year: the newest items are withheld, and
            among equals the later columns. None to draw them.
    """
    touched = np.unique(interactions.indices)
    if age is None:
        order = np.random.default_rng(seed).permutation(touched)
    else:
        order = touched[np.argsort(age[touched], kind="stable")]
    cold = np.zeros(interactions.shape[1], dtype=bool)
    cold[order[len(order) - round(items_share * len(order)) :]] = True
    is_cold = cold[interactions.indices]
    split = _split(interactions, times, train=~is_cold, history=~is_cold, test=is_cold)
    return replace(split, candidates=cold)


def with_short_histories(split: Split) -> Split:
    """Add each user again with the last 1, 3 and 10 interactions of the history alone.

    The test stays, and the rest of the history is not listed. Users with long histories then also
    tell what suits those with short ones, who are rare in a test. The added users have no training
    data. For splits without negatives.
    """
    places = _in_order(split.history, split.history_times.data, np.arange(split.history.nnz))
    place, count = _place_in_row(row_numbers(split.history)[places])
    steps_back = np.empty(split.history.nnz, dtype=np.intp)
    steps_back[places] = count - 1 - place
    nobody = csr_matrix(split.train.shape, dtype=split.train.dtype)

    def stacked(matrix: csr_matrix) -> csr_matrix:
        return csr_matrix(vstack([matrix, *(_keep(matrix, steps_back < n) for n in SHORT)]))

    def extended(matrix: csr_matrix) -> csr_matrix:
        return csr_matrix(vstack([matrix, *[nobody] * len(SHORT)]))

    return replace(
        split,
        train=extended(split.train),
        train_times=extended(split.train_times),
        history=stacked(split.history),
        history_times=stacked(split.history_times),
        now=None if split.now is None else np.tile(split.now, 1 + len(SHORT)),
        test=csr_matrix(vstack([split.test] * (1 + len(SHORT)))),
        touched=csr_matrix(vstack([split.history] * (1 + len(SHORT)))),
    )


def _split(
    interactions: csr_matrix, times: csr_matrix, *, train: Mask, history: Mask, test: Mask
) -> Split:
    return Split(
        train=_keep(interactions, train),
        train_times=_keep(times, train),
        history=_keep(interactions, history),
        history_times=_keep(times, history),
        test=_keep(interactions, test),
    )


def _keep(matrix: csr_matrix, mask: Mask) -> csr_matrix:
    """The entries where the mask is True, in the same shape."""
    kept = np.concatenate(([0], np.cumsum(mask)))[matrix.indptr].astype(matrix.indptr.dtype)
    return csr_matrix((matrix.data[mask], matrix.indices[mask], kept), shape=matrix.shape)


def _in_order(
    matrix: csr_matrix, seconds: NDArray[np.float64], places: NDArray[np.intp]
) -> NDArray[np.intp]:
    """The entries at `places`, ordered by user and time, and at random in the same second."""
    users = row_numbers(matrix)[places]
    drawn = lots(users, matrix.indices[places], SEED)
    ordered: NDArray[np.intp] = places[np.lexsort((drawn, seconds[places], users))]
    return ordered


def lots(users: NDArray[np.integer], items: NDArray[np.integer], seed: int) -> NDArray[np.uint64]:
    """A pseudo-random number for each user and item, by SplitMix64.

    Steele, Lea and Flood (2014), doi:10.1145/2660193.2660195.
    """
    drawn = users.astype(np.uint64) << np.uint64(32) | items.astype(np.uint64)
    drawn += np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    drawn = (drawn ^ drawn >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    drawn = (drawn ^ drawn >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return drawn ^ drawn >> np.uint64(31)


def _first_moments(times: csr_matrix) -> NDArray[np.float64]:
    """(n_rows,) the least of the stored times of each row; NaN for an empty row."""
    first = np.full(times.shape[0], np.nan)
    np.fmin.at(first, row_numbers(times), times.data)
    return first


def _place_in_row(users: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For entries ordered by user: the rank of each among the user's entries, and their number."""
    _, first, inverse, counts = np.unique(
        users, return_index=True, return_inverse=True, return_counts=True
    )
    return np.arange(len(users)) - first[inverse], counts[inverse]


def _draw_negatives(
    interactions: csr_matrix, test: csr_matrix, n_negatives: int, seed: int
) -> csr_matrix:
    """(n_users, n_items) with `n_negatives` entries outside `interactions` in rows with a test."""
    random = np.random.default_rng(seed)
    n_users, n_items = interactions.shape
    n_drawn = min(n_negatives, n_items)
    judged = np.flatnonzero(np.diff(test.indptr))
    rows, columns = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
    for start in range(0, len(judged), BATCH):
        batch = judged[start : start + BATCH]
        lots = random.random((len(batch), n_items), dtype=np.float32)
        touched = interactions[batch]
        lots[row_numbers(touched), touched.indices] = np.inf
        drawn = np.argpartition(lots, max(n_drawn - 1, 0), axis=1)[:, :n_drawn]
        free = np.isfinite(np.take_along_axis(lots, drawn, axis=1))
        rows.append(np.repeat(batch, free.sum(axis=1)))
        columns.append(drawn[free])
    places = np.concatenate(rows), np.concatenate(columns)
    ones = np.ones(len(places[0]), dtype=np.float32)
    return csr_matrix((ones, places), shape=(n_users, n_items))
