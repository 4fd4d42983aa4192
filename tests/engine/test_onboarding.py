"""The order of the films that new viewers are asked about."""

from __future__ import annotations

import numpy as np
import pytest

from recommendations.engine.ranking.onboarding import FIRST, onboarding_order
from tests.engine.camps import csr


def test_a_film_that_half_of_the_viewers_like_comes_before_rarer_and_more_common_ones() -> None:
    """All six viewers like film 0, half like film 1, one likes film 2, and none knows film 3."""
    matrix = np.zeros((6, 4))
    matrix[:, 0] = matrix[:3, 1] = matrix[0, 2] = 1
    assert onboarding_order(csr(matrix)).tolist() == [1, 2, 0]


def test_a_divisive_film_comes_before_one_that_all_like() -> None:
    matrix = np.array([[1, 1], [1, -1], [0, 0], [0, 0]])
    assert onboarding_order(csr(matrix)).tolist() == [1, 0]


def test_films_that_repeat_known_answers_come_last_after_the_first_visit() -> None:
    """Film 5 has the higher entropy, but only viewers who like film 0 like it."""
    luck = np.random.default_rng(1)
    first = luck.random((200, FIRST)) < 0.5
    other = luck.random(200) < 0.25
    matrix = np.column_stack([first, first[:, 0] & (luck.random(200) < 0.6), other, other])
    order = onboarding_order(csr(matrix.astype(np.float32))).tolist()
    assert set(order[:FIRST]) == set(range(FIRST))
    assert order[FIRST] in (6, 7)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (3, 3)])
def test_without_likes_there_are_no_questions(shape: tuple[int, int]) -> None:
    assert onboarding_order(csr(np.zeros(shape))).tolist() == []
    assert onboarding_order(csr(-np.ones(shape))).tolist() == []


def test_each_film_comes_once_and_their_number_is_bounded() -> None:
    matrix = np.random.default_rng(1).random((20, 9)) < 0.3
    order = onboarding_order(csr(matrix.astype(np.float32))).tolist()
    assert sorted(order) == np.flatnonzero(matrix.any(axis=0)).tolist()
    assert onboarding_order(csr(matrix.astype(np.float32)), n=4).tolist() == order[:4]
