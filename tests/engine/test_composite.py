from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recommendations.engine import artifacts
from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.hybrid import (
    Blend,
    Composite,
    HybridRecommender,
    blend,
    min_max_normalised,
)
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.matrices import Scores
from recommendations.engine.recommender import NotFittedError, extremes
from tests.engine.camps import N_ITEMS, csr, data_of, two_camps

NOBODY = csr(np.zeros((1, N_ITEMS)))


def blended(model: Composite, history: csr_matrix) -> Blend:
    scores = {name: part.score(history) for name, part in model.parts.items()}
    return model.blended(scores, shape=history.shape)


def test_a_composite_alone_fits_its_parts() -> None:
    data = two_camps()
    hybrid = data.fit(HybridRecommender())
    assert {*hybrid.parts} == {"als", "ease", "content", "popularity"}
    alone = data.fit(AlsRecommender()).score(data.interactions)
    np.testing.assert_array_equal(hybrid.parts["als"].score(data.interactions), alone)


def test_a_composite_uses_fitted_parts_and_works_without_the_others() -> None:
    data = two_camps()
    als, popularity = data.fit(AlsRecommender()), data.fit(PopularityRecommender())
    hybrid = HybridRecommender().compose({"popularity": popularity, "als": als})
    assert hybrid.parts == {"als": als, "popularity": popularity}
    assert hybrid.parts["als"] is als
    assert np.isfinite(hybrid.score(data.interactions)).all()
    copy = HybridRecommender.from_arrays(hybrid.to_arrays())
    assert list(copy.parts) == ["als", "popularity"]
    np.testing.assert_array_equal(copy.score(data.interactions), hybrid.score(data.interactions))


def test_an_unfitted_composite_has_no_parts() -> None:
    with pytest.raises(NotFittedError):
        _ = HybridRecommender().parts


def test_weights_decide_and_are_kept() -> None:
    data = data_of(csr(np.tri(N_ITEMS)))  # the first item is liked by all, the last by one
    popular = data.fit(HybridRecommender(weights={"als": 0, "content": 0, "popularity": 1}))
    alone = data.fit(PopularityRecommender()).score(data.interactions)
    np.testing.assert_array_equal(
        np.argsort(-popular.score(data.interactions)[0], kind="stable"),
        np.argsort(-alone[0], kind="stable"),
    )
    copy = HybridRecommender.from_arrays(popular.to_arrays())
    assert copy.weights == {"als": 0, "content": 0, "popularity": 1, "ease": 0}
    assert {*popular.parts} == {*copy.parts} == {"als", "content", "popularity"}


def weights_for(likes: list[int], *names: str, **settings: Any) -> dict[str, list[float]]:
    """The weights of the parts with these names, as shares of their sum."""
    fitted = two_camps().fit(HybridRecommender())
    hybrid = HybridRecommender(**settings).compose({name: fitted.parts[name] for name in names})
    found = hybrid.part_weights(np.array(likes, dtype=np.float32))
    whole = sum(np.broadcast_to(found[name], len(likes)) for name in names)
    return {name: np.asarray(found[name] / whole).tolist() for name in names}


def test_the_weights_follow_the_length_of_the_history() -> None:
    """With 2 likes popularity has half of what content leaves; with 10 EASE half of its most."""
    found = weights_for([2, 10], *("als", "ease", "content", "popularity"), popularity=2, ease=10)
    # 0.1 · 2 / 5, 0.1 · 10 / 13
    assert found["content"] == pytest.approx([0.04, 0.0769], abs=1e-4)
    # 0.96 / 2, 0.9231 · 2 / 12
    assert found["popularity"] == pytest.approx([0.48, 0.1538], abs=1e-4)
    # 0.48 · 0.8 · 2 / 12, 0.9231 · 10 / 12 · 0.4
    assert found["ease"] == pytest.approx([0.064, 0.3077], abs=1e-4)
    assert found["als"] == pytest.approx([0.416, 0.4615], abs=1e-4)


def test_a_missing_als_or_ease_gives_its_share_to_the_other() -> None:
    whole = weights_for([7], "als", "ease", "content", "popularity")
    for name in ("als", "ease"):
        alone = weights_for([7], name, "content", "popularity")
        assert alone["content"] == pytest.approx(whole["content"])
        assert alone["popularity"] == pytest.approx(whole["popularity"])


def test_each_row_is_blended_by_its_own_likes() -> None:
    """A dislike is no like, and does not change the weights."""
    data = two_camps()
    hybrid = data.fit(HybridRecommender())
    history = csr([[1, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, -2, 0, 0, 0, 0]])
    scores = {name: part.score(history) for name, part in hybrid.parts.items()}
    together = hybrid.score(history)
    for row, likes in enumerate([1, 3]):
        own = {name: values[row : row + 1] for name, values in scores.items()}
        weights = hybrid.part_weights(np.array([likes], dtype=np.float32))
        expected = blend(own, weights, shape=(1, N_ITEMS)).scores[0]
        np.testing.assert_allclose(together[row], expected, rtol=1e-6)


def test_settings_are_kept_with_the_model() -> None:
    hybrid = two_camps().fit(HybridRecommender(popularity=3.0, ease=5.0))
    copy = HybridRecommender.from_arrays(hybrid.to_arrays())
    expected = {"popularity": 3.0, "ease": 5.0}
    assert copy.blend_settings() == hybrid.blend_settings() == expected


def test_a_hybrid_of_a_release_before_the_learned_weights_keeps_its_fixed_ones() -> None:
    data = two_camps()
    weights = {"als": 0.5, "content": 0.3, "popularity": 0.2}
    hybrid = data.fit(HybridRecommender(weights=weights))
    stored = {**hybrid.to_arrays(), "weights": np.array([0.5, 0.3, 0.2])}
    copy = HybridRecommender.from_arrays(stored)
    assert copy.weights == copy.blend_settings()["weights"] == weights
    np.testing.assert_array_equal(copy.score(data.interactions), hybrid.score(data.interactions))


def test_hybrid_has_no_scores_for_a_viewer_without_interactions() -> None:
    """The caller knows better what comes first then: what the viewer says to like."""
    blend = blended(two_camps().fit(HybridRecommender()), NOBODY)
    assert np.isnan(blend.scores).all()
    assert (blend.leading == -1).all()


def test_each_item_has_the_part_that_did_most_for_it() -> None:
    """Item 9 has no interactions: content alone speaks of it, and als by what it is made of."""
    likes = two_camps().interactions.toarray()
    likes[:, 9] = 0
    data = data_of(csr(likes))
    hybrid = data.fit(HybridRecommender(weights={"als": 0.0, "content": 0.5, "popularity": 0.5}))
    blend = blended(hybrid, csr(np.eye(N_ITEMS)[5:6]))
    assert blend.parts[blend.leading[0, 9]] == "content"
    assert blend.scores[0, 9] > blend.scores[0, :5].max()


def test_a_release_holds_the_arrays_of_shared_parts_once(tmp_path: Path) -> None:
    data = two_camps()
    hybrid = data.fit(HybridRecommender())
    arrays = {
        f"{model.name}.{key}": array
        for model in (hybrid.parts["als"], hybrid)
        for key, array in model.to_arrays().items()
    }
    artifacts.save(tmp_path / "release", arrays, {})
    assert not (tmp_path / "release" / "hybrid.als.item_factors.npy").exists()
    loaded, _ = artifacts.load(tmp_path / "release")
    assert loaded.keys() == arrays.keys()
    copy = HybridRecommender.from_arrays(artifacts.model_arrays(loaded, "hybrid"))
    np.testing.assert_array_equal(copy.score(data.interactions), hybrid.score(data.interactions))


NAN = float("nan")


# --- blending


def rows(*values: list[float]) -> Scores:
    return np.array(values, dtype=np.float32)


def test_normalised_rows_go_from_zero_to_one() -> None:
    """Scale and place of a part's scores are lost."""
    found = min_max_normalised(rows([1, 3, 2, NAN], [-10, NAN, 30, 0]))
    np.testing.assert_allclose(found, rows([0, 1, 0.5, NAN], [0, NAN, 1, 0.25]))


def test_rows_of_equal_or_unknown_scores_are_normalised_to_zero() -> None:
    found = min_max_normalised(rows([7, 7, 7], [NAN, NAN, NAN], [1e6, 1e6, 1e6 + 0.01]))
    np.testing.assert_array_equal(found, rows([0, 0, 0], [NAN, NAN, NAN], [0, 0, 0]))
    assert min_max_normalised(np.zeros((2, 0), dtype=np.float32)).shape == (2, 0)


def test_a_blend_is_the_weighted_mean() -> None:
    scores = {"als": rows([1, 3]), "content": rows([40, 20])}
    found = blend(scores, {"als": 3, "content": 1}, shape=(1, 2))
    np.testing.assert_allclose(found.scores, rows([0.25, 0.75]))  # (3·0 + 1·1) / 4
    assert found.parts == ("als", "content")
    assert found.leading.tolist() == [[1, 0]]


def test_a_part_without_an_opinion_gives_its_weight_to_the_others() -> None:
    scores = {"als": rows([1, 3, NAN, NAN]), "content": rows([NAN, 0, 2, NAN])}
    found = blend(scores, {"als": 3, "content": 1}, shape=(1, 4))
    np.testing.assert_allclose(found.scores, rows([0, 0.75, 1, NAN]))
    assert found.leading.tolist() == [[0, 0, 1, -1]]


def test_an_unknown_score_of_a_part_can_count_as_its_lowest() -> None:
    scores = {"als": rows([1, 3, 3, NAN]), "popularity": rows([0, 4, NAN, NAN])}
    found = blend(scores, {"als": 1, "popularity": 3}, shape=(1, 4), least_if_unknown="popularity")
    np.testing.assert_allclose(found.scores, rows([0, 1, 0.25, NAN]))
    assert found.leading.tolist() == [[0, 1, 0, -1]]


def test_after_one_like_a_new_film_does_not_come_before_the_most_popular_one() -> None:
    hybrid = two_camps().fit(HybridRecommender())
    scores = {"als": rows([0, 0.7, 1]), "popularity": rows([1, 5, NAN])}
    _, popular, new = hybrid.blended(scores, shape=(1, 3), likes=np.array([1])).scores[0]
    assert new < popular
    _, popular, new = hybrid.blended(scores, shape=(1, 3), likes=np.array([100])).scores[0]
    assert new > popular


def test_a_part_without_a_weight_is_not_asked() -> None:
    scores = {"als": rows([1, 3]), "content": rows([40, 20])}
    found = blend(scores, {"als": 0, "content": 2}, shape=(1, 2))
    np.testing.assert_allclose(found.scores, rows([1, 0]))
    assert found.leading.tolist() == [[1, 1]]
    assert np.isnan(blend(scores, {}, shape=(1, 2)).scores).all()


def test_some_items_alone_are_blended_as_among_all() -> None:
    scores = {"als": rows([1, 3, 2, 9]), "content": rows([40, 20, NAN, 30])}
    weights, items = {"als": 3.0, "content": 1.0}, np.array([2, 0])
    whole = blend(scores, weights, shape=(1, 4))
    some = {name: values[:, items] for name, values in scores.items()}
    ranges = {name: extremes(values) for name, values in scores.items()}
    found = blend(some, weights, shape=(1, 2), ranges=ranges)
    np.testing.assert_array_equal(found.scores, whole.scores[:, items])
    np.testing.assert_array_equal(found.leading, whole.leading[:, items])
