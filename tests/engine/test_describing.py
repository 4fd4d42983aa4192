"""Weights of features, held against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recommendations.engine.feature_vectors import FeatureKind, row_lengths, tfidf_vectors
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
    """Of three items one has b and all have a: ln(4/2) + 1 against ln(4/4) + 1."""
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


def test_what_is_not_above_zero_is_no_feature() -> None:
    items = ItemFeatures(csr([[-1, 0], [0, 1]]), ("word:a", "word:b"))
    np.testing.assert_array_equal(row_lengths(tfidf_vectors(items, PLAIN)) > 0, [False, True])
