"""ALS has more weight for short histories, EASE for long ones, and each is fitted once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.ease import EaseRecommender
from recommendations.engine.algorithms.ensemble import EnsembleRecommender
from recommendations.engine.algorithms.hybrid import blend
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.evaluation.splits import leave_last_out
from recommendations.engine.matrices import Features, Times
from tests.engine.camps import Data, csr, data_of, evaluate

N_USERS, N_ITEMS, N_CAMPS = 120, 48, 4


def four_camps(*, n_users: int = N_USERS, seed: int = 3) -> Data:
    """Users like half of their camp's films and, rarely, another; rated in any order."""
    random = np.random.default_rng(seed)
    camps = np.arange(n_users)[:, None] % N_CAMPS == np.arange(N_ITEMS) % N_CAMPS
    data = data_of(csr(random.random(camps.shape) < np.where(camps, 0.5, 0.03)))
    random.shuffle(data.times.data)
    return data


def test_the_share_of_ease_grows_with_the_likes() -> None:
    weights = EnsembleRecommender(ease=5.0).part_weights(np.array([0, 5, 20], dtype=np.float32))
    np.testing.assert_allclose(weights["ease"], [0, 0.4, 0.64], rtol=1e-6)  # 0.8 · h / (h + 5)
    np.testing.assert_allclose(weights["als"], [1, 0.6, 0.36], rtol=1e-6)


def test_an_ensemble_beats_popularity_and_blends_its_parts() -> None:
    data = four_camps()
    split = leave_last_out(data.interactions, data.times)
    ensemble = EnsembleRecommender().fit(split.train, None, split.train_times)
    popularity = PopularityRecommender().fit(split.train, None, split.train_times)
    assert evaluate(ensemble, split).ndcg > 1.5 * evaluate(popularity, split).ndcg
    scores = {name: part.score(split.history) for name, part in ensemble.parts.items()}
    likes = split.history.getnnz(axis=1).astype(np.float32)  # each entry is a like
    expected = blend(scores, ensemble.part_weights(likes), shape=split.history.shape).scores
    np.testing.assert_array_equal(ensemble.score(split.history), expected)


@pytest.mark.parametrize("part", [AlsRecommender, EaseRecommender])
def test_each_part_is_fitted_once(
    part: type[AlsRecommender | EaseRecommender], monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[int] = []
    fit: Any = part.fit

    def counted(self: Any, data: csr_matrix, items: Features = None, times: Times = None) -> Any:
        fits.append(data.nnz)
        return fit(self, data, items, times)

    monkeypatch.setattr(part, "fit", counted)
    data = four_camps()
    data.fit(EnsembleRecommender())
    assert fits == [data.interactions.nnz]


def test_given_weights_are_kept() -> None:
    weights = {"als": 0.2, "ease": 0.8}
    ensemble = four_camps().fit(EnsembleRecommender(weights=weights))
    assert ensemble.weights == weights
    assert EnsembleRecommender.from_arrays(ensemble.to_arrays()).weights == weights


def test_a_part_with_an_obstacle_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EaseRecommender, "obstacle", lambda *_: "It takes too long.")
    ensemble = four_camps().fit(EnsembleRecommender())
    assert ensemble.parts.keys() == {"als"}


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


def test_the_largest_share_is_part_of_the_model() -> None:
    ensemble = four_camps().fit(EnsembleRecommender(ease=5.0))
    copy = EnsembleRecommender.from_arrays(ensemble.to_arrays())
    assert copy.blend_settings() == ensemble.blend_settings() == {"ease": 5.0}
