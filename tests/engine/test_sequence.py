"""The order of films: the short way to the regression held against the long one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms._histories import Histories, gap_classes
from recommendations.engine.algorithms._next_item import gap_transitions, next_item_weights
from recommendations.engine.algorithms.sequence import SequenceRecommender
from recommendations.engine.matrices import IdMap
from recommendations.engine.recommender import RemappedRecommender
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
    items, lengths = np.concatenate(histories), np.array([len(h) for h in histories])
    moments = np.concatenate([60.0 * np.arange(length) for length in lengths])
    return Histories(items, lengths, np.arange(len(items)), moments)


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
    """The regression with a row for each step, as the docstring of the class has it.

    The last rows are the mean of what it tells after each film.
    """
    features, targets, films, weights = [], [], [], []
    for weight, read in ((1.0, histories), (backwards, [h[::-1] for h in histories])):
        for history in read:
            state = np.zeros((len(decays), N_ITEMS))
            for film, following in pairwise(history):
                state *= decays[:, None]
                state[:, film] += 1
                features.append(np.sqrt(weight) * state.ravel())
                targets.append(np.sqrt(weight) * np.eye(N_ITEMS)[following])
                films.append(film)
                weights.append(weight)
    f, y = np.array(features), np.array(targets)
    squares = (f**2).sum(axis=0).reshape(len(decays), N_ITEMS).mean(axis=1)
    penalties = np.repeat(ridge * squares * N_ITEMS / sum(weights), N_ITEMS)
    found = np.linalg.solve(f.T @ f + np.diag(penalties), f.T @ y)
    last = np.array(films)[:, None] == np.arange(N_ITEMS)
    steps = np.array(weights) @ last
    told = (last * np.sqrt(weights)[:, None]).T @ (f @ found) / steps[:, None]
    return np.vstack([found, told])


@pytest.mark.parametrize("scales", [(0.0,), (4.0,), (0.0, 4.0, 40.0)], ids=str)
@pytest.mark.parametrize("backwards", [0.0, 0.2])
@pytest.mark.parametrize("at_once", [1, 60, 10_000])
def test_the_weights_are_those_of_the_regression_step_by_step(
    scales: tuple[float, ...], backwards: float, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recommendations.engine.algorithms._next_item.PAIRS_AT_ONCE", at_once)
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
    # At the same moment neither film is the last, so both rows get the same scores.
    without_order = recommender.score(history)
    np.testing.assert_array_equal(without_order[0], without_order[1])
    np.testing.assert_allclose(
        without_order[0, sequel_of_first], without_order[0, sequel_of_second], rtol=1e-2
    )


def test_dislikes_are_no_steps_of_a_sequence() -> None:
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


def test_only_the_last_films_of_a_long_history_are_read() -> None:
    histories = in_a_row([np.arange(5, dtype=np.int32), np.arange(2, dtype=np.int32)]).last(3)
    assert histories.items.tolist() == [2, 3, 4, 0, 1]
    assert histories.lengths.tolist() == [3, 2]
    assert histories.backwards().items.tolist() == [4, 3, 2, 1, 0]


def test_without_times_likes_are_learned_together_in_any_order_of_columns() -> None:
    likes = two_camps().interactions
    order = np.random.default_rng(5).permutation(likes.shape[1])
    scores = SequenceRecommender().fit(likes).score(likes)
    permuted = SequenceRecommender().fit(likes[:, order]).score(likes[:, order])
    np.testing.assert_allclose(permuted, scores[:, order], atol=1e-3)
    assert scores[0, :5].min() > scores[0, 5:].max()


def test_missing_times_and_long_fits_are_obstacles() -> None:
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


def test_transitions_are_counted_by_class_of_gap() -> None:
    """Within the same second, a minute, an hour, and later; then without a known gap."""
    seconds = np.array([-5.0, 0, 0.5, 60, 61, 3600, 3601, np.nan])
    assert gap_classes(seconds).tolist() == [0, 0, 1, 1, 2, 2, 3, 4]
    moments = np.array([0.0, 0, 60, 5000, 7, 7])
    histories = Histories(
        np.array([0, 1, 2, 0, 2, 1], dtype=np.int32), np.array([4, 0, 2]), np.arange(6), moments
    )
    counts = gap_transitions(histories, 3, 0.25).toarray().reshape(5, 3, 3)
    assert counts[0].tolist() == [[0, 1, 0], [0.25, 0, 0.25], [0, 1, 0]]
    assert counts[1].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0.25, 0]]
    assert counts[2].sum() == 0
    # After an hour the last film alone tells nothing, but it is counted if no gap is known.
    assert counts[3].sum() == 0
    later = [[0, 0, 0.25], [0, 0, 0], [1, 0, 0]]
    np.testing.assert_array_equal(counts[4], counts[:4].sum(axis=0) + later)


AT_ONCE, LATER = 1, 2


def by_gap() -> tuple[csr_matrix, csr_matrix]:
    """After film 0, film 1 follows within seconds, and film 2 within an hour."""
    likes = csr([[1, 1, 0, 1], [1, 0, 1, 1]] * 20)
    times = csr_matrix(np.array([[100.0, 130, 0, 1e7], [100, 0, 3000, 1e7]] * 20))
    return likes, times


def test_the_time_of_the_list_decides_which_gap_counts() -> None:
    likes, times = by_gap()
    recommender = SequenceRecommender(regularization=5.0).fit(likes, times=times)
    history, moments = csr([[1, 0, 0, 0]] * 4), csr_matrix(np.array([[500.0, 0, 0, 0]] * 4))
    scores = recommender.score_at(history, moments, np.array([520.0, 3e3, np.nan, 5e5]))
    assert scores[0, AT_ONCE] > scores[0, LATER] + 0.1
    assert scores[1, LATER] > scores[1, AT_ONCE] + 0.1
    np.testing.assert_array_equal(scores[2], recommender.score(history[:1], moments[:1])[0])
    assert abs(scores[3, LATER] - scores[3, AT_ONCE]) < 0.01
    # The gap is not known without the times of the films.
    np.testing.assert_array_equal(
        recommender.score_at(history[:1], None, np.array([5e5])), recommender.score(history[:1])
    )


def test_a_catalogue_of_today_is_scored_at_the_time_of_the_list() -> None:
    likes, times = by_gap()
    recommender = SequenceRecommender(regularization=5.0).fit(likes, times=times)
    of_then, of_now = IdMap(np.array([10, 20, 30, 40])), IdMap(np.array([5, 10, 30, 40]))
    remapped = RemappedRecommender(recommender, of_then, of_now)
    now = np.array([3e3])
    history, moments = csr([[0, 1, 0, 0]]), csr_matrix([[0.0, 500, 0, 0]])
    expected = recommender.score_at(csr([[1, 0, 0, 0]]), csr_matrix([[500.0, 0, 0, 0]]), now)[0]
    np.testing.assert_array_equal(
        remapped.score_at(history, moments, now)[0], [np.nan, *expected[[0, 2, 3]]]
    )


def test_explanations_are_those_of_the_time_of_the_list() -> None:
    likes, times = by_gap()
    recommender = SequenceRecommender(regularization=5.0).fit(likes, times=times)
    history = csr([[1, 0, 0, -1], [1, 0, 0, 1]])
    moments = csr_matrix((np.array([9.0, 3, 9, 3]), history.indices, history.indptr), history.shape)
    now, items = np.array([20.0, 2000]), np.arange(4)
    scoring = recommender.scoring_type(recommender, history, moments, now)
    for row in range(2):
        expected = recommender.score_at(history, moments, now)[row]
        parts = scoring.explainer(row).contributions(items)
        assert parts is not None
        np.testing.assert_allclose(parts.sum(axis=1), expected, atol=1e-5)
        without = scoring.explainer(row).without(np.array([1]), items)
        left = csr([[1, 0, 0, 0]])
        np.testing.assert_allclose(
            without.scores[1],
            recommender.score_at(left, csr_matrix(left * 9.0), now[row : row + 1])[0],
            atol=1e-5,
        )


def test_films_of_one_moment_count_alike_whatever_their_columns() -> None:
    likes, times = by_gap()
    recommender = SequenceRecommender().fit(likes, times=times)
    history = csr([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]])
    tied, one_way, other_way = np.array([5.0, 5]), np.array([4.0, 5]), np.array([5.0, 4])
    moments = csr_matrix(
        (np.concatenate([tied, one_way, other_way]), history.indices, history.indptr), history.shape
    )
    scores = recommender.score(history, moments)
    np.testing.assert_allclose(scores[0], scores[1:].mean(axis=0), atol=1e-4)


def test_the_last_films_of_the_training_data_make_no_rounding_into_weights() -> None:
    """Film 2 never leads to another one."""
    likes, times = matrices([[0, 1, 2], [1, 0, 2]] * 50, 3)
    recommender = SequenceRecommender(backwards=0.0).fit(likes, times=times)
    assert recommender.learned().scale < 2
    assert np.abs(recommender.score(likes, times)).max() < 5


def test_a_release_from_before_the_classes_of_gaps_is_served_by_its_features() -> None:
    likes, times = by_gap()
    recommender = SequenceRecommender(scales=(0.0, 4.0, 40.0)).fit(likes, times=times)
    arrays = recommender.to_arrays()
    k = len(arrays["columns"])
    old = {
        "columns": arrays["columns"],
        "n_items": arrays["n_items"],
        "decays": arrays["decays"],
        "weights": arrays["weights"][: 3 * k],
        "scale": arrays["scale"],
    }
    served = SequenceRecommender.from_arrays(old)
    scores = served.score_at(likes, times, np.full(len(likes.indptr) - 1, 2e7))
    weights = old["weights"].astype(np.float64).reshape(3, k, k) * old["scale"][0]
    steps_back = np.array([2, 1, 0])
    expected = sum(
        arrays["decays"][f] ** steps_back[step] * weights[f, film]
        for f in range(3)
        for step, film in enumerate((0, 1, 3))
    )
    np.testing.assert_allclose(scores[0], expected, atol=1e-3)
    np.testing.assert_array_equal(scores, served.score(likes, times))
