"""Folding in held against the paper's criterion, and training against its own promises."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms.bpr import BprRecommender
from tests.engine.camps import CAMP_ITEMS, csr, two_camps

ROOT = Path(__file__).resolve().parents[2]


@cache
def likes() -> csr_matrix:
    """60 users by 40 items of unequal fame."""
    random = np.random.default_rng(7)
    return csr(random.random((60, 40)) < np.linspace(0.6, 0.05, 40))


def criterion(arrays: dict[str, NDArray[np.float64]], vector: NDArray[np.float64]) -> float:
    """Section 4.1 of the paper, for the user of the first row: the mean over all pairs."""
    scores = arrays["item_factors"] @ vector + arrays["biases"]
    ahead = scores[likes()[0].indices][:, None] - scores[arrays["rivals"]]
    fit = -np.log1p(np.exp(-ahead)).mean()
    return float(fit - arrays["regularization"][0] / 2 * vector @ vector)


def test_a_folded_in_vector_is_the_best_by_the_papers_criterion() -> None:
    recommender = BprRecommender(factors=8, iterations=100).fit(likes())
    arrays = {
        name: np.array(array, dtype=np.float64) for name, array in recommender.to_arrays().items()
    }
    arrays["rivals"] = arrays["rivals"].astype(np.intp)
    told = recommender.score(likes()[:1])[0] - arrays["biases"] - arrays["fame"]
    vector = np.linalg.lstsq(arrays["item_factors"], told, rcond=None)[0]
    best = criterion(arrays, vector)
    assert best > criterion(arrays, np.zeros(8)) + 0.01
    for nudge in np.vstack([np.eye(8), -np.eye(8)]) * 0.05:
        assert criterion(arrays, vector + nudge) < best


def test_what_is_liked_by_more_comes_first_where_taste_does_not_tell() -> None:
    """`implicit` alone would rank by taste beyond fame, and so the rare first."""
    scores = BprRecommender().fit(likes()).score(likes())
    fame = np.bincount(likes().indices, minlength=40)
    assert np.corrcoef(scores.mean(axis=0), fame)[0, 1] > 0.8


def test_items_in_another_order_are_learned_the_same() -> None:
    order = np.random.default_rng(5).permutation(40)
    first = BprRecommender().fit(likes()).score(likes())
    second = BprRecommender().fit(likes()[:, order]).score(likes()[:, order])
    np.testing.assert_allclose(second, first[:, order], atol=1e-4)


def test_another_seed_gives_the_same_order_of_camps() -> None:
    data = two_camps()
    for seed in range(5):
        scores = data.fit(BprRecommender(seed=seed)).score(data.interactions[:1])[0]
        assert scores[:CAMP_ITEMS].min() > scores[CAMP_ITEMS:].max()


def test_dislikes_are_not_read() -> None:
    recommender = two_camps().fit(BprRecommender())
    history = csr([[2, 0, 1, 0, 0, 0, 0, 0, 0, 0], [1, 0, 1, 0, 0, -3, 0, 0, 0, 0]])
    scores = recommender.score(history)
    np.testing.assert_array_equal(scores[0], scores[1])


@pytest.mark.parametrize(("n_likes", "iterations"), [(100, 120), (100_000, 60), (10**6, 30)])
def test_the_more_data_the_fewer_iterations(n_likes: int, iterations: int) -> None:
    assert BprRecommender()._iterations(n_likes) == iterations
    assert BprRecommender(iterations=5)._iterations(n_likes) == 5


def test_serving_does_not_import_implicit() -> None:
    script = (
        "import sys; from recommendations.engine.algorithms.bpr import BprRecommender;"
        "assert 'implicit' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_too_many_interactions_are_an_obstacle_that_is_named() -> None:
    likes = two_camps().interactions
    assert BprRecommender(max_interactions=likes.nnz).obstacle(likes) is None
    obstacle = BprRecommender(max_interactions=likes.nnz - 1).obstacle(likes)
    assert obstacle is not None
    assert f"{likes.nnz} are more than {likes.nnz - 1}" in obstacle
