"""Profiles of what films are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recommendations.engine import artifacts
from recommendations.engine.algorithms.content import BATCH, KINDS, ContentRecommender
from recommendations.engine.feature_vectors import tfidf_vectors
from recommendations.engine.matrices import Features, ItemFeatures
from tests.engine.camps import csr, explainer, two_camps

NAMES = ("genre:drama", "genre:horror", "person:agnes varda")
#: Drama; horror; drama by Varda; horror by Varda; nothing known.
FILMS = ItemFeatures(csr([[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 0]]), NAMES)
DRAMA, HORROR, VARDAS_DRAMA, VARDAS_HORROR, UNKNOWN = range(5)


def fitted(interactions: csr_matrix | None = None) -> ContentRecommender:
    untouched = csr(np.zeros((1, 5)))
    return ContentRecommender().fit(untouched if interactions is None else interactions, FILMS)


def row(weights: dict[int, float]) -> csr_matrix:
    return csr([[weights.get(item, 0) for item in range(5)]])


def test_films_without_interactions_are_ranked_by_content() -> None:
    scores = fitted().score(row({VARDAS_DRAMA: 1}))[0]
    assert scores[VARDAS_DRAMA] > scores[VARDAS_HORROR] > scores[DRAMA] > scores[HORROR] == 0


def test_a_film_without_features_has_no_score() -> None:
    recommender = fitted()
    assert np.isnan(recommender.score(row({DRAMA: 1}))[0, UNKNOWN])
    assert np.isnan(recommender.score(row({UNKNOWN: 1}))).all()
    assert explainer(recommender, row({UNKNOWN: 1})).contributions(np.array([DRAMA])) is None
    together = recommender.score(row({DRAMA: 1, UNKNOWN: 3}))
    np.testing.assert_array_equal(together, recommender.score(row({DRAMA: 1})))


def test_dislikes_are_ignored() -> None:
    with_dislike = fitted().score(row({DRAMA: 1, HORROR: -3}))
    np.testing.assert_array_equal(with_dislike, fitted().score(row({DRAMA: 1})))


def test_the_more_liked_of_two_decides() -> None:
    scores = fitted().score(csr([[3, 1, 0, 0, 0], [1, 3, 0, 0, 0]]))
    assert scores[0, VARDAS_DRAMA] > scores[0, VARDAS_HORROR]
    assert scores[1, VARDAS_DRAMA] < scores[1, VARDAS_HORROR]


def test_equal_matches_are_ordered_by_the_number_of_viewers_of_the_genre() -> None:
    history = row({DRAMA: 1, HORROR: 1})
    for popular, other in ((DRAMA, HORROR), (HORROR, DRAMA)):
        likes = np.zeros((9, 5))
        likes[:, popular] = 1
        likes[0, other] = 1
        scores = fitted(csr(likes)).score(history)[0]
        assert scores[popular] > scores[other]
    even = fitted().score(history)[0]
    assert even[DRAMA] == pytest.approx(even[HORROR])


def test_an_entry_that_shares_a_feature_contributes() -> None:
    history = row({DRAMA: 1, HORROR: 2})
    parts = explainer(fitted(), history).contributions(np.array([VARDAS_DRAMA, VARDAS_HORROR]))
    assert parts is not None
    np.testing.assert_array_equal(parts > 0, [[True, False], [False, True]])


def test_likeness_is_the_cosine_of_the_weighted_features() -> None:
    """A film that has but one of another's features: the share of that one in its length."""
    recommender = fitted()
    drama, _, varda = tfidf_vectors(FILMS, KINDS).toarray()[VARDAS_DRAMA]
    likeness = recommender.similar_items(VARDAS_DRAMA)
    assert likeness is not None
    assert likeness[DRAMA] == pytest.approx(drama / np.hypot(drama, varda))
    assert likeness[HORROR] == 0
    assert np.isnan(likeness[UNKNOWN])
    of_unknown = recommender.similar_items(UNKNOWN)
    assert of_unknown is not None
    assert np.isnan(of_unknown).all()


@pytest.mark.parametrize("items", [None, ItemFeatures(csr(np.zeros((10, 1))), ("genre:a",))])
def test_without_features_content_is_left_out_with_the_reason(items: Features) -> None:
    interactions = two_camps().interactions
    recommender = ContentRecommender().fit(interactions, items)
    assert "Nothing is known of the films" in (recommender.obstacle(interactions, items) or "")
    assert recommender.similar_items(0) is None
    assert np.isnan(recommender.score(interactions)).all()
    assert ContentRecommender().obstacle(interactions, two_camps().items) is None


def test_many_rows_are_scored_as_each_alone() -> None:
    """More of them than are scored at once."""
    histories = csr(np.eye(5)[np.arange(BATCH + 7) % 4])
    scores = fitted().score(histories)
    for user in (0, BATCH - 1, BATCH, BATCH + 6):
        np.testing.assert_array_equal(scores[user], fitted().score(histories[user])[0])


def test_a_saved_model_is_read_where_it_lies(tmp_path: Path) -> None:
    artifacts.save(tmp_path / "release", fitted().to_arrays(), {})
    arrays, _ = artifacts.load(tmp_path / "release")
    again = ContentRecommender.from_arrays(arrays).to_arrays()
    for name in ("data", "indices", "lengths", "reach"):
        assert np.shares_memory(again[name], arrays[name])
