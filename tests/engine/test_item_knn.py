"""Item neighbours: likenesses worked out by hand, and the bounds of memory and time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from recommendations.engine import matrices
from recommendations.engine.algorithms._item_weights import RARITY
from recommendations.engine.algorithms.item_knn import ItemKnnRecommender
from tests.engine.camps import csr, ratings

#: Four viewers; the last one likes all films.
LIKES = csr([[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]])


def likeness(**settings: float) -> NDArray[np.float32]:
    """(4, 4) what each film alone says for each other one."""
    plain: dict[str, Any] = {"shrinkage": 0, "rarity": 0, "damping": 0}
    recommender = ItemKnnRecommender(**{**plain, **settings})
    return recommender.fit(LIKES).score(csr(np.eye(4)))


def test_cosine_by_hand() -> None:
    weights = likeness()
    # Films 0 and 1 have 3 and 4 viewers, 3 of them in common; films 0 and 3, one of 3 and 1.
    assert weights[0, 1] == pytest.approx(3 / np.sqrt(3 * 4), rel=1e-5)
    assert weights[3, 0] == pytest.approx(1 / np.sqrt(3), rel=1e-5)
    assert not np.diag(weights).any()


def test_shrinkage_by_hand() -> None:
    assert likeness(shrinkage=2)[0, 1] == pytest.approx(3 / (np.sqrt(12) + 2), rel=1e-5)


def test_rarity_and_damping_are_powers_of_the_viewers() -> None:
    viewers = np.array([3, 4, 2, 1]) + RARITY
    np.testing.assert_allclose(likeness(rarity=0.5), likeness() / viewers[:, None] ** 0.5, 1e-5)
    np.testing.assert_allclose(likeness(damping=0.5), likeness() / viewers**0.5, 1e-5)


def test_each_film_keeps_its_nearest_neighbours() -> None:
    every, nearest = (
        ItemKnnRecommender(neighbours=k).fit(ratings()).score(csr(np.eye(25))) for k in (25, 3)
    )
    assert ((nearest > 0).sum(axis=0) == 3).all()
    kept = nearest > 0
    np.testing.assert_allclose(nearest[kept], every[kept], rtol=1e-5)


@pytest.mark.parametrize("block_size", [1, 60])
def test_blocks_of_any_size_give_the_same(block_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ItemKnnRecommender(neighbours=5).fit(ratings()).score(ratings())
    monkeypatch.setattr(matrices, "BLOCK_SIZE", block_size)
    scores = ItemKnnRecommender(neighbours=5).fit(ratings()).score(ratings())
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)


def test_dense_data_have_fewer_neighbours() -> None:
    dense, sparse = csr(np.ones((20, 30))), csr(np.ones((19, 30)))
    assert ItemKnnRecommender().settings_for(dense)["neighbours"] == 30
    assert ItemKnnRecommender().settings_for(sparse)["neighbours"] == 50
    assert ItemKnnRecommender(neighbours=7).settings_for(dense)["neighbours"] == 7


def test_too_many_products_are_an_obstacle_that_is_named() -> None:
    """Viewers of 2, 2, 2 and 4 films: 28 pairs."""
    assert ItemKnnRecommender(max_products=28).obstacle(LIKES) is None
    obstacle = ItemKnnRecommender(max_products=27).obstacle(LIKES)
    assert obstacle is not None
    assert obstacle.startswith("Comparing its films takes 2.8e+01 products")
