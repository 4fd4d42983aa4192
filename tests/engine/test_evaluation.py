"""Metrics against values worked out by hand, and the split in time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommendations.engine import evaluation
from recommendations.engine.evaluation import Split, evaluate, ndcg, split_by_time, top_items
from recommendations.engine.protocol import Array, ItemFeatures, Recommender, Scores
from tests.engine.camps import csr

NAN = float("nan")


class Fixed(Recommender):
    """The same scores for everybody."""

    name = "fixed"
    description = "For tests."

    def __init__(self, scores: list[float]) -> None:
        self.scores = np.array(scores, dtype=np.float32)

    def fit(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> Self:
        return self

    def score(self, history: csr_matrix, times: csr_matrix | None = None) -> Scores:
        return np.tile(self.scores, (history.shape[0], 1))

    def to_arrays(self) -> dict[str, Array]:
        return {}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        return cls([])


def split_of(history: list[list[float]], test: list[list[float]]) -> Split:
    known, later = csr(history), csr(test)
    return Split(known, known, known, known, later)


@pytest.mark.parametrize(
    ("hits", "n_relevant", "k", "expected"),
    [
        # Discounts of the places: 1/log2(2) = 1, 1/log2(3) = 0.6309, 1/log2(4) = 0.5.
        ([True], 1, 3, 1.0),
        # (0.6309 + 0.5) / (1 + 0.6309) = 1.1309 / 1.6309
        ([False, True, True], 2, 3, 0.6934),
        # (1 + 0.5) / (1 + 0.6309) = 1.5 / 1.6309
        ([True, False, True], 2, 3, 0.9197),
        # Of five relevant ones only k = 3 fit in: 1 / (1 + 0.6309 + 0.5)
        ([True, False, False], 5, 3, 0.4693),
        # A list shorter than k: 0.6309 / (1 + 0.6309)
        ([False, True], 2, 3, 0.3869),
        ([False, False, False], 2, 3, 0.0),
        ([], 2, 3, 0.0),
    ],
)
def test_ndcg_as_worked_out_by_hand(
    hits: list[bool], n_relevant: int, k: int, expected: float
) -> None:
    found = ndcg(np.array(hits, dtype=bool), n_relevant=n_relevant, k=k)
    assert found == pytest.approx(expected, abs=5e-5)


def test_ndcg_of_nothing_relevant_is_unknown() -> None:
    assert math.isnan(ndcg(np.array([False]), n_relevant=0, k=3))


def test_quality_as_worked_out_by_hand() -> None:
    """Scores rank the items 0, 1, 2, 3, 4; k = 2.

    User 0 has seen 0 and is shown 1, 2; liked 2 and 4.
        NDCG 0.6309 / (1 + 0.6309) = 0.3869, recall 1 of 2.
    User 1 has seen 1 and is shown 0, 2; liked 0, and disliked 2, which is no hit.
        NDCG 1 / 1 = 1, recall 1 of 1.
    User 2 has seen 4 and is shown 0, 1; liked 3.
        NDCG 0, recall 0.
    User 3 liked 1 and has no history; user 4 has seen 0 and liked nothing: not judged.

    NDCG (0.3869 + 1 + 0) / 3 = 0.4623; recall (1/2 + 1 + 0) / 3 = 1/2; hit rate 2/3;
    shown were 0, 1, 2 of five: coverage 3/5.
    """
    split = split_of(
        history=[[1, 0, 0, 0, 0], [0, 2, 0, 0, 0], [0, 0, 0, 0, -1], [0] * 5, [1, 0, 0, 0, 0]],
        test=[
            [0, 0, 1, 0, 3],
            [1, 0, -2, 0, 0],
            [0, 0, 0, 2, 0],
            [0, 1, 0, 0, 0],
            [0, -1, 0, 0, 0],
        ],
    )
    quality = evaluate(Fixed([5, 4, 3, 2, 1]), split, k=2)
    assert (quality.users, quality.k) == (3, 2)
    assert quality.ndcg == pytest.approx(0.4623, abs=5e-5)
    assert quality.recall == pytest.approx(1 / 2)
    assert quality.hit_rate == pytest.approx(2 / 3)
    assert quality.coverage == pytest.approx(3 / 5)


def test_recall_is_of_at_most_k() -> None:
    """All of a list of two liked is a recall of 1, though three were liked."""
    quality = evaluate(Fixed([5, 4, 3, 2, 1]), split_of([[0, 0, 0, 0, 1]], [[1, 1, 1, 0, 0]]), k=2)
    assert (quality.recall, quality.ndcg) == (1, 1)


def test_no_opinion_is_not_listed() -> None:
    quality = evaluate(
        Fixed([NAN, 4, NAN, NAN, 1]), split_of([[0, 0, 0, 0, 1]], [[1, 1, 0, 0, 0]]), k=3
    )
    # Only item 1 is shown: NDCG 1 / (1 + 0.6309), recall 1 of 2, coverage 1 of 5.
    assert quality.ndcg == pytest.approx(0.6131, abs=5e-5)
    assert (quality.recall, quality.hit_rate, quality.coverage) == (1 / 2, 1, 1 / 5)


def test_what_nobody_can_be_judged_on_is_unknown() -> None:
    quality = evaluate(Fixed([1, 2]), split_of([[0, 1]], [[0, 0]]))
    assert quality.users == 0
    assert all(
        math.isnan(value)
        for value in (quality.ndcg, quality.recall, quality.hit_rate, quality.coverage)
    )


def test_judging_in_batches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    history = csr(random.random((7, 9)) < 0.3)
    split = Split(history, history, history, history, csr(random.random((7, 9)) < 0.4))
    recommender = Fixed(list(random.random(9)))
    at_once = evaluate(recommender, split)
    monkeypatch.setattr(evaluation, "BATCH", 2)
    assert evaluate(recommender, split) == at_once


def test_at_most_max_users_are_judged_and_always_the_same() -> None:
    random = np.random.default_rng(4)
    history = csr(np.eye(50))
    split = Split(history, history, history, history, csr(random.random((50, 50)) < 0.2))
    recommender = Fixed(list(random.random(50)))
    quality = evaluate(recommender, split, max_users=10)
    assert quality.users == 10
    assert evaluate(recommender, split, max_users=10) == quality
    assert evaluate(recommender, split, max_users=10, seed=2) != quality


scores = st.lists(st.sampled_from([NAN, -1.0, 0.0, 0.5, 1.0, 7.0]), min_size=0, max_size=12)


@given(values=scores, exclude=st.sets(st.integers(0, 11)), k=st.integers(0, 14))
def test_top_items_are_the_best_in_order(values: list[float], exclude: set[int], k: int) -> None:
    exclude = {item for item in exclude if item < len(values)}
    row = np.array(values, dtype=np.float32)
    before = row.copy()
    top = top_items(row, exclude=np.array(sorted(exclude), dtype=np.int64), k=k)
    usable = [i for i, v in enumerate(values) if i not in exclude and not math.isnan(v)]
    best = sorted((values[i] for i in usable), reverse=True)[:k]
    assert [values[i] for i in top] == best
    assert set(top.tolist()) <= set(usable)
    np.testing.assert_array_equal(row, before)


# --- the split

events = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 9)),
    unique_by=lambda event: event[:2],
    max_size=25,
)


def matrices(rows: list[tuple[int, int, int]]) -> tuple[csr_matrix, csr_matrix]:
    """Interactions weighted by their number, from 1 on, and their times."""
    users = [user for user, _, _ in rows]
    items = [item for _, item, _ in rows]
    numbers = np.arange(1, len(rows) + 1, dtype=np.float32)
    seconds = np.array([1e9 + second for _, _, second in rows])
    return (
        csr_matrix((numbers, (users, items)), shape=(5, 6)),
        csr_matrix((seconds, (users, items)), shape=(5, 6)),
    )


@given(rows=events, test_share=st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]))
def test_split_loses_nothing_and_never_looks_ahead(
    rows: list[tuple[int, int, int]], test_share: float
) -> None:
    interactions, times = matrices(rows)
    split = split_by_time(interactions, times, test_share=test_share)
    for matrix in (split.train, split.history, split.test, split.train_times, split.history_times):
        assert matrix.shape == interactions.shape
        assert matrix.has_sorted_indices
    # Each interaction is in the history or in the test, and in one of them alone.
    assert sorted([*split.history.data, *split.test.data]) == sorted(interactions.data)
    np.testing.assert_array_equal((split.history + split.test).toarray(), interactions.toarray())
    # Learned from is only what lies before all tests; and a viewer knows it when the list is made.
    assert set(split.train.data) <= set(split.history.data)
    is_test = split.test.toarray() > 0
    tested = times.toarray()[is_test]
    if split.train.nnz and len(tested):
        assert split.train_times.data.max() < tested.min()
    for user in range(5):
        known, later = split.history_times[user].data, times.toarray()[user][is_test[user]]
        if len(known) and len(later):
            assert known.max() <= later.min()
        # Of what came after the moment the first half is known, and the odd one with it.
        after = interactions[user].nnz - split.train[user].nnz
        assert len(later) == after // 2


@given(rows=events)
def test_times_stay_with_their_interactions(rows: list[tuple[int, int, int]]) -> None:
    interactions, times = matrices(rows)
    split = split_by_time(interactions, times)
    seconds = dict(zip(interactions.data.tolist(), times.data.tolist(), strict=True))
    for part, part_times in (
        (split.train, split.train_times),
        (split.history, split.history_times),
    ):
        assert [seconds[number] for number in part.data.tolist()] == part_times.data.tolist()


def test_the_last_fifth_is_replayed() -> None:
    """Ten interactions of one user, a second apart: two after the moment, of them one is known."""
    interactions = csr(np.arange(1, 11)[None, :])
    times = csr_matrix(interactions.toarray().astype(np.float64))
    split = split_by_time(interactions, times)
    assert split.train.data.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert split.history.data.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert split.test.data.tolist() == [10]


@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (3, 0), (3, 4)])
def test_nothing_is_split_to_nothing(shape: tuple[int, int]) -> None:
    nothing = csr(np.zeros(shape))
    split = split_by_time(nothing, nothing.astype(np.float64))
    assert split.train.shape == split.history.shape == split.test.shape == shape
    assert evaluate(Fixed([0.0] * shape[1]), split).users == 0
