"""Weights go to the parts that foretell what viewers like next, and only by more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms.ensemble import (
    ENOUGH_USERS,
    EnsembleRecommender,
    learn_weights,
)
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.evaluation.splits import leave_last_out
from recommendations.engine.matrices import Array, Features, Scores, Times
from recommendations.engine.recommender import Recommender
from tests.engine.camps import Data, csr, data_of, evaluate, two_camps

N_USERS, N_ITEMS, N_CAMPS = 120, 48, 4


class Linear(Recommender):
    """Scores are the history times a given matrix, with NaN for items that it does not know."""

    name = "linear"
    description = "A made-up one."

    def __init__(self, matrix: NDArray[np.float64], unknown: tuple[int, ...] = ()) -> None:
        self.matrix, self.unknown = matrix.astype(np.float32), list(unknown)

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        return self

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        scores: Scores = history @ self.matrix
        scores[:, self.unknown] = np.nan
        return scores

    def to_arrays(self) -> dict[str, Array]:
        return {"matrix": self.matrix}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        return cls(np.asarray(arrays["matrix"], dtype=np.float64))


def four_camps(*, n_users: int = N_USERS, seed: int = 3) -> Data:
    """Users like half of their camp's films and, rarely, another; rated in any order."""
    random = np.random.default_rng(seed)
    camps = np.arange(n_users)[:, None] % N_CAMPS == np.arange(N_ITEMS) % N_CAMPS
    data = data_of(csr(random.random(camps.shape) < np.where(camps, 0.5, 0.03)))
    random.shuffle(data.times.data)
    return data


def by_camp() -> NDArray[np.float64]:
    """The scores of a model that knows the camps: 1 for films of the same one."""
    items = np.arange(N_ITEMS) % N_CAMPS
    return np.equal.outer(items, items).astype(np.float64)


def noise(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).random((N_ITEMS, N_ITEMS))


def test_the_part_that_foretells_gets_the_weight() -> None:
    data = four_camps()
    split = leave_last_out(data.interactions, data.times)
    parts = {"noise": Linear(noise(1)), "camps": Linear(by_camp()), "more": Linear(noise(2))}
    weights = learn_weights(parts, split)
    assert weights["camps"] > 0.5
    assert sum(weights.values()) == pytest.approx(1)
    assert min(weights.values()) >= 0
    assert learn_weights(parts, split) == weights


def test_a_part_that_foretells_the_contrary_gets_the_least() -> None:
    data = four_camps()
    split = leave_last_out(data.interactions, data.times)
    parts = {"against": Linear(noise(1) - by_camp()), "camps": Linear(by_camp())}
    assert learn_weights(parts, split)["camps"] > 0.6


def test_parts_that_say_the_same_weigh_the_same() -> None:
    data = four_camps()
    split = leave_last_out(data.interactions, data.times)
    parts = {"one": Linear(by_camp()), "other": Linear(2 * by_camp() + 1)}
    assert learn_weights(parts, split) == {"one": 0.5, "other": 0.5}


def test_what_a_part_has_no_opinion_on_says_nothing_of_its_weight() -> None:
    """The better part does not know half of the films; on the others it decides."""
    data = four_camps()
    split = leave_last_out(data.interactions, data.times)
    camps = Linear(by_camp(), unknown=tuple(range(0, N_ITEMS, 2)))
    assert learn_weights({"noise": Linear(noise(1)), "camps": camps}, split)["camps"] > 0.6


def test_few_viewers_teach_no_weights() -> None:
    data = four_camps(n_users=ENOUGH_USERS - 1)
    split = leave_last_out(data.interactions, data.times)
    parts = {"noise": Linear(noise(1)), "camps": Linear(by_camp())}
    assert learn_weights(parts, split) == {"noise": 0.5, "camps": 0.5}


def test_a_part_alone_has_all_the_weight() -> None:
    data = four_camps()
    split = leave_last_out(data.interactions, data.times)
    assert learn_weights({"camps": Linear(by_camp())}, split) == {"camps": 1.0}
    assert learn_weights({}, split) == {}


@pytest.mark.parametrize("timed", [True, False])
def test_fitted_alone_it_learns_weights_and_beats_popularity(timed: bool) -> None:
    data = four_camps()
    split = leave_last_out(data.interactions, data.times)
    times = split.train_times if timed else None
    ensemble = EnsembleRecommender().fit(split.train, None, times)
    assert ensemble.weights is not None
    assert ensemble.parts.keys() == ensemble.weights.keys()
    popularity = PopularityRecommender().fit(split.train, None, split.train_times)
    assert evaluate(ensemble, split).ndcg > 1.5 * evaluate(popularity, split).ndcg
    again = EnsembleRecommender().fit(split.train, None, times)
    assert again.weights == ensemble.weights


def test_given_weights_are_kept() -> None:
    weights = {"als": 0.2, "ease": 0.8}
    ensemble = four_camps().fit(EnsembleRecommender(weights=weights))
    assert ensemble.weights == weights


def test_a_part_with_an_obstacle_is_left_out() -> None:
    """EASE takes at most so many films."""
    likes = csr_matrix((np.ones(3, np.float32), ([0, 1, 1], [0, 0, 1])), shape=(2, 10_001))
    ensemble = EnsembleRecommender().fit(likes)
    assert ensemble.parts.keys() == {"als"}
    assert ensemble.weights == {"als": 1.0}


def test_an_ensemble_that_was_stored_with_slim_loads_without_it() -> None:
    data = four_camps()
    ensemble = data.fit(EnsembleRecommender(weights={"als": 0.2, "ease": 0.3}))
    arrays = ensemble.to_arrays()
    arrays["weights"] = np.array([0.2, 0.3, 0.5])
    arrays["slim.mean"] = np.array([1.0])
    copy = EnsembleRecommender.from_arrays(arrays)
    assert copy.weights == {"als": 0.2, "ease": 0.3}
    scores = ensemble.score(data.interactions)
    np.testing.assert_array_equal(copy.score(data.interactions), scores)


def test_weights_are_part_of_the_model() -> None:
    ensemble = four_camps().fit(EnsembleRecommender())
    assert ensemble.weights is not None
    copy = EnsembleRecommender.from_arrays(ensemble.to_arrays())
    assert copy.weights == {
        **dict.fromkeys(EnsembleRecommender.part_types, 0.0),
        **ensemble.weights,
    }


def test_fitted_again_it_learns_again() -> None:
    ensemble = two_camps().fit(EnsembleRecommender())
    few = ensemble.weights
    expected = four_camps().fit(EnsembleRecommender()).weights
    assert four_camps().fit(ensemble).weights == expected != few
