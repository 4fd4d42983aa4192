"""How good a list is, on interactions that the model has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.protocol import Scores

#: Rows scored at once: 256 users times 20,000 items are 20 MB.
BATCH = 256


class Scorer(Protocol):
    """A recommender, or what stands before one."""

    def score(self, history: csr_matrix, times: csr_matrix | None = None) -> Scores: ...


@dataclass(frozen=True)
class Split:
    """Interactions divided in time; all matrices are (n_users, n_items), rows the same users.

    Attributes:
        train, train_times: What the model learns from.
        history, history_times: What is known of a user when the list is made.
        test: What the user did afterwards.
    """

    train: csr_matrix
    train_times: csr_matrix
    history: csr_matrix
    history_times: csr_matrix
    test: csr_matrix


@dataclass(frozen=True)
class Quality:
    """Means over the users that could be judged; NaN when there were none.

    Attributes:
        users: How many that were.
        ndcg: Normalised discounted cumulative gain at k, binary relevance.
            Järvelin and Kekäläinen (2002), doi:10.1145/582415.582418.
        recall: Share of the liked items that stand in the first k, of at most k.
        hit_rate: Share of users with at least one liked item in the first k.
        coverage: Share of the catalogue that stands in at least one list.
    """

    users: int
    k: int
    ndcg: float
    recall: float
    hit_rate: float
    coverage: float

    @classmethod
    def unknown(cls, k: int) -> Quality:
        """Of nobody."""
        nan = float("nan")
        return cls(users=0, k=k, ndcg=nan, recall=nan, hit_rate=nan, coverage=nan)


def split_by_time(interactions: csr_matrix, times: csr_matrix, *, test_share: float = 0.2) -> Split:
    """Replay the last `test_share` of all interactions, as a server would live through them.

    One moment divides the data: the model learns from what lies before it. Of each user's later
    interactions the first half is known by the time of the list, as a server knows the last
    click, and the second half is the test. No test interaction is older than any that its list
    was made from.
    """
    users = np.repeat(np.arange(interactions.shape[0]), np.diff(interactions.indptr))
    moment = np.quantile(times.data, 1 - test_share) if times.nnz else 0.0
    later = times.data > moment
    is_test = np.zeros(interactions.nnz, dtype=bool)
    is_test[_second_half_of_each_user(users, times.data, np.flatnonzero(later))] = True
    return Split(
        train=_keep(interactions, ~later),
        train_times=_keep(times, ~later),
        history=_keep(interactions, ~is_test),
        history_times=_keep(times, ~is_test),
        test=_keep(interactions, is_test),
    )


def _second_half_of_each_user(
    users: NDArray[np.intp], seconds: NDArray[np.float64], places: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Of these places, those in the later half of their user's."""
    ordered = places[np.lexsort((seconds[places], users[places]))]
    _, first, counts = np.unique(users[ordered], return_index=True, return_counts=True)
    rank = np.arange(len(ordered)) - np.repeat(first, counts)
    return ordered[rank >= np.repeat(counts, counts) / 2]


def _keep(matrix: csr_matrix, mask: NDArray[np.bool_]) -> csr_matrix:
    """The entries under the mask; the shape stays."""
    kept = np.concatenate(([0], np.cumsum(mask)))[matrix.indptr].astype(matrix.indptr.dtype)
    return csr_matrix((matrix.data[mask], matrix.indices[mask], kept), shape=matrix.shape)


def evaluate(
    recommender: Scorer,
    split: Split,
    *,
    k: int = 10,
    max_users: int = 2000,
    seed: int = 1895,
) -> Quality:
    """Rank what each user had not touched, and look for what the user liked afterwards.

    Judged are users with a liked item in the test and anything in the history: at most
    `max_users`, drawn by `seed`.
    """
    judged = _judged_users(split, max_users, seed)
    gains, recalls, listed = [], [], np.zeros(split.test.shape[1], dtype=bool)
    for start in range(0, len(judged), BATCH):
        rows = judged[start : start + BATCH]
        history = split.history[rows]
        scores = recommender.score(history, split.history_times[rows])
        for row, user in enumerate(rows):
            top = top_items(scores[row], exclude=_row(history, row)[0], k=k)
            liked = _liked(split.test, user)
            hits = np.isin(top, liked)
            gains.append(ndcg(hits, n_relevant=len(liked), k=k))
            recalls.append(hits.sum() / min(k, len(liked)))
            listed[top] = True
    if not len(judged):
        return Quality.unknown(k)
    return Quality(
        users=len(judged),
        k=k,
        ndcg=float(np.mean(gains)),
        recall=float(np.mean(recalls)),
        hit_rate=float(np.mean(np.array(recalls) > 0)),
        coverage=float(listed.mean()),
    )


def top_items(scores: Scores, *, exclude: NDArray[np.integer], k: int) -> NDArray[np.intp]:
    """The k best of (n_items,) scores in order, without NaN and without `exclude`."""
    usable = np.where(np.isnan(scores), -np.inf, scores)
    usable[exclude] = -np.inf
    k = min(k, len(usable))
    candidates = np.argpartition(-usable, k - 1)[:k] if k else np.empty(0, dtype=np.intp)
    ordered = candidates[np.lexsort((candidates, -usable[candidates]))]
    return ordered[np.isfinite(usable[ordered])]


def ndcg(hits: NDArray[np.bool_], *, n_relevant: int, k: int) -> float:
    """Of one list: (at most k,) whether each place is a hit; n_relevant items could be hit."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = discounts[: min(k, n_relevant)].sum()
    return float((hits * discounts[: len(hits)]).sum() / ideal) if n_relevant else float("nan")


def _judged_users(split: Split, max_users: int, seed: int) -> NDArray[np.intp]:
    likes = split.test.copy()
    likes.data = (likes.data > 0).astype(np.float32)
    likes.eliminate_zeros()
    judged = np.flatnonzero((np.diff(likes.indptr) > 0) & (np.diff(split.history.indptr) > 0))
    if len(judged) <= max_users:
        return judged
    return np.sort(np.random.default_rng(seed).choice(judged, max_users, replace=False))


def _row(matrix: csr_matrix, row: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    part = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return matrix.indices[part], matrix.data[part]


def _liked(test: csr_matrix, user: int) -> NDArray[np.int32]:
    items, weights = _row(test, user)
    return items[weights > 0]
