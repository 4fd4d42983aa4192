"""EASE held against the paper's formula, and what comes before and after it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import LinAlgError
from scipy.sparse import csr_matrix, hstack

from recommendations.engine import fit_cost, matrices
from recommendations.engine.algorithms._item_weights import RARITY
from recommendations.engine.algorithms.ease import EaseRecommender, gram, invert, invert_by_users
from tests.engine.camps import csr, explainer, liked, ratings


def test_the_scores_are_those_of_the_papers_formula() -> None:
    """Equation 8 of Steck (2019), with nothing added to it."""
    likes = liked(ratings())
    inverse = np.linalg.inv(likes.T @ likes + 20 * np.eye(25))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    ease = EaseRecommender(regularization=20, dropout=0, damping=0).fit(ratings())
    np.testing.assert_allclose(ease.score(ratings()), likes @ weights, atol=1e-4)


def test_dropout_is_least_squares_over_partly_hidden_histories() -> None:
    """Each column solves the least squares over histories in which entries are hidden by chance."""
    likes = liked(ratings(n_users=8, n_items=5))
    shown = np.array([[mask >> item & 1 for item in range(5)] for mask in range(32)])
    chance = np.prod(np.where(shown, 0.75, 0.25), axis=1)
    expected = np.zeros((5, 5))
    for target in range(5):
        others = np.arange(5) != target
        left, right = np.eye(4) * 2 * 0.75**2, np.zeros(4)
        for mask, weight in zip(shown, chance, strict=True):
            seen = (likes * mask)[:, others]
            left += weight * seen.T @ seen
            right += weight * seen.T @ likes[:, target]
        # Shown are 75%: a whole history says that much more than what was learned from.
        expected[others, target] = np.linalg.solve(left, right) * 0.75
    ease = EaseRecommender(regularization=2, dropout=0.25, damping=0)
    scores = ease.fit(ratings(n_users=8, n_items=5)).score(csr(np.eye(5)))
    mean = liked_mean(8, 5)
    np.testing.assert_allclose(scores * np.sqrt(mean), expected, atol=1e-4)


def liked_mean(n_users: int, n_items: int) -> float:
    weights = ratings(n_users=n_users, n_items=n_items).data
    return float(weights[weights > 0].mean())


def test_activity_weights_and_regularisation_shrink_by_the_same_share() -> None:
    likes = liked(ratings())
    lengths = np.maximum((likes > 0).sum(axis=1), 1)
    mean = lengths[likes.any(axis=1)].mean()
    weighted = likes.T @ (likes * np.sqrt(mean / lengths)[:, None])
    share = np.trace(weighted) / np.trace(likes.T @ likes)
    diagonal = 20 * share + 0.5 * np.diag(weighted)
    inverse = np.linalg.inv(weighted + np.diag(diagonal))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    ease = EaseRecommender(regularization=20, damping=0, activity=0.5).fit(ratings())
    np.testing.assert_allclose(ease.score(ratings()), likes @ weights, atol=1e-4)


def test_by_default_activity_matters_with_many_likes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    few, weighted = (
        EaseRecommender(activity=power).fit(ratings()).score(ratings()) for power in (0.0, 0.5)
    )
    np.testing.assert_array_equal(EaseRecommender().fit(ratings()).score(ratings()), few)
    monkeypatch.setattr("recommendations.engine.algorithms.ease.MANY_LIKES", 100)
    np.testing.assert_array_equal(EaseRecommender().fit(ratings()).score(ratings()), weighted)
    assert np.abs(weighted - few).max() > 1e-3


def test_damping_divides_by_a_power_of_the_viewers() -> None:
    plain = EaseRecommender(damping=0).fit(ratings()).score(ratings())
    damped = EaseRecommender(damping=0.5).fit(ratings()).score(ratings())
    viewers = (ratings().toarray() > 0).sum(axis=0)
    np.testing.assert_allclose(damped, plain / np.sqrt(viewers + RARITY), rtol=1e-4, atol=1e-7)


def test_dislikes_are_ignored_in_fitting_and_in_histories() -> None:
    without = csr(np.maximum(ratings().toarray(), 0))
    expected = EaseRecommender().fit(without).score(without)
    np.testing.assert_allclose(EaseRecommender().fit(ratings()).score(ratings()), expected)


def test_films_that_nobody_has_liked_change_nothing_for_the_others() -> None:
    padded = np.insert(ratings().toarray(), [0, 7], 0, axis=1)
    padded[0, 0] = -1  # touched, and disliked
    scores = EaseRecommender().fit(csr(padded)).score(csr(padded))
    expected = EaseRecommender().fit(ratings()).score(ratings())
    np.testing.assert_allclose(np.delete(scores, [0, 8], axis=1), expected, rtol=1e-4, atol=1e-6)
    assert not scores[:, 0].any()
    assert np.isnan(scores[:, 8]).all()


def test_contributions_are_of_the_items_asked_for_in_their_order() -> None:
    ease = EaseRecommender().fit(ratings())
    history, items = ratings(seed=5)[2], np.array([9, 3, 3])
    parts = explainer(ease, history).contributions(items)
    assert parts is not None
    assert parts.shape == (3, history.nnz)
    assert not parts[:, history.data < 0].any()
    np.testing.assert_allclose(parts.sum(axis=1), ease.score(history)[0, items], atol=1e-5)


def test_the_regularization_grows_with_the_root_of_the_likes() -> None:
    million = csr(np.ones((1000, 1000)))
    assert EaseRecommender().settings_for(million)["regularization"] == pytest.approx(800)
    assert EaseRecommender().settings_for(million[:10])["regularization"] == pytest.approx(80)
    given = EaseRecommender(regularization=7).settings_for(million)
    assert given == {"regularization": 7, "damping": 0.2}


def likes_of_a_size(*, films: int, viewers: int, each: int) -> csr_matrix:
    """Each viewer likes so many films in a row; each film has a viewer."""
    starts = np.linspace(0, films - each, viewers).astype(np.int64)
    items = (starts[:, None] + np.arange(each)).ravel().astype(np.int32)
    ends = np.arange(viewers + 1) * each
    return csr_matrix((np.ones(len(items), np.float32), items, ends), shape=(viewers, films))


def test_the_cost_is_estimated_from_likes_and_films() -> None:
    """A film site with 12,779 films and 6.9 million likes takes seconds, and less than 2 GB."""
    cost = EaseRecommender().fit_cost(likes_of_a_size(films=12_779, viewers=40_640, each=170))
    # 12,779³ / 100e9 + 40,640 · 170² · 5e-9
    assert cost.seconds == pytest.approx(20.87 + 5.87, abs=0.1)
    assert cost.bytes == 3 * 4 * 12_779**2
    likes = likes_of_a_size(films=100, viewers=10, each=10)
    half = csr_matrix(hstack([likes, csr(np.zeros((10, 100)))]))
    assert EaseRecommender().fit_cost(half).seconds == EaseRecommender().fit_cost(likes).seconds
    assert EaseRecommender().fit_cost(half).bytes == 4 * EaseRecommender().fit_cost(likes).bytes


def test_the_limits_on_memory_and_time_admit_12779_films(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = likes_of_a_size(films=12_779, viewers=40_640, each=170)
    monkeypatch.setattr(fit_cost, "machine_bytes", lambda: 8e9)
    assert EaseRecommender().obstacle(site) is None
    monkeypatch.setattr(fit_cost, "machine_bytes", lambda: 3e9)
    assert EaseRecommender().obstacle(site) == (
        "Fitting would take about 2.0 GB of memory, "
        "more than the 1.5 GB that one fit may take on this machine."
    )
    large = likes_of_a_size(films=25_000, viewers=13_000, each=10)
    assert EaseRecommender().obstacle(large) == (
        "Fitting would take about 156 s, longer than 120 s."
    )


def test_weights_that_were_saved_are_not_copied() -> None:
    arrays = EaseRecommender().fit(ratings()).to_arrays()
    again = EaseRecommender.from_arrays(arrays).to_arrays()
    assert all(np.shares_memory(again[name], arrays[name]) for name in ("weights", "known"))


@pytest.mark.parametrize("block_size", [1, 60, 10_000])
def test_products_and_inverse_are_the_same_in_blocks_of_any_size(
    block_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrices, "BLOCK_SIZE", block_size)
    likes = liked(ratings())
    products = gram(csr(likes))
    np.testing.assert_allclose(products, likes.T @ likes, rtol=1e-5)
    np.einsum("ii->i", products)[:] += 3
    expected = np.linalg.inv(products.astype(np.float64))
    np.testing.assert_allclose(invert(products), expected, atol=1e-5)


def test_few_viewers_and_many_films_have_the_same_inverse_by_the_smaller_system() -> None:
    likes = liked(ratings())[:6]
    added = np.linspace(1, 5, likes.shape[1]).astype(np.float32)
    expected = np.linalg.inv(likes.T.astype(np.float64) @ likes + np.diag(added))
    np.testing.assert_allclose(invert_by_users(csr(likes), added), expected, atol=1e-5)


@pytest.mark.parametrize("users", [5, 12])
def test_weights_are_the_same_by_either_system(users: int, monkeypatch: pytest.MonkeyPatch) -> None:
    some = ratings()[:users]
    weights = []
    for few in (0, users):
        monkeypatch.setattr("recommendations.engine.algorithms.ease.FEW_USERS", few)
        weights.append(np.asarray(EaseRecommender().fit(some).learned().weights))
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-5)
    assert np.abs(weights[0]).max() > 0.01


def test_a_singular_matrix_is_refused() -> None:
    with pytest.raises(LinAlgError, match="regularization"):
        invert(np.zeros((3, 3), dtype=np.float32))
