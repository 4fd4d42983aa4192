"""SLIM: the weights solve the elastic net that they are said to solve."""

from __future__ import annotations

import numpy as np

from recommendations.engine.algorithms.slim import SlimRecommender
from tests.engine.camps import csr
from tests.engine.linear import Float64, liked, ratings


def weights_of(slim: SlimRecommender, n_items: int) -> Float64:
    """(n_items, n_items), from what single likes of weight 1 score."""
    data = ratings().data
    scores = slim.score(csr(np.eye(n_items))).astype(np.float64)
    return np.asarray(scores * np.sqrt(data[data > 0].mean()))


def test_no_weight_could_be_moved_for_the_better() -> None:
    """Karush, Kuhn and Tucker: no slope where a weight is, none downwards where there is none."""
    likes = liked(ratings())
    slim = SlimRecommender(
        regularization=10, sparsity=0.2, dropout=0.5, damping=0, iterations=400
    ).fit(ratings())
    weights = weights_of(slim, 25)
    products = likes.T @ likes
    ridge = 10 + np.diag(products)
    slope = products @ weights - products + ridge[:, None] * weights + 0.2 * 10
    others = ~np.eye(25, dtype=bool)
    used = others & (weights > 0)
    assert 10 < used.sum() < others.sum() / 2
    np.testing.assert_allclose(slope[used], 0, atol=2e-2)
    assert slope[others & ~used].min() > -2e-2


def test_the_default_number_of_sweeps_comes_close() -> None:
    few = SlimRecommender().fit(ratings())
    many = SlimRecommender(iterations=400).fit(ratings())
    np.testing.assert_allclose(weights_of(few, 25), weights_of(many, 25), atol=2e-3)


def test_weights_are_not_negative_and_fewer_the_more_sparsity_is_asked_for() -> None:
    counts = []
    for sparsity in (0.0, 0.1, 0.5):
        weights = weights_of(SlimRecommender(sparsity=sparsity).fit(ratings()), 25)
        assert weights.min() == 0
        assert not np.diag(weights).any()
        counts.append((weights > 0).sum())
    assert counts[0] > counts[1] > counts[2]


def test_only_weights_that_are_something_are_saved() -> None:
    arrays = SlimRecommender(sparsity=0.1).fit(ratings()).to_arrays()
    values = arrays["weights_values"].astype(np.float64)
    assert (values > 0).all()
    assert len(values) < 25 * 24 / 2


def test_the_regularization_grows_with_the_root_of_the_likes() -> None:
    settings = SlimRecommender().settings_for(csr(np.ones((100, 100))))
    np.testing.assert_allclose(settings["regularization"], 80)
    assert SlimRecommender(regularization=7).settings_for(ratings())["regularization"] == 7


def test_more_films_than_the_limit_are_an_obstacle_that_is_named() -> None:
    assert SlimRecommender(max_items=25).obstacle(ratings()) is None
    obstacle = SlimRecommender(max_items=24).obstacle(ratings())
    assert obstacle == "It takes at most 24 films, and here are 25."
