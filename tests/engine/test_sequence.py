"""The order of films: the short way to the regression held against the long one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms.sequence import (
    Histories,
    SequenceRecommender,
    next_item_weights,
)
from tests.engine.camps import csr, two_camps

N_ITEMS = 9


def histories_by_chance(n_users: int = 40) -> list[NDArray[np.int32]]:
    """Random histories of 0 to 7 items."""
    random = np.random.default_rng(3)
    return [
        random.permutation(N_ITEMS)[: random.integers(0, 8)].astype(np.int32)
        for _ in range(n_users)
    ]


def in_a_row(histories: list[NDArray[np.int32]]) -> Histories:
    items = np.concatenate(histories)
    return Histories(items, np.array([len(h) for h in histories]), np.arange(len(items)))


def matrices(histories: list[list[int]], n_items: int) -> tuple[csr_matrix, csr_matrix]:
    """Likes, and times a minute apart."""
    likes = np.zeros((len(histories), n_items))
    times = np.zeros(likes.shape)
    for user, films in enumerate(histories):
        likes[user, films] = 1
        times[user, films] = 1.7e9 + 60 * np.arange(len(films))
    return csr(likes), csr_matrix(times)


def step_by_step(
    histories: list[NDArray[np.int32]], decays: NDArray[np.float64], backwards: float, ridge: float
) -> NDArray[np.float64]:
    """The regression with a row for each step, as the docstring of the class has it."""
    features, targets = [], []
    for weight, read in ((1.0, histories), (backwards, [h[::-1] for h in histories])):
        for history in read:
            state = np.zeros((len(decays), N_ITEMS))
            for film, following in pairwise(history):
                state *= decays[:, None]
                state[:, film] += 1
                features.append(np.sqrt(weight) * state.ravel())
                targets.append(np.sqrt(weight) * np.eye(N_ITEMS)[following])
    f, y = np.array(features), np.array(targets)
    squares = (f**2).sum(axis=0).reshape(len(decays), N_ITEMS).mean(axis=1)
    penalties = np.repeat(ridge * squares / squares[decays.argmin()], N_ITEMS)
    return np.linalg.solve(f.T @ f + np.diag(penalties), f.T @ y)


@pytest.mark.parametrize("scales", [(0.0,), (4.0,), (0.0, 4.0, 40.0)], ids=str)
@pytest.mark.parametrize("backwards", [0.0, 0.2])
@pytest.mark.parametrize("at_once", [1, 60, 10_000])
def test_the_weights_are_those_of_the_regression_step_by_step(
    scales: tuple[float, ...], backwards: float, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recommendations.engine.algorithms.sequence.PAIRS_AT_ONCE", at_once)
    histories = histories_by_chance()
    decays = np.array([np.exp(-1 / scale) if scale else 0.0 for scale in scales])
    weights = next_item_weights(
        in_a_row(histories),
        decays,
        n_items=N_ITEMS,
        backwards=backwards,
        regularization=3.0,
        threads=1,
    )
    expected = step_by_step(histories, decays, backwards, 3.0)
    np.testing.assert_allclose(weights, expected, atol=1e-4)


def test_the_last_film_decides_what_comes_next() -> None:
    """The film that was seen last leads to its own sequel, in either order of the same two."""
    first, second, sequel_of_first, sequel_of_second = range(4)
    pattern = [[second, first, sequel_of_first], [first, second, sequel_of_second]]
    likes, times = matrices(pattern * 20, 4)
    recommender = SequenceRecommender().fit(likes, times=times)
    history, moments = matrices([[second, first], [first, second]], 4)
    scores = recommender.score(history, moments)
    assert scores[0, sequel_of_first] > scores[0, sequel_of_second]
    assert scores[1, sequel_of_second] > scores[1, sequel_of_first]
    # At one and the same moment neither is the last, and both rows are one.
    without_order = recommender.score(history)
    np.testing.assert_array_equal(without_order[0], without_order[1])
    np.testing.assert_allclose(
        without_order[0, sequel_of_first], without_order[0, sequel_of_second], rtol=1e-2
    )


def test_dislikes_are_no_steps() -> None:
    likes, times = matrices([[0, 1, 2], [1, 0, 2]] * 5, 3)
    recommender = SequenceRecommender().fit(likes, times=times)
    history = likes[:1].copy()
    history.data[:] = [1, -2, 1]
    alone, moments = matrices([[0, 2]], 3)
    np.testing.assert_allclose(
        recommender.score(history, times[:1]), recommender.score(alone, moments)
    )


def test_beyond_max_items_the_most_liked_are_kept_and_of_the_others_there_is_no_opinion() -> None:
    likes, times = matrices([[0, 1, 2], [0, 2, 3], [2, 0, 4]] * 5, 5)
    scores = SequenceRecommender(max_items=2).fit(likes, times=times).score(likes, times)
    assert np.isfinite(scores[:, [0, 2]]).all()
    assert np.isnan(scores[:, [1, 3, 4]]).all()


def test_of_a_long_history_the_last_films_are_read() -> None:
    histories = in_a_row([np.arange(5, dtype=np.int32), np.arange(2, dtype=np.int32)]).last(3)
    assert histories.items.tolist() == [2, 3, 4, 0, 1]
    assert histories.lengths.tolist() == [3, 2]
    assert histories.backwards().items.tolist() == [4, 3, 2, 1, 0]


def test_without_times_it_learns_who_likes_what_together_whatever_the_order_of_columns() -> None:
    likes = two_camps().interactions
    order = np.random.default_rng(5).permutation(likes.shape[1])
    scores = SequenceRecommender().fit(likes).score(likes)
    permuted = SequenceRecommender().fit(likes[:, order]).score(likes[:, order])
    np.testing.assert_allclose(permuted, scores[:, order], atol=1e-3)
    assert scores[0, :5].min() > scores[0, 5:].max()


def test_an_obstacle_is_the_want_of_times_or_of_time() -> None:
    data = two_camps()
    recommender = SequenceRecommender()
    assert recommender.obstacle(data.interactions, None, data.times) is None
    assert "no times" in (recommender.obstacle(data.interactions) or "")
    many = csr_matrix(np.ones((2, 6000), dtype=np.float32))
    assert "longer than 20 s" in (
        SequenceRecommender(max_items=6000).obstacle(many, None, many) or ""
    )
    assert SequenceRecommender(max_items=500).obstacle(many, None, many) is None


def test_regularization_grows_with_the_data_up_to_a_limit() -> None:
    def resolved(n: int) -> float:
        interactions = csr_matrix(np.ones((100, n // 100), dtype=np.float32))
        return SequenceRecommender().settings_for(interactions)["regularization"]

    assert [resolved(n) for n in (100, 10_000, 1_000_000)] == [20, 200, 800]
    given = SequenceRecommender(regularization=7.0).settings_for(csr(np.ones((1, 1))))
    assert given == {"regularization": 7.0}
