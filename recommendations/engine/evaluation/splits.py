"""What a model learns from, what it knows of a viewer, and what it is judged by.

Choose settings on a split of `Split.train`, never on the test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

#: He et al. rank the film that was left out among so many.
NEGATIVES = 99
#: Rows of random numbers drawn at once.
BATCH = 256
SEED = 1895

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Interactions divided; all matrices are (n_users, n_items), rows the same users.

    Attributes:
        train, train_times: What the model learns from.
        history, history_times: What is known of a user when the list is made.
        test: What the user did afterwards.
        candidates: (n_items,) what may be listed; None for everything.
        negatives: An entry, of any value, for each item that a user's test is ranked among;
            nothing else is listed. None for all that is not in the history.
    """

    train: csr_matrix
    train_times: csr_matrix
    history: csr_matrix
    history_times: csr_matrix
    test: csr_matrix
    candidates: Mask | None = None
    negatives: csr_matrix | None = None


def split_by_time(interactions: csr_matrix, times: csr_matrix, *, test_share: float = 0.2) -> Split:
    """Replay the last `test_share` of all interactions, as a server would live through them.

    One moment divides the data: the model learns from what lies before it. Of each user's later
    interactions the first half is known by the time of the list, as a server knows the last
    click, and the second half is the test. No test interaction is older than any that its list
    was made from.
    """
    moment = np.quantile(times.data, 1 - test_share) if times.nnz else 0.0
    later = times.data > moment
    places = _in_order(interactions, times.data, np.flatnonzero(later))
    place, count = _place_in_row(_users(interactions)[places])
    is_test = np.zeros(interactions.nnz, dtype=bool)
    is_test[places[place * 2 >= count]] = True
    return _split(interactions, times, train=~later, history=~is_test, test=is_test)


def leave_last_out(interactions: csr_matrix, times: csr_matrix) -> Split:
    """The last film that each user liked is the test, and all that came before it is known.

    What a user did after it is dropped. Of films of the same second the later column is the later
    one. Who has no film before it is learned from as it stands, and not judged.
    """
    places = _in_order(interactions, times.data, np.arange(interactions.nnz))
    users = _users(interactions)[places]
    place, _ = _place_in_row(users)
    liked = interactions.data[places] > 0
    last = np.zeros(interactions.shape[0], dtype=np.intp)
    np.maximum.at(last, users[liked], place[liked])
    is_test, is_known = np.zeros((2, interactions.nnz), dtype=bool)
    is_test[places] = (place == last[users]) & (last[users] > 0)
    is_known[places] = (place < last[users]) | (last[users] == 0)
    return _split(interactions, times, train=is_known, history=is_known, test=is_test)


def leave_one_out(
    interactions: csr_matrix,
    times: csr_matrix,
    *,
    n_negatives: int = NEGATIVES,
    negatives: csr_matrix | None = None,
    seed: int = SEED,
) -> Split:
    """The last liked film, as in `leave_last_out`, ranked among a few that the user never touched.

    He et al. (2017), doi:10.1145/3038912.3052569. Such figures compare only with others of the
    same negatives: Krichene and Rendle (2020), doi:10.1145/3394486.3403226.

    Args:
        n_negatives: Drawn for each user, without repeats; all that there are if they are fewer.
        negatives: (n_users, n_items) an entry for each that is given, in place of drawn ones.
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
    """Users whom the model has never seen: some of each one's films are folded in, the rest is the
    test.

    Marlin (2004), Collaborative Filtering: A Machine Learning Perspective; with these shares of
    a user's films in Liang et al. (2018), doi:10.1145/3178876.3186150.

    Args:
        users_share: Of all users, drawn; entirely out of training.
        test_share: Of such a user's interactions, drawn, rounded, but at least one where there
            are two.
    """
    random = np.random.default_rng(seed)
    n_users = interactions.shape[0]
    held_out = np.zeros(n_users, dtype=bool)
    held_out[random.permutation(n_users)[: round(users_share * n_users)]] = True
    users = _users(interactions)
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
    """Films that nobody has touched yet, ranked among each other for those who liked them later.

    Args:
        items_share: Of the films that somebody has touched; entirely out of training and of the
            histories.
        age: (n_items,) the higher the newer, such as the year: the newest are withheld, and among
            equals the later columns. None to draw them.
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
    """The entries under the mask; the shape stays."""
    kept = np.concatenate(([0], np.cumsum(mask)))[matrix.indptr].astype(matrix.indptr.dtype)
    return csr_matrix((matrix.data[mask], matrix.indices[mask], kept), shape=matrix.shape)


def _users(matrix: csr_matrix) -> NDArray[np.intp]:
    """(nnz,) the row of each entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _in_order(
    matrix: csr_matrix, seconds: NDArray[np.float64], places: NDArray[np.intp]
) -> NDArray[np.intp]:
    """These entries by user, and for each by time and then by column."""
    users = _users(matrix)[places]
    ordered: NDArray[np.intp] = places[np.lexsort((matrix.indices[places], seconds[places], users))]
    return ordered


def _place_in_row(users: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of each of these entries, ordered by user: its place among the user's, and their count."""
    _, first, inverse, counts = np.unique(
        users, return_index=True, return_inverse=True, return_counts=True
    )
    return np.arange(len(users)) - first[inverse], counts[inverse]


def _draw_negatives(
    interactions: csr_matrix, test: csr_matrix, n_negatives: int, seed: int
) -> csr_matrix:
    """(n_users, n_items) with so many entries that stand for films untouched, for those judged."""
    random = np.random.default_rng(seed)
    n_users, n_items = interactions.shape
    n_drawn = min(n_negatives, n_items)
    judged = np.flatnonzero(np.diff(test.indptr))
    rows, columns = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
    for start in range(0, len(judged), BATCH):
        batch = judged[start : start + BATCH]
        lots = random.random((len(batch), n_items), dtype=np.float32)
        touched = interactions[batch]
        lots[_users(touched), touched.indices] = np.inf
        drawn = np.argpartition(lots, max(n_drawn - 1, 0), axis=1)[:, :n_drawn]
        free = np.isfinite(np.take_along_axis(lots, drawn, axis=1))
        rows.append(np.repeat(batch, free.sum(axis=1)))
        columns.append(drawn[free])
    places = np.concatenate(rows), np.concatenate(columns)
    ones = np.ones(len(places[0]), dtype=np.float32)
    return csr_matrix((ones, places), shape=(n_users, n_items))
