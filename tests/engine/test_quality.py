"""Lists made and judged, against values worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommendations.engine.evaluation import quality
from recommendations.engine.evaluation.quality import Quality, Scorer, evaluate_lists
from recommendations.engine.evaluation.splits import Split
from recommendations.engine.matrices import Array, Features, ItemFeatures, Now, Scores, Times
from recommendations.engine.ranking.reranking import top_items
from recommendations.engine.recommender import Recommender
from tests.engine.camps import csr, evaluate

NAN = float("nan")


class Fixed(Recommender):
    """The same scores for everybody."""

    name = "fixed"
    description = "For tests."

    def __init__(self, scores: list[float]) -> None:
        self.scores = np.array(scores, dtype=np.float32)

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        return self

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        return np.tile(self.scores, (history.shape[0], 1))

    def to_arrays(self) -> dict[str, Array]:
        return {}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        return cls([])


class Linear(Scorer):
    """Scores of its own for each history, and no opinion on some items."""

    def __init__(self, n_items: int, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.weights = random.normal(size=(n_items, n_items)).astype(np.float32)
        self.unknown = random.random(n_items) < 0.2

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        return np.where(self.unknown, np.float32(np.nan), history.toarray() @ self.weights)

    def score_at(self, history: csr_matrix, times: Times, now: Now) -> Scores:
        return self.score(history, times)


def split_of(history: list[list[float]], test: list[list[float]]) -> Split:
    known, later = csr(history), csr(test)
    return Split(known, known, known, known, later)


def test_quality_as_worked_out_by_hand() -> None:
    """Scores rank the items 0, 1, 2, 3, 4; k = 2; three users, five items.

    User 0 has seen 0 and is shown 1, 2; liked 2 and 4.
        NDCG 0.6309 / (1 + 0.6309) = 0.3869, recall 1 of 2.
    User 1 has seen 1 and is shown 0, 2; liked 0, and disliked 2, which is no hit.
        NDCG 1 / 1 = 1, recall 1 of 1.
    User 2 has seen 4 and is shown 0, 1; liked 3.
        NDCG 0, recall 0.
    User 3 liked 1 and has no history; user 4 has seen 0 and liked nothing: not judged.

    NDCG (0.3869 + 1 + 0) / 3 = 0.4623; recall (1/2 + 1 + 0) / 3 = 1/2; hit rate 2/3;
    shown were 0, 1, 2 of five: coverage 3/5. Precision (1/2 + 1/2 + 0) / 3 = 1/3; reciprocal
    rank (1/2 + 1 + 0) / 3 = 1/2; average precision (1/4 + 1 + 0) / 3 = 5/12, for of the two that
    user 0 liked one stands at place 2.
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
    assert quality.precision == pytest.approx(1 / 3)
    assert quality.mrr == pytest.approx(1 / 2)
    assert quality.map == pytest.approx(5 / 12)


def test_a_film_outside_a_shortened_history_is_not_listed() -> None:
    """Scores rank the items 0, 1, 2; the user has touched 0 and 2, and the history has 2 alone."""
    split = split_of([[0, 0, 1, 0, 0]], [[0, 1, 0, 0, 0]])
    scores = Fixed([5, 4, 3, 2, 1])
    assert evaluate(scores, split, k=1).hit_rate == 0
    split = replace(split, touched=csr([[1, 0, 1, 0, 0]]))
    assert evaluate(scores, split, k=1).hit_rate == 1


def test_recall_is_of_at_most_k() -> None:
    """All of a list of two liked is a recall of 1, though three were liked."""
    quality = evaluate(Fixed([5, 4, 3, 2, 1]), split_of([[0, 0, 0, 0, 1]], [[1, 1, 1, 0, 0]]), k=2)
    assert (quality.recall, quality.ndcg) == (1, 1)


def test_items_without_a_score_are_not_listed() -> None:
    quality = evaluate(
        Fixed([NAN, 4, NAN, NAN, 1]), split_of([[0, 0, 0, 0, 1]], [[1, 1, 0, 0, 0]]), k=3
    )
    # Only item 1 is shown: NDCG 1 / (1 + 0.6309), recall 1 of 2, coverage 1 of 5.
    assert quality.ndcg == pytest.approx(0.6131, abs=5e-5)
    assert (quality.recall, quality.hit_rate, quality.coverage) == (1 / 2, 1, 1 / 5)


def test_quality_is_unknown_without_users_to_judge() -> None:
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
    monkeypatch.setattr(quality, "BATCH", 2)
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


# --- who is judged, and among what


def test_each_user_is_judged_alone_and_the_means_are_of_them() -> None:
    """User 1 hits at the first place, user 2 not at all, user 0 has liked nothing."""
    split = split_of(
        history=[[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]],
        test=[[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]],
    )
    judged = evaluate_lists(Fixed([4, 3, 2, 1]), split, k=1)
    assert judged.users.tolist() == [1, 2]
    assert judged.lists.tolist() == [[0], [0]]
    assert judged.by_user["ndcg"].tolist() == [1, 0]
    assert judged.by_user["hit_rate"].tolist() == [1, 0]
    quality = Quality.of(judged)
    assert (quality.ndcg, quality.ndcg_low, quality.ndcg_high) == (0.5, 0, 1)


def test_a_list_is_made_of_the_candidates_alone() -> None:
    """Item 1 stands above item 3; coverage is 2 of 2."""
    split = split_of([[0, 0, 0, 0, 1]], [[1, 0, 0, 1, 0]])
    split = replace(split, candidates=np.array([False, True, False, True, False]))
    judged = evaluate_lists(Fixed([5, 4, 3, 2, 1]), split, k=3)
    assert judged.lists.tolist() == [[1, 3, -1]]
    assert judged.by_user["mrr"].tolist() == [1 / 2]
    assert judged.coverage == 1


def test_a_film_is_ranked_among_the_negatives_given_for_its_user() -> None:
    """User 0 liked 2, behind 1 of 1 and 3; user 1 liked 2, behind none of 3 and 4."""
    split = split_of([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]], [[0, 0, 1, 0, 0], [0, 0, 1, 0, 0]])
    split = replace(split, negatives=csr([[0, 1, 0, 1, 0], [0, 0, 0, 1, 1]]))
    judged = evaluate_lists(Fixed([5, 4, 3, 2, 1]), split, k=2)
    assert judged.lists.tolist() == [[1, 2], [2, 3]]
    assert judged.by_user["mrr"].tolist() == [1 / 2, 1]


def test_a_film_without_a_score_is_missed() -> None:
    """Though fewer than k others stand beside it."""
    split = split_of([[1, 0, 0, 0]], [[0, 1, 0, 0]])
    split = replace(split, negatives=csr([[0, 0, 1, 0]]))
    judged = evaluate_lists(Fixed([1, NAN, 1, 1]), split, k=3)
    assert judged.lists.tolist() == [[2, -1, -1]]
    assert judged.by_user["hit_rate"].tolist() == [0]


# --- equal scores


def users_with_one_liked_film_each(n_users: int, n_items: int) -> Split:
    """Each knows the last item and liked the first one."""
    history, test = np.zeros((2, n_users, n_items))
    history[:, -1], test[:, 0] = 1, 1
    return split_of(history.tolist(), test.tolist())


def test_equal_scores_are_as_good_as_chance() -> None:
    """The liked film is in the first 5 of 20 in a quarter of all orders: 250 of 1,000 users, with
    a standard deviation of 14. By the order of the columns all would be hits."""
    judged = evaluate_lists(Fixed([1.0] * 21), users_with_one_liked_film_each(1000, 21), k=5)
    assert 200 < judged.by_user["hit_rate"].sum() < 300


def test_ties_are_drawn_alike_for_all_algorithms() -> None:
    """Or a comparison of two would see differences where there are none."""
    split = users_with_one_liked_film_each(50, 21)
    first, second = (evaluate_lists(Fixed([value] * 21), split, k=5) for value in (1.0, 7.0))
    np.testing.assert_array_equal(first.lists, second.lists)
    assert len(np.unique(first.lists, axis=0)) > 40
    other = evaluate_lists(Fixed([1.0] * 21), split, k=5, seed=2)
    assert not np.array_equal(first.lists, other.lists)


def test_ties_at_the_end_of_a_list_leave_the_better_ones_where_they_are() -> None:
    judged = evaluate_lists(
        Fixed([9, 5, 5, 5, 8, 0]), split_of([[0, 0, 0, 0, 0, 1]], [[1, 0, 0, 0, 0, 0]]), k=3
    )
    assert judged.lists[0, :2].tolist() == [0, 4]
    assert judged.lists[0, 2] in (1, 2, 3)


# --- what lists are made of


def test_beyond_accuracy_as_worked_out_by_hand() -> None:
    """Two users, k = 2, scores rank 0, 1, 2, 3. User 0 knows 3 and is shown 0, 1; user 1 knows 0
    and is shown 1, 2. Of two users, 0 and 3 are touched by one each (p = 1/2), the others by none.

    Novelty: each film touched by one, or counted so, has 1 bit. Popularity: (1/2 + 0) / 2 and 0.
    Genres: 0 and 1 are a, 2 and 3 are b. User 0 sees a, a: diversity 0; user 1 a, b: 1.
    """
    split = split_of([[0, 0, 0, 1], [1, 0, 0, 0]], [[1, 0, 0, 0], [0, 1, 0, 0]])
    items = ItemFeatures(csr([[1, 0], [1, 0], [0, 1], [0, 1]]), ("genre:a", "genre:b"))
    judged = evaluate_lists(Fixed([4, 3, 2, 1]), split, k=2, items=items)
    assert judged.by_user["novelty"].tolist() == [1, 1]
    assert judged.by_user["popularity"].tolist() == [1 / 4, 0]
    np.testing.assert_allclose(judged.by_user["diversity"], [0, 1], atol=1e-7)
    # User 0 liked b alone and is shown a alone: 1 * log(1 / 0.01) = 4.6052. User 1 liked a alone
    # and is shown both: 1 * log(1 / (0.99 * 0.5 + 0.01)) = 0.6832.
    np.testing.assert_allclose(judged.by_user["miscalibration"], [4.6052, 0.6832], atol=5e-5)
    # Listed are 0 once, 1 twice, 2 once, 3 never: sorted 0, 1, 1, 2 with factors -3, -1, 1, 3
    # make 6 of 4 * 4.
    assert judged.gini == pytest.approx(6 / 16)


def test_without_features_diversity_and_calibration_are_unknown() -> None:
    quality = evaluate(Fixed([1, 2]), split_of([[0, 1]], [[1, 0]]))
    assert math.isnan(quality.diversity)
    assert math.isnan(quality.miscalibration)


def test_without_genres_calibration_is_unknown() -> None:
    items = ItemFeatures(csr([[1], [1], [1]]), ("keyword:train",))
    quality = evaluate(Fixed([1, 2, 3]), split_of([[0, 0, 1]], [[1, 0, 0]]), items=items)
    assert math.isnan(quality.miscalibration)
    assert quality.diversity == pytest.approx(0, abs=1e-6)


@given(
    n_users=st.integers(1, 5), n_items=st.integers(1, 9), k=st.integers(1, 10), seed=st.integers(0)
)
@settings(max_examples=60)
def test_lists_are_those_of_top_items(n_users: int, n_items: int, k: int, seed: int) -> None:
    """All rows at once and one by one come to the same, where no two scores are equal."""
    random = np.random.default_rng(seed)
    history, test = (csr(random.random((n_users, n_items)) < 0.4) for _ in range(2))
    recommender = Linear(n_items, seed)
    judged = evaluate_lists(recommender, Split(history, history, history, history, test), k=k)
    for user, shown in zip(judged.users, judged.lists, strict=True):
        scores = recommender.score(history[user])[0]
        expected = top_items(scores, exclude=history[user].indices, k=k)
        assert shown[shown >= 0].tolist() == expected.tolist()


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
