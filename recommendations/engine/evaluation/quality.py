"""The quality of lists, measured on interactions that the model has not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.evaluation import metrics
from recommendations.engine.evaluation.metrics import bootstrap_interval
from recommendations.engine.evaluation.splits import Split, lots
from recommendations.engine.matrices import (
    Features,
    ItemFeatures,
    Now,
    Scores,
    Times,
    row_numbers,
)

#: Rows scored at once: 256 users times 20,000 items are 20 MB.
BATCH = 256
SEED = 1895
#: The prefix of the features that are genres.
GENRE = "genre:"


class Scorer(Protocol):
    """A recommender, or a wrapper around one."""

    def score(self, history: csr_matrix, times: Times = None) -> Scores: ...

    def score_at(self, history: csr_matrix, times: Times, now: Now) -> Scores: ...


class Reranker(Protocol):
    """Reorders the `pool` best items of each row."""

    @property
    def pool(self) -> int: ...

    def lists(
        self, pools: NDArray[np.intp], scores: Scores, k: int, history: csr_matrix
    ) -> NDArray[np.intp]: ...


@dataclass(frozen=True)
class EvaluatedLists:
    """The lists of m users, each evaluated by itself.

    Attributes:
        users: (m,) ascending rows of the split.
        lists: (m, k) listed items; -1 for an empty place.
        gaps_s: (m,) float64 seconds from the last interaction of the history to the list; NaN if
            the split does not know when the list is made.
        by_user: (m,) float64 for each metric of `Quality`; NaN where it is undefined.
        coverage, gini: Metrics of all lists together.
    """

    k: int
    users: NDArray[np.intp]
    lists: NDArray[np.intp]
    gaps_s: NDArray[np.float64]
    by_user: Mapping[str, NDArray[np.float64]]
    coverage: float
    gini: float


@dataclass(frozen=True)
class Quality:
    """Means over the evaluated users; NaN if there are none, or if the metric is undefined.

    The functions in `metrics` describe each figure.

    Attributes:
        users: Number of evaluated users.
        mrr, map: Means of `reciprocal_rank` and `average_precision`.
        ndcg_low, ndcg_high: 95% interval of the NDCG.
        popularity, gini: Popularity bias; lower is less.
        diversity, miscalibration: NaN without item features; lower miscalibration is better.
    """

    users: int
    k: int
    ndcg: float
    recall: float
    hit_rate: float
    coverage: float
    precision: float = math.nan
    mrr: float = math.nan
    map: float = math.nan
    ndcg_low: float = math.nan
    ndcg_high: float = math.nan
    novelty: float = math.nan
    popularity: float = math.nan
    gini: float = math.nan
    diversity: float = math.nan
    miscalibration: float = math.nan

    @classmethod
    def unknown(cls, k: int) -> Quality:
        """The quality without any evaluated user."""
        nan = math.nan
        return cls(users=0, k=k, ndcg=nan, recall=nan, hit_rate=nan, coverage=nan)

    @classmethod
    def of(cls, evaluated: EvaluatedLists) -> Quality:
        if not len(evaluated.users):
            return cls.unknown(evaluated.k)
        means = {name: mean(values) for name, values in evaluated.by_user.items()}
        low, high = bootstrap_interval(evaluated.by_user["ndcg"])
        return cls(
            users=len(evaluated.users),
            k=evaluated.k,
            coverage=evaluated.coverage,
            gini=evaluated.gini,
            ndcg_low=low,
            ndcg_high=high,
            **means,
        )


def evaluate_lists(
    recommender: Scorer,
    split: Split,
    *,
    k: int = 10,
    max_users: int | None = 2000,
    seed: int = SEED,
    items: Features = None,
    reranker: Reranker | None = None,
) -> EvaluatedLists:
    """Rank the items outside each user's history, and compare the top k with the liked test items.

    It evaluates users with a liked item in the test and a history: at most `max_users`, drawn by
    `seed`. An item with a NaN score is not listed. `seed` breaks ties for each user and item, alike
    in all algorithms, so that the order of the catalogue helps no model.
    """
    users = evaluable_users(split, max_users=max_users, seed=seed)
    n_items = split.test.shape[1]
    lists = np.full((len(users), min(k, n_items)), -1, dtype=np.intp)
    hits = np.zeros(lists.shape, dtype=bool)
    n_relevant = np.zeros(len(users), dtype=np.intp)
    for start in range(0, len(users), BATCH):
        part = slice(start, start + BATCH)
        rows = users[part]
        now = None if split.now is None else split.now[rows]
        scores = recommender.score_at(split.history[rows], split.history_times[rows], now)
        usable = _usable(scores, split, rows)
        history = split.history[rows]
        lists[part] = _lists(usable, rows, history, lists.shape[1], seed, reranker)
        liked = _liked(split.test[rows])
        hits[part] = np.take_along_axis(liked, lists[part], axis=1) & (lists[part] >= 0)
        n_relevant[part] = liked.sum(axis=1)
    n_candidates = n_items if split.candidates is None else int(split.candidates.sum())
    return EvaluatedLists(
        k=k,
        users=users,
        lists=lists,
        gaps_s=_gaps_s(split, users),
        by_user=_by_rank(hits, n_relevant, k) | _by_content(lists, split, users, items),
        coverage=metrics.coverage(lists, n_candidates=n_candidates),
        gini=metrics.gini(lists, n_candidates=n_candidates),
    )


def _gaps_s(split: Split, users: NDArray[np.intp]) -> NDArray[np.float64]:
    if split.now is None:
        return np.full(len(users), np.nan)
    last = np.full(len(split.now), -np.inf)
    np.maximum.at(last, row_numbers(split.history_times), split.history_times.data)
    return np.asarray(split.now[users] - last[users])


def mean(values: NDArray[np.float64]) -> float:
    """The mean of the values that are not NaN; NaN if all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def evaluable_users(
    split: Split, *, max_users: int | None = None, seed: int = SEED
) -> NDArray[np.intp]:
    """(m,) ascending rows of the users with a liked item in the test and a history."""
    likes = split.test.copy()
    likes.data = (likes.data > 0).astype(np.float32)
    likes.eliminate_zeros()
    users = np.flatnonzero((np.diff(likes.indptr) > 0) & (np.diff(split.history.indptr) > 0))
    if max_users is None or len(users) <= max_users:
        return users
    return np.sort(np.random.default_rng(seed).choice(users, max_users, replace=False))


def _usable(scores: Scores, split: Split, rows: NDArray[np.intp]) -> Scores:
    """The scores of the items that may be listed; -inf for the others and for NaN."""
    usable: Scores = np.where(np.isnan(scores), np.float32(-np.inf), scores)
    usable[_places(split.history[rows])] = -np.inf
    if split.touched is not None:
        usable[_places(split.touched[rows])] = -np.inf
    if split.candidates is not None:
        usable[:, ~split.candidates] = -np.inf
    if split.negatives is not None:
        among = np.zeros(usable.shape, dtype=bool)
        among[_places(split.negatives[rows])] = True
        among[_places(split.test[rows])] = True
        usable[~among] = -np.inf
    return usable


def _lists(
    usable: Scores,
    rows: NDArray[np.intp],
    history: csr_matrix,
    k: int,
    seed: int,
    reranker: Reranker | None,
) -> NDArray[np.intp]:
    if reranker is None:
        return _best(usable, rows, k, seed)
    pools = _best(usable, rows, min(max(reranker.pool, k), usable.shape[1]), seed)
    return reranker.lists(pools, np.take_along_axis(usable, pools, axis=1), k, history)


def _best(usable: Scores, rows: NDArray[np.intp], k: int, seed: int) -> NDArray[np.intp]:
    """(n_rows, k) the best items of each row, the best first; -1 behind the last one."""
    lists = np.full((len(usable), k), -1, dtype=np.intp)
    n_items = usable.shape[1]
    if not k:
        return lists
    # `partition` is several times faster than `argpartition`.
    least = np.partition(usable, n_items - k, axis=1)[:, n_items - k]
    row, item = np.nonzero((usable >= least[:, None]) & (usable > -np.inf))
    order = np.lexsort((lots(rows[row], item, seed), -usable[row, item], row))
    row, item = row[order], item[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    listed = place < k
    lists[row[listed], place[listed]] = item[listed]
    return lists


def _places(matrix: csr_matrix) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """The row and the column of each stored entry."""
    return row_numbers(matrix), matrix.indices


def _liked(test: csr_matrix) -> NDArray[np.bool_]:
    liked = np.zeros(test.shape, dtype=bool)
    liked[_places(test)] = test.data > 0
    return liked


def _by_rank(
    hits: NDArray[np.bool_], n_relevant: NDArray[np.intp], k: int
) -> dict[str, NDArray[np.float64]]:
    return {
        "ndcg": metrics.ndcg(hits, n_relevant=n_relevant, k=k),
        "recall": metrics.recall(hits, n_relevant=n_relevant, k=k),
        "hit_rate": metrics.hit_rate(hits, n_relevant=n_relevant),
        "precision": metrics.precision(hits, n_relevant=n_relevant, k=k),
        "mrr": metrics.reciprocal_rank(hits, n_relevant=n_relevant),
        "map": metrics.average_precision(hits, n_relevant=n_relevant, k=k),
    }


def _by_content(
    lists: NDArray[np.intp], split: Split, users: NDArray[np.intp], items: Features
) -> dict[str, NDArray[np.float64]]:
    n_users, n_items = split.train.shape
    touched_by = np.bincount(split.train.indices, minlength=n_items)
    values = {
        "novelty": metrics.novelty(lists, touched_by=touched_by, n_users=n_users),
        "popularity": metrics.popularity(lists, touched_by=touched_by, n_users=n_users),
    }
    if items is None:
        return values
    genres = genre_columns(items)
    return values | {
        "diversity": metrics.diversity(lists, features=items.matrix),
        "miscalibration": metrics.miscalibration(lists, split.history[users], genres=genres),
    }


def genre_columns(items: ItemFeatures) -> csr_matrix:
    """(n_items, n_genres) the features that are genres."""
    is_genre = np.array([name.startswith(GENRE) for name in items.names], dtype=bool)
    return items.matrix[:, np.flatnonzero(is_genre)]
