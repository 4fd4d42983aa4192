"""Items most like each other: the blend of two cosines, against one that is worked out plainly."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.algorithms.content import ContentRecommender
from recommendations.engine.matrices import ItemFeatures
from recommendations.engine.ranking import similar_items
from recommendations.engine.ranking.similar_items import (
    MIN_COSINE,
    content_unit_vectors,
    find_similar_items,
)
from tests.engine.camps import csr, two_camps

Float32 = NDArray[np.float32]
SIDE = 0.5**0.5
#: Two that point the same way, one between, one across, and one that nobody can place.
FACTORS = np.array([[1, 0], [1, 0], [SIDE, SIDE], [0, 1], [np.nan, np.nan]], dtype=np.float32)
#: The last two share all, the first one something with the third; of the second nothing is known.
CONTENT = csr(np.array([[1, 0, 0], [0, 0, 0], [SIDE, SIDE, 0], [0, 0, 1], [0, 0, 1]]))
NOBODY = np.zeros(5, dtype=np.int64)


def plainly(
    factors: Float32, content: Float32, share: float, k: int
) -> list[list[tuple[int, float]]]:
    """Pair by pair."""
    found = []
    for one in range(len(factors)):
        placed, described = not np.isnan(factors[one]).any(), content[one].any()
        own = 1.0 if not placed else share if described else 0.0
        alike = []
        for other in set(range(len(factors))) - {one}:
            cosine = max(0.0, float(np.nan_to_num(factors[one]) @ np.nan_to_num(factors[other])))
            made = float(content[one] @ content[other])
            score = (1 - own) * cosine + own * made
            seen = (own < 1 and cosine >= MIN_COSINE) or (own > 0 and made > 0)
            if seen and score > 0:
                alike.append((other, score))
        found.append(sorted(alike, key=lambda pair: (-pair[1], pair[0]))[:k])
    return found


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("cells", [1, 10**6])
def test_similarity_is_the_blend_of_factors_and_content(
    share: float, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(similar_items, "CELLS", cells)
    luck = np.random.default_rng(1)
    factors = luck.normal(size=(30, 4)).astype(np.float32)
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    factors[luck.random(30) < 0.2] = np.nan
    content = luck.random((30, 6)) * (luck.random((30, 6)) < 0.4)
    content = content / np.maximum(np.linalg.norm(content, axis=1, keepdims=True), 1e-9)
    related = find_similar_items(
        factors, csr(content), np.zeros(30, dtype=np.int64), share=share, k=7
    )
    expected = plainly(factors, content.astype(np.float32), share, 7)
    for items, scores, row in zip(related.items, related.scores, expected, strict=True):
        count = int((items >= 0).sum())
        assert items[:count].tolist() == [item for item, _ in row]
        assert scores[:count] == pytest.approx([score for _, score in row], abs=2e-5)
        assert (items[count:] == -1).all()


def test_a_similar_item_has_the_parts_of_its_score() -> None:
    related = find_similar_items(FACTORS, CONTENT, NOBODY, share=0.5, k=4)
    expected: dict[int, dict[int, tuple[float | None, float | None]]] = {
        0: {1: (1, None), 2: (SIDE, SIDE)},
        1: {0: (1, None), 2: (SIDE, None)},  # by the factors alone
        3: {2: (SIDE, 0), 4: (None, 1)},
        4: {3: (None, 1)},  # by content alone
    }
    for item, others in expected.items():
        rows = (related.items[item], related.by_factors[item], related.by_content[item])
        found = {
            int(other): tuple(None if np.isnan(value) else float(value) for value in values)
            for other, *values in zip(*rows, strict=True)
            if other >= 0
        }
        assert found.keys() == others.keys()
        for other, values in others.items():
            assert found[other] == pytest.approx(values, abs=1e-4), (item, other)


def test_equally_similar_items_are_ordered_by_popularity() -> None:
    nowhere = np.full((4, 1), np.nan, dtype=np.float32)
    related = find_similar_items(
        nowhere, csr(np.ones((4, 1))), np.array([0, 1, 9, 5]), share=0.1, k=3
    )
    assert related.items.tolist() == [[2, 3, 1], [2, 3, 0], [3, 1, 0], [2, 1, 0]]
    assert related.scores == pytest.approx(1, abs=1e-4)
    assert related.scores.max() <= 1


@pytest.mark.parametrize("n_items", [0, 1])
def test_no_similar_items_without_features(n_items: int) -> None:
    factors, content = np.zeros((n_items, 3), dtype=np.float32), csr_matrix((n_items, 0))
    related = find_similar_items(
        factors, content, np.zeros(n_items, dtype=np.int64), share=0.1, k=40
    )
    assert related.items.shape == (n_items, 0)


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_item_directions_give_the_similarities_of_the_algorithm(name: str) -> None:
    if name == "als":
        recommender = two_camps().fit(ALGORITHMS[name]())
        directions = recommender.item_directions()
        assert directions is not None
        for item in range(len(directions)):
            alike = recommender.similar_items(item)
            assert directions @ directions[item] == pytest.approx(alike, abs=1e-5, nan_ok=True)
    else:
        assert ALGORITHMS[name]().item_directions() is None


def test_content_is_weighed_as_the_content_model_does() -> None:
    luck = np.random.default_rng(2)
    counts = csr((luck.random((8, 5)) < 0.5) * 1.0)
    names = ("genre:a", "genre:b", "keyword:c", "person:d", "word:e")
    features = ItemFeatures(counts, names)
    model = ContentRecommender().fit(csr(np.ones((2, 8))), features)
    directions = content_unit_vectors(features)
    for item in range(8):
        alike = model.similar_items(item)
        assert (directions @ directions[item].T).toarray().ravel() == pytest.approx(alike, abs=1e-5)
