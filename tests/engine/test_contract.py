"""The contract of every algorithm. This file tests a new one in the registry as it stands."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine import artifacts
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.algorithms.hybrid import Composite
from recommendations.engine.algorithms.neural import has_torch
from recommendations.engine.matrices import Scores
from recommendations.engine.recommender import HistoryShapeError, NotFittedError, Recommender
from tests.engine.camps import (
    CAMP_ITEMS,
    N_ITEMS,
    N_USERS,
    csr,
    data_of,
    explainer,
    two_camps,
    withheld_item,
)

pytestmark = pytest.mark.every_python


def each(names: Iterable[str]) -> pytest.MarkDecorator:
    """Skips, and says so, what cannot be trained here."""
    without_torch = pytest.mark.skipif(not has_torch(), reason="PyTorch is not installed")
    return pytest.mark.parametrize(
        "name",
        [pytest.param(name, marks=[without_torch] * (name == "neural")) for name in sorted(names)],
    )


every = each(ALGORITHMS)
personal = each(ALGORITHMS.keys() - {"popularity"})

weights = st.sampled_from([0, 0, 0, -3, -2, -1, 0.5, 1, 2, 3])
histories = arrays(np.float32, st.tuples(st.integers(1, 4), st.just(N_ITEMS)), elements=weights)


@cache
def fitted(name: str) -> Recommender:
    """The model fitted on the two camps with the default settings; tests must not fit it again."""
    return two_camps().fit(ALGORITHMS[name]())


def signed_matrix(*, n_users: int = 30, n_items: int = 12, seed: int = 1) -> csr_matrix:
    """Random weights of every kind on a third of the places."""
    random = np.random.default_rng(seed)
    values = random.choice([-3, -2, -1, 0.5, 1, 2, 3], size=(n_users, n_items))
    return csr(values * (random.random((n_users, n_items)) < 1 / 3))


def best_unseen(scores: Scores, seen: NDArray[np.int32]) -> int:
    left = np.where(np.isnan(scores), -np.inf, scores)
    left[seen] = -np.inf
    return int(left.argmax())


@every
def test_the_registry_names_and_describes_it(name: str) -> None:
    assert ALGORITHMS[name].name == name
    assert ALGORITHMS[name].description.endswith(".")


@personal
def test_the_withheld_movie_ranks_first(name: str) -> None:
    """The data have 20 users and 10 items; the settings are the default ones."""
    likes = two_camps().interactions
    scores = fitted(name).score(likes)
    for user in range(N_USERS):
        assert best_unseen(scores[user], likes[user].indices) == withheld_item(user)


@personal
def test_a_new_viewer_with_one_like_is_shown_that_camp(name: str) -> None:
    scores = fitted(name).score(csr(np.eye(N_ITEMS)))
    for item in range(N_ITEMS):
        camp = item // CAMP_ITEMS
        assert best_unseen(scores[item], np.array([item], dtype=np.int32)) // CAMP_ITEMS == camp


def test_popularity_ranks_the_more_popular_of_the_unseen_first() -> None:
    likes = csr([[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]])
    scores = data_of(likes).fit(ALGORITHMS["popularity"]()).score(csr([[0, 0, 0, 1]]))
    assert (np.argsort(-scores[0])[1:] == [2, 1, 0]).all()


@every
@given(history=histories)
@settings(max_examples=40)
def test_scores_are_float32_finite_or_nan_and_each_row_stands_for_itself(
    name: str, history: NDArray[np.float32]
) -> None:
    recommender = fitted(name)
    scores = recommender.score(csr(history))
    assert scores.shape == history.shape
    assert scores.dtype == np.float32
    assert not np.isinf(scores).any()
    # Normalising enlarges the rounding of a part with nearly equal scores.
    atol = 5e-3 if isinstance(recommender, Composite) else 1e-6
    for row, alone in zip(scores, history, strict=True):
        np.testing.assert_allclose(row, recommender.score(csr([alone]))[0], rtol=1e-5, atol=atol)


@every
@given(history=histories)
@settings(max_examples=40)
def test_contributions_sum_to_the_score(name: str, history: NDArray[np.float32]) -> None:
    """The contributions of an algorithm that can tell them."""
    recommender, items = fitted(name), np.arange(N_ITEMS)
    row = csr(history[:1])
    parts = explainer(recommender, row).contributions(items)
    if parts is not None:
        assert parts.shape == (N_ITEMS, row.nnz)
        np.testing.assert_allclose(parts.sum(axis=1), recommender.score(row)[0], atol=1e-5)


@every
@given(history=histories)
@settings(max_examples=20)
def test_scores_without_an_entry_are_those_of_a_history_without_it(
    name: str, history: NDArray[np.float32]
) -> None:
    recommender, row = fitted(name), csr(history[:1])
    times = csr_matrix(
        (1.7e9 + 3600.0 * (7 * row.indices % N_ITEMS), row.indices, row.indptr), shape=row.shape
    )
    items = np.array([7, 2, 3])
    found = explainer(recommender, row, times).without(np.arange(row.nnz), items)
    assert found.scores.shape == (1 + row.nnz, len(items))
    assert found.least.shape == found.greatest.shape == (1 + row.nnz,)
    for without, scores in enumerate(found.scores, start=-1):
        kept = np.arange(row.nnz) != without
        left, their_times = (
            csr_matrix((of.data[kept], row.indices[kept], [0, kept.sum()]), shape=row.shape)
            for of in (row, times)
        )
        atol = 5e-3 if isinstance(recommender, Composite) else 1e-5
        expected = recommender.score(left, their_times)[0]
        np.testing.assert_allclose(scores, expected[items], rtol=1e-4, atol=atol)
        if not np.isnan(expected).all():
            ends = found.least[1 + without], found.greatest[1 + without]
            limits = np.nanmin(expected), np.nanmax(expected)
            np.testing.assert_allclose(ends, limits, rtol=1e-4, atol=atol)


@every
def test_the_order_of_a_historys_entries_does_not_matter(name: str) -> None:
    sorted_row = csr([[2, 0, -1, 3] + [0] * (N_ITEMS - 4)])
    shuffled = csr_matrix(
        (sorted_row.data[[2, 0, 1]], sorted_row.indices[[2, 0, 1]], sorted_row.indptr),
        shape=sorted_row.shape,
    )
    expected = fitted(name).score(sorted_row)
    np.testing.assert_allclose(fitted(name).score(shuffled), expected, rtol=1e-5)


@every
def test_the_same_seed_gives_the_same_result(name: str) -> None:
    data = data_of(signed_matrix())
    first, second = (data.fit(ALGORITHMS[name]()).score(data.interactions) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@every
def test_a_second_fit_replaces_the_first(name: str) -> None:
    data = data_of(signed_matrix(n_items=N_ITEMS))
    again = two_camps().fit(data.fit(ALGORITHMS[name]()))
    history = two_camps().interactions
    np.testing.assert_array_equal(again.score(history), fitted(name).score(history))


@every
def test_neither_fitting_nor_scoring_changes_its_input(name: str) -> None:
    data = data_of(signed_matrix())
    assert data.items
    before = [matrix.copy() for matrix in (data.interactions, data.times, data.items.matrix)]
    data.update(data.fit(ALGORITHMS[name]())).score(data.interactions)
    for matrix, copy in zip(
        (data.interactions, data.times, data.items.matrix), before, strict=True
    ):
        np.testing.assert_array_equal(matrix.data, copy.data)
        np.testing.assert_array_equal(matrix.indices, copy.indices)


@every
def test_arrays_carry_the_whole_model(name: str) -> None:
    history = signed_matrix(n_items=N_ITEMS)
    copy = ALGORITHMS[name].from_arrays(fitted(name).to_arrays())
    np.testing.assert_array_equal(copy.score(history), fitted(name).score(history))


@every
def test_a_saved_model_scores_the_same_from_files_mapped_read_only(
    name: str, tmp_path: Path
) -> None:
    history = signed_matrix(n_items=N_ITEMS)
    artifacts.save(tmp_path / "release", fitted(name).to_arrays(), {})
    loaded, _ = artifacts.load(tmp_path / "release")
    assert not any(array.flags.writeable for array in loaded.values())
    copy = ALGORITHMS[name].from_arrays(loaded)
    np.testing.assert_array_equal(copy.score(history), fitted(name).score(history))


@personal
@pytest.mark.parametrize("weight", [0, -2], ids=["empty", "only dislikes"])
def test_a_history_without_likes_has_no_scores(name: str, weight: float) -> None:
    assert np.isnan(fitted(name).score(csr([[weight] * 3 + [0] * (N_ITEMS - 3)]))).all()


@every
def test_no_rows_give_no_scores(name: str) -> None:
    assert fitted(name).score(csr(np.zeros((0, N_ITEMS)))).shape == (0, N_ITEMS)


@every
def test_an_item_without_interactions_has_no_score(name: str) -> None:
    untouched = [2, 7]
    likes = two_camps().interactions.toarray()
    likes[:, untouched] = 0
    recommender = data_of(csr(likes)).without_features().fit(ALGORITHMS[name]())
    # An item that the model does not know is no evidence either.
    history = csr([[1, 1] + [0] * (N_ITEMS - 2), [1, 1, 1] + [0] * (N_ITEMS - 3)])
    scores = recommender.score(history)
    assert np.isnan(scores[:, untouched]).all()
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-6)


@every
@pytest.mark.parametrize("shape", [(1, 1), (1, N_ITEMS), (N_USERS, 1)], ids=str)
def test_one_user_and_one_item_are_enough(name: str, shape: tuple[int, int]) -> None:
    likes = csr(np.ones(shape))
    scores = data_of(likes).fit(ALGORITHMS[name]()).score(likes)
    assert scores.shape == shape
    assert not np.isinf(scores).any()


@every
@pytest.mark.parametrize("shape", [(N_USERS, N_ITEMS), (0, N_ITEMS), (N_USERS, 0), (0, 0)], ids=str)
def test_a_model_fitted_without_interactions_has_no_scores(
    name: str, shape: tuple[int, int]
) -> None:
    nothing = csr(np.zeros(shape))
    recommender = data_of(nothing).without_features().fit(ALGORITHMS[name]())
    recommender = ALGORITHMS[name].from_arrays(recommender.to_arrays())
    scores = recommender.score(csr(np.ones((2, shape[1]))))
    assert scores.shape == (2, shape[1])
    assert np.isnan(scores).all()


@every
def test_items_are_like_each_other_by_the_camps_that_like_them(name: str) -> None:
    """The similarities of an algorithm that can tell them."""
    recommender = fitted(name)
    for item in range(N_ITEMS):
        likeness = recommender.similar_items(item)
        if likeness is None:
            continue
        assert likeness.shape == (N_ITEMS,)
        assert likeness.dtype == np.float32
        assert likeness[item] == pytest.approx(1, abs=1e-5)
        assert (np.abs(likeness) <= 1).all()
        own_camp = np.arange(N_ITEMS) // CAMP_ITEMS == item // CAMP_ITEMS
        assert likeness[own_camp].min() > likeness[~own_camp].max()
        for other in range(N_ITEMS):
            back = recommender.similar_items(other)
            assert back is not None
            assert back[item] == pytest.approx(likeness[other], abs=1e-5)


@every
def test_an_item_with_few_likes_has_no_similar_items(name: str) -> None:
    untouched, disliked, one_viewers_own = 2, 7, [3, 8]
    likes = two_camps().interactions.toarray()
    likes[:, untouched] = 0
    likes[:, disliked] = -2
    likes[1:, one_viewers_own] = 0
    likes[0, one_viewers_own] = 3
    recommender = data_of(csr(likes)).without_features().fit(ALGORITHMS[name]())
    copy = ALGORITHMS[name].from_arrays(recommender.to_arrays())
    unliked = np.isin(np.arange(N_ITEMS), [untouched, disliked, *one_viewers_own])
    for item in range(N_ITEMS):
        likeness = copy.similar_items(item)
        if likeness is not None:
            assert (np.isnan(likeness) == (unliked | unliked[item])).all()


@every
def test_weights_of_zero_are_no_evidence(name: str) -> None:
    """A rating in the middle of the scale is stored with such a weight."""
    zeros = two_camps().interactions
    zeros.data[:] = 0
    recommender = data_of(zeros).without_features().fit(ALGORITHMS[name]())
    scores = recommender.score(two_camps().interactions)
    assert not np.isinf(scores).any()
    np.testing.assert_allclose(np.nan_to_num(scores), 0, atol=1e-20)


@every
def test_items_permuted_are_scores_permuted(name: str) -> None:
    data = two_camps()
    order = np.random.default_rng(5).permutation(N_ITEMS)
    permuted = data.of_items(order)
    scores = permuted.fit(ALGORITHMS[name]()).score(permuted.interactions)
    expected = fitted(name).score(data.interactions)[:, order]
    np.testing.assert_allclose(scores, expected, atol=0.01)


@every
@pytest.mark.parametrize("n_items", [0, N_ITEMS - 1, N_ITEMS + 1])
def test_a_history_of_another_catalogue_is_refused(name: str, n_items: int) -> None:
    with pytest.raises(HistoryShapeError):
        fitted(name).score(csr(np.zeros((1, n_items))))


@every
def test_nothing_is_scored_or_saved_before_fitting(name: str) -> None:
    with pytest.raises(NotFittedError):
        ALGORITHMS[name]().score(two_camps().interactions)
    with pytest.raises(NotFittedError):
        ALGORITHMS[name]().to_arrays()
    if fitted(name).similar_items(0) is not None:
        with pytest.raises(NotFittedError):
            ALGORITHMS[name]().similar_items(0)


@personal
def test_an_update_learns_from_new_interactions(name: str) -> None:
    """After the update both camps have liked what one camp alone had liked before."""
    full = two_camps()
    early = full.interactions.copy()
    early.data[early.indptr[N_USERS // 2] :] = 0
    early.eliminate_zeros()
    recommender = full.update(data_of(early).fit(ALGORITHMS[name]()))
    scores = recommender.score(full.interactions)
    for user in range(N_USERS):
        seen = full.interactions[user].indices
        assert best_unseen(scores[user], seen) == withheld_item(user)


@every
def test_an_update_of_an_unfitted_model_fits_it(name: str) -> None:
    data, history = two_camps(), two_camps().interactions
    for recommender in (
        ALGORITHMS[name](),
        ALGORITHMS[name].from_arrays(fitted(name).to_arrays()),
    ):
        updated = data.update(recommender)
        np.testing.assert_array_equal(updated.score(history), fitted(name).score(history))


@every
def test_progress_rises_to_the_whole(name: str) -> None:
    """The progress of an algorithm that reports it."""
    shares: list[float] = []
    recommender = ALGORITHMS[name]()
    recommender.on_progress = shares.append
    two_camps().fit(recommender)
    assert shares == sorted(shares)
    assert not shares or (shares[0] >= 0 and shares[-1] == 1)
