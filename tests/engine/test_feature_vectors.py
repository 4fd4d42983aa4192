"""Weights of features, held against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.feature_vectors import (
    BLOCK,
    FeatureKind,
    feature_counts,
    predict_factors,
    ridge,
    row_lengths,
    tfidf_vectors,
)
from recommendations.engine.matrices import ItemFeatures
from tests.engine.camps import csr

PLAIN = {"word": FeatureKind(1.0, rarity=False, evening=1.0)}


def test_evened_items_have_the_weight_as_length_whatever_they_have() -> None:
    items = ItemFeatures(csr([[1, 0], [1, 1], [0, 9]]), ("word:a", "word:b"))
    vectors = tfidf_vectors(items, {"word": FeatureKind(0.5, rarity=True, evening=1.0)})
    np.testing.assert_allclose(row_lengths(vectors), 0.5, rtol=1e-6)


def test_items_that_are_not_evened_keep_their_proportions() -> None:
    """One and four features: lengths 1 and 2, whose root of mean squares is √2.5."""
    items = ItemFeatures(
        csr([[1, 0, 0, 0], [1, 1, 1, 1]]), ("word:a", "word:b", "word:c", "word:d")
    )
    whole = tfidf_vectors(items, {"word": FeatureKind(1.0, rarity=False, evening=0.0)})
    np.testing.assert_allclose(row_lengths(whole), np.array([1, 2]) / math.sqrt(2.5), rtol=1e-6)
    half = tfidf_vectors(items, {"word": FeatureKind(1.0, rarity=False, evening=0.5)})
    np.testing.assert_allclose(row_lengths(half), np.sqrt([1, 2]) / 2.5**0.25, rtol=1e-6)


def test_a_rare_feature_weighs_more_by_its_logarithm() -> None:
    """One of three items has b and all have a: ln(4/2) + 1 against ln(4/4) + 1."""
    items = ItemFeatures(csr([[1, 1], [1, 0], [1, 0]]), ("word:a", "word:b"))
    rare = tfidf_vectors(items, {"word": FeatureKind(1.0, rarity=True, evening=1.0)}).toarray()[0]
    assert rare[1] / rare[0] == pytest.approx(math.log(2) + 1)
    alike = tfidf_vectors(items, PLAIN).toarray()[0]
    assert alike[1] == pytest.approx(alike[0])


def test_a_word_said_often_counts_by_its_logarithm() -> None:
    items = ItemFeatures(csr([[7, 1]]), ("word:a", "word:b"))
    vector = tfidf_vectors(items, PLAIN).toarray()[0]
    assert vector[0] / vector[1] == pytest.approx(3)  # ln 8 / ln 2


def test_each_kind_has_its_own_share_and_an_unknown_one_too() -> None:
    items = ItemFeatures(csr([[1, 1, 1, 1]]), ("genre:a", "word:b", "word:c", "mood:d"))
    kinds = {"genre": FeatureKind(2.0, rarity=False, evening=1.0), **PLAIN}
    expected = [[2, math.sqrt(0.5), math.sqrt(0.5), 1]]
    np.testing.assert_allclose(tfidf_vectors(items, kinds).toarray(), expected, rtol=1e-6)


def test_values_of_zero_or_less_are_no_features() -> None:
    items = ItemFeatures(csr([[-1, 0], [0, 1]]), ("word:a", "word:b"))
    np.testing.assert_array_equal(row_lengths(tfidf_vectors(items, PLAIN)) > 0, [False, True])


NAMES = ("genre:drama", "genre:horror")
#: Two dramas, two horror films, and one of each that nobody has touched.
FILMS = csr([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0], [0, 1]])
FACTORS = np.array([[2, 0], [4, 0], [0, 3], [0, 5], [0, 0], [0, 0]], dtype=np.float32)
TOUCHED = np.array([5, 5, 5, 5, 0, 0])


def closed_form(
    features: NDArray[np.float64],
    targets: NDArray[np.float64],
    weights: NDArray[np.float64],
    regularization: float,
) -> NDArray[np.float64]:
    """(n, k) what the regression fits: a column of ones stands for the intercept."""
    with_one = np.column_stack([features, np.ones(len(features))])
    penalty = regularization * np.eye(with_one.shape[1])
    penalty[-1, -1] = 0
    left = with_one.T @ (weights[:, None] * with_one) + penalty
    fitted: NDArray[np.float64] = with_one @ np.linalg.solve(
        left, with_one.T @ (weights[:, None] * targets)
    )
    return fitted


@pytest.mark.parametrize("n_features", [1, 8, 90], ids="features={}".format)
@pytest.mark.parametrize("regularization", [0.1, 4.0], ids="lambda={}".format)
def test_the_regression_equals_the_closed_form(n_features: int, regularization: float) -> None:
    random = np.random.default_rng(3)
    features = random.random((40, n_features)) * (random.random((40, n_features)) < 1 / 3)
    targets = random.normal(size=(40, BLOCK + 3))  # more than one block
    weights = random.uniform(0.5, 3, size=40)
    slopes, intercept = ridge(
        csr(features),
        targets.astype(np.float32),
        weights.astype(np.float32),
        regularization,
    )
    expected = closed_form(features, targets, weights, regularization)
    np.testing.assert_allclose(features @ slopes + intercept, expected, atol=2e-3)


def test_constant_targets_are_the_intercept() -> None:
    """Then nothing is left to solve for, and nothing may be divided by."""
    same = np.full((6, 2), 3, dtype=np.float32)
    slopes, intercept = ridge(FILMS, same, np.ones(6, dtype=np.float32), 1.0)
    np.testing.assert_allclose(slopes, 0, atol=1e-6)
    np.testing.assert_allclose(intercept, 3, rtol=1e-6)


def test_an_untouched_film_stands_where_those_of_its_genre_do() -> None:
    cold, predicted = predict_factors(ItemFeatures(FILMS, NAMES), FACTORS, TOUCHED)
    np.testing.assert_array_equal(cold, [False] * 4 + [True] * 2)
    assert predicted.dtype == np.float32
    drama, horror = predicted
    assert drama[0] > horror[0]
    assert horror[1] > drama[1]


def test_features_of_each_kind_are_counted() -> None:
    """One, one and two words: log 2, log 2 and log 3, with a root of the mean square of 0.85."""
    items = ItemFeatures(csr([[1, 0, 1], [9, 0, 0], [5, 1, 0]]), ("word:a", "word:b", "genre:c"))
    expected = [[1, 0.6931 / 0.8501], [0, 0.6931 / 0.8501], [0, 1.0986 / 0.8501]]
    np.testing.assert_allclose(feature_counts(items).toarray(), expected, rtol=1e-3)


def test_an_untouched_film_with_many_features_stands_where_such_films_do() -> None:
    """Films with two words are liked; the untouched films have other words, one and two."""
    films = [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]
    films.append([0, 0, 0, 1, 1])
    words = ItemFeatures(csr(films), tuple(f"word:{letter}" for letter in "abcde"))
    one, two = predict_factors(words, FACTORS, TOUCHED)[1]
    assert two[0] > one[0]


def test_films_with_more_interactions_weigh_more() -> None:
    def first_of_drama(touched: list[int]) -> float:
        counts = np.array([*touched, 5, 5, 0, 0])
        return float(predict_factors(ItemFeatures(FILMS, NAMES), FACTORS, counts)[1][0, 0])

    assert first_of_drama([1, 400]) > first_of_drama([5, 5]) > first_of_drama([400, 1])


@pytest.mark.parametrize(
    ("films", "touched", "expected"),
    [
        (FILMS, [5] * 6, []),
        (FILMS, [0] * 6, []),
        (csr(np.zeros((6, 2))), [5, 5, 5, 5, 0, 0], []),
        (csr([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0], [0, 1]]), [5, 5, 5, 5, 0, 0], [5]),
    ],
    ids=["all touched", "none touched", "nothing known", "nothing known of one"],
)
def test_only_untouched_films_with_features_get_factors(
    films: csr_matrix, touched: list[int], expected: list[int]
) -> None:
    features = ItemFeatures(films, NAMES)
    cold, predicted = predict_factors(features, FACTORS, np.array(touched))
    assert np.flatnonzero(cold).tolist() == expected
    assert predicted.shape == (len(expected), 2)
