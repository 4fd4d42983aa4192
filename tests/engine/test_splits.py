"""Splits by hand and by what holds of all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommendations.engine.evaluation.splits import (
    Split,
    cold_items,
    leave_last_out,
    leave_one_out,
    split_by_time,
    strong_generalisation,
    with_short_histories,
)
from tests.engine.camps import csr

SPLITS = (split_by_time, leave_last_out, leave_one_out, strong_generalisation, cold_items)
every = pytest.mark.parametrize("split", SPLITS, ids=lambda split: split.__name__)
Splitter = Callable[[csr_matrix, csr_matrix], Split]

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
        # The first half of the later interactions is known, with the odd one.
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


def dense(matrix: csr_matrix) -> list[list[float]]:
    return matrix.toarray().tolist()


def is_part(matrix: csr_matrix, whole: csr_matrix) -> bool:
    """Whether each entry stands in the whole too, with the same value."""
    values = matrix.toarray()
    return np.array_equal(values, np.where(values == 0, 0, whole.toarray()))


def random_matrices(n_users: int = 40, n_items: int = 30) -> tuple[csr_matrix, csr_matrix]:
    """A fifth of all places, a quarter of them dislikes, at random moments."""
    random = np.random.default_rng(9)
    weights = random.choice([-1, 1, 2, 3], (n_users, n_items))
    interactions = csr(weights * (random.random((n_users, n_items)) < 0.2))
    times = interactions.astype(np.float64)
    times.data = random.integers(1, 50, times.nnz).astype(np.float64)
    return interactions, times


# --- what holds of all


@every
def test_no_test_interaction_is_in_the_history_or_in_training(split: Splitter) -> None:
    interactions, times = random_matrices()
    parts = split(interactions, times)
    assert parts.test.nnz
    assert parts.train.nnz
    assert parts.history.multiply(parts.test).nnz == 0
    assert parts.train.multiply(parts.test).nnz == 0
    # And nothing is made up.
    assert is_part(parts.history + parts.test, interactions)


@every
def test_times_are_those_of_the_interactions(split: Splitter) -> None:
    interactions, times = random_matrices()
    parts = split(interactions, times)
    for part, part_times in (
        (parts.train, parts.train_times),
        (parts.history, parts.history_times),
    ):
        np.testing.assert_array_equal(part.indices, part_times.indices)
        np.testing.assert_array_equal(part.indptr, part_times.indptr)
        assert is_part(part_times, times)


@every
@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (3, 0), (3, 4), (1, 1)], ids=str)
def test_a_split_of_no_interactions_is_empty(split: Splitter, shape: tuple[int, int]) -> None:
    nothing = csr(np.zeros(shape))
    parts = split(nothing, nothing.astype(np.float64))
    assert parts.train.shape == parts.history.shape == parts.test.shape == shape
    assert parts.test.nnz == 0


@every
def test_the_same_seed_gives_the_same_split(split: Splitter) -> None:
    first, second = (split(*random_matrices()) for _ in range(2))
    assert dense(first.test) == dense(second.test)
    assert dense(first.train) == dense(second.train)


# --- the last film of each


def test_the_last_liked_film_is_the_test_and_what_follows_it_is_dropped() -> None:
    """User 0 liked 2, then 0, then disliked 1. User 1 disliked 0 after liking 1 and 2. User 2 has
    one film, user 3 liked none."""
    interactions = csr([[2, -1, 1], [-1, 1, 3], [0, 2, 0], [-1, -1, 0]])
    times = csr_matrix(np.array([[20.0, 30, 10], [40, 5, 6], [0, 1, 0], [1, 2, 0]]))
    split = leave_last_out(interactions, times)
    assert dense(split.test) == [[2, 0, 0], [0, 0, 3], [0, 0, 0], [0, 0, 0]]
    assert dense(split.history) == [[0, 0, 1], [0, 1, 0], [0, 2, 0], [-1, -1, 0]]
    assert dense(split.train) == dense(split.history)
    assert split.now is not None
    np.testing.assert_array_equal(split.now, [20, 6, np.nan, np.nan])


@pytest.mark.parametrize("divide", [leave_last_out, split_by_time])
def test_among_films_of_the_same_second_the_order_of_the_catalogue_tells_nothing(
    divide: Callable[[csr_matrix, csr_matrix], Split],
) -> None:
    """Each of 1,000 users likes two films at the split's end; each is the test of about half."""
    interactions = csr(np.ones((1000, 10)))
    split = divide(interactions, csr_matrix(np.tile([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 9], (1000, 1))))
    tests = np.bincount(split.test.indices, minlength=10)
    assert tests[:8].sum() == 0
    assert tests.sum() == 1000
    assert 440 < tests[8] < 560
    assert split.now is not None
    assert (split.now == 9).all()


def test_the_time_of_a_list_is_that_of_the_first_test_interaction() -> None:
    interactions = csr(np.ones((2, 10)))
    times = csr_matrix(np.arange(1.0, 21).reshape(2, 10))
    split = split_by_time(interactions, times, test_share=0.2)
    assert split.now is not None
    np.testing.assert_array_equal(split.now, [np.nan, 19])
    short = with_short_histories(split)
    assert short.now is not None
    np.testing.assert_array_equal(short.now, np.tile(split.now, 4))
    assert strong_generalisation(interactions, times).now is None


def test_negatives_are_films_that_the_user_never_touched() -> None:
    interactions, times = random_matrices()
    split = leave_one_out(interactions, times, n_negatives=5)
    assert split.negatives is not None
    assert split.negatives.multiply(interactions).nnz == 0
    judged = np.diff(split.test.indptr) > 0
    assert np.diff(split.negatives.indptr)[judged].tolist() == [5] * judged.sum()
    assert np.diff(split.negatives.indptr)[~judged].sum() == 0
    assert split.negatives.has_canonical_format
    assert dense(split.test) == dense(leave_last_out(interactions, times).test)
    other = leave_one_out(interactions, times, n_negatives=5, seed=2).negatives
    assert other is not None
    assert dense(split.negatives) != dense(other)


def test_every_untouched_film_is_as_likely_a_negative() -> None:
    """1,000 users, 2 of 9 films each: a film is drawn 222 times, with a deviation of 13."""
    interactions = csr(np.tile([1, 1] + [0] * 9, (1000, 1)))
    negatives = leave_one_out(interactions, interactions.astype(float), n_negatives=2).negatives
    assert negatives is not None
    counts = np.bincount(negatives.indices, minlength=11)
    assert counts[:2].tolist() == [0, 0]
    assert (np.abs(counts[2:] - 2000 / 9) < 60).all()


def test_all_films_are_negatives_when_there_are_few() -> None:
    interactions = csr([[1, 1, 0, 0], [1, 1, 1, 1]])
    split = leave_one_out(interactions, interactions.astype(np.float64))
    assert split.negatives is not None
    assert dense(split.negatives) == [[0, 0, 1, 1], [0, 0, 0, 0]]


def test_negatives_can_be_given() -> None:
    interactions = csr([[1, 1, 0, 0]])
    given_ones = csr([[0, 0, 0, 1]])
    split = leave_one_out(interactions, interactions.astype(np.float64), negatives=given_ones)
    assert split.negatives is given_ones


# --- strangers


def test_held_out_viewers_are_not_in_training() -> None:
    interactions, times = random_matrices()
    split = strong_generalisation(interactions, times)
    strangers = np.diff(split.history.indptr) > 0
    assert strangers.sum() == 8
    assert split.train[strangers].nnz == 0
    assert dense(split.train[~strangers]) == dense(interactions[~strangers])
    together = split.history + split.test
    assert dense(together[strangers]) == dense(interactions[strangers])


@pytest.mark.parametrize(
    ("n_films", "n_tested"), [(1, 0), (2, 1), (5, 1), (7, 1), (8, 2), (10, 2), (100, 20)]
)
def test_a_fifth_of_a_strangers_films_is_the_test(n_films: int, n_tested: int) -> None:
    interactions = csr(np.ones((1, n_films)))
    times = interactions.astype(np.float64)
    split = strong_generalisation(interactions, times, users_share=1)
    assert (split.test.nnz, split.history.nnz) == (n_tested, n_films - n_tested)


def test_which_films_are_folded_in_is_drawn() -> None:
    interactions = csr(np.ones((30, 10)))
    split = strong_generalisation(interactions, interactions.astype(np.float64), users_share=1)
    assert len(np.unique(split.test.indices)) == 10


# --- short histories


def test_each_viewer_is_judged_again_by_the_last_films_of_the_history() -> None:
    n_films = 16
    interactions = csr([[*range(1, n_films + 1)], [0, 5, *[0] * 14]])
    times = interactions.astype(np.float64)
    split = leave_last_out(interactions, times)
    found = with_short_histories(split)
    whole = [*range(1, n_films)]  # the last one is the test
    of_first = [found.history[row].data.tolist() for row in (0, 2, 4, 6)]
    assert of_first == [whole, whole[-1:], whole[-3:], whole[-10:]]
    assert [found.history_times[row].data.tolist() for row in (0, 2, 4, 6)] == of_first
    assert [found.history[row].data.tolist() for row in (1, 3, 5, 7)] == [[5]] * 4
    assert dense(found.test) == dense(split.test) * 4
    assert dense(found.train[:2]) == dense(split.train)
    assert found.train.shape == found.train_times.shape == (8, n_films)
    assert found.train.nnz == split.train.nnz
    assert found.touched is not None
    assert dense(found.touched) == dense(split.history) * 4


# --- cold films


def test_cold_films_are_the_candidates_and_not_in_training() -> None:
    interactions, times = random_matrices()
    split = cold_items(interactions, times)
    assert split.candidates is not None
    assert split.candidates.sum() == 6
    for known in (split.train, split.history):
        assert not split.candidates[known.indices].any()
        assert known.nnz + split.test.nnz == interactions.nnz
    assert split.candidates[split.test.indices].all()


def test_the_newest_films_are_withheld() -> None:
    """A fifth of five that somebody has touched; 5, the newest of all, is none of them."""
    interactions = csr([[1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 0]])
    ages = np.array([2001, 1999, 2010, 1980, 2010, 2020])
    split = cold_items(interactions, interactions.astype(np.float64), age=ages)
    assert split.candidates is not None
    assert np.flatnonzero(split.candidates).tolist() == [4]
    assert dense(split.test) == [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]]
