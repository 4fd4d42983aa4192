"""User neighbours held against the same sum over dense matrices."""

from __future__ import annotations

import numpy as np
import pytest

from recommendations.engine.algorithms._item_weights import RARITY
from recommendations.engine.algorithms.user_knn import UserKnnRecommender
from tests.engine.camps import Float64, csr, liked, ratings


def long_way(history: Float64, *, neighbours: int, sharpness: float, shrinkage: float) -> Float64:
    likes = liked(ratings())
    rareness = np.log(61 / (likes > 0).sum(axis=0))
    ours, theirs = history * rareness, likes * rareness
    shrunk = shrinkage * (theirs[likes > 0] ** 2).mean()
    lengths = np.linalg.norm(ours, axis=1)[:, None] * np.linalg.norm(theirs, axis=1)
    likeness = ours @ theirs.T / (lengths + shrunk)
    likeness[likeness < np.sort(likeness, axis=1)[:, [-neighbours]]] = 0
    shares = likeness**sharpness / np.sqrt((likes > 0).sum(axis=1))
    return np.asarray(shares @ likes / ((likes > 0).sum(axis=0) + RARITY) ** 0.2)


@pytest.mark.parametrize("neighbours", [1, 7, 60])
def test_the_scores_are_those_of_the_sum_over_the_nearest(neighbours: int) -> None:
    knn = UserKnnRecommender(neighbours=neighbours, sharpness=2, shrinkage=3).fit(ratings())
    mean = ratings().data[ratings().data > 0].mean()
    new = ratings(seed=11)
    history = np.sqrt(np.maximum(new.toarray(), 0) / mean)
    expected = long_way(history, neighbours=neighbours, sharpness=2, shrinkage=3)
    np.testing.assert_allclose(knn.score(new), expected, rtol=2e-3, atol=1e-5)


def test_dislikes_are_ignored() -> None:
    without = csr(np.maximum(ratings().toarray(), 0))
    expected = UserKnnRecommender().fit(without).score(without)
    np.testing.assert_allclose(UserKnnRecommender().fit(ratings()).score(ratings()), expected)


def test_a_viewer_without_neighbours_has_equal_scores() -> None:
    """There are no neighbours: all films are alike, and known."""
    likes = csr(np.diag([1, 2, 3]))
    scores = UserKnnRecommender().fit(likes).score(likes)
    assert not scores[~np.eye(3, dtype=bool)].any()


def test_settings_of_the_fit_stay_with_the_arrays() -> None:
    knn = UserKnnRecommender(neighbours=3, sharpness=1, shrinkage=7).fit(ratings())
    copy = UserKnnRecommender.from_arrays(knn.to_arrays())
    np.testing.assert_array_equal(copy.score(ratings()), knn.score(ratings()))


def test_given_settings_replace_searched_ones() -> None:
    settings = UserKnnRecommender(sharpness=1.5).settings_for(ratings())
    assert settings == {"neighbours": 100, "sharpness": 1.5}


def test_too_many_interactions_are_an_obstacle_that_is_named() -> None:
    n = ratings().nnz
    assert UserKnnRecommender(max_interactions=n).obstacle(ratings()) is None
    obstacle = UserKnnRecommender(max_interactions=n - 1).obstacle(ratings())
    assert obstacle is not None
    assert obstacle.endswith(f"{n} are more than {n - 1}.")
