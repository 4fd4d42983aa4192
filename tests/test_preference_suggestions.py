"""Preferences that a viewer's history speaks for: from what is watched more than is usual."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from movies.models import Movie
from recommendations.viewer_figures import refresh_summary
from tests.builders import Client, interact, make_movie, make_user
from users.models import User

pytestmark = pytest.mark.django_db

PATH = "/users/me/preferences/suggestions"


def suggested(client: Client) -> dict[str, list[dict[str, Any]]]:
    answer = client.get(PATH)
    assert answer.status_code == 200, answer.content
    found: dict[str, list[dict[str, Any]]] = answer.json()
    return found


def rate(user: User, *films: Movie, half_stars: int = 8) -> None:
    for film in films:
        interact(user, film, "rating", half_stars=half_stars)


def make_films(count: int, genre: str, language: str = "en") -> list[Movie]:
    return [make_movie(genres=[genre], original_language=language) for _ in range(count)]


@pytest.fixture
def others() -> list[Movie]:
    """All viewers watch comedies in English."""
    films = make_films(10, "comedy")
    for _ in range(5):
        rate(make_user(), *films)
    return films


def test_a_viewer_without_history_gets_no_suggestions(viewer: Client, others: list[Movie]) -> None:
    assert suggested(viewer) == {"genres": [], "languages": []}


def test_genres_watched_more_than_usual_are_suggested(viewer: Client, others: list[Movie]) -> None:
    rate(viewer.user, *make_films(4, "drama", "fr-CA"), *others[:4])
    found = suggested(viewer)
    # 4 of 8 films, as if of 18 with the usual 4/58 of ten; and usual are 4 of 58 ratings.
    lift = round((4 + 10 * 4 / 58) / 18 / (4 / 58), 2)
    [genre] = found["genres"]
    assert genre == {
        "slug": "drama", "name": "Drama", "films_watched": 4, "mean_rating": 4, "lift": lift,
    }  # fmt: skip
    [language] = found["languages"]
    assert (language["language"], language["lift"]) == ("fr", lift)
    refresh_summary()
    assert suggested(viewer) == found


def test_forms_of_one_language_are_suggested_as_one(viewer: Client, others: list[Movie]) -> None:
    rate(viewer.user, *make_films(2, "drama", "nb"), *make_films(2, "drama", "nn-NO"))
    rate(viewer.user, *others[:4])
    [language] = suggested(viewer)["languages"]
    assert (language["language"], language["films_watched"]) == ("no", 4)
    viewer.put("/users/me/preferences", {"languages": ["nb"]})
    assert suggested(viewer)["languages"] == []


def test_genres_with_low_ratings_are_not_suggested(viewer: Client, others: list[Movie]) -> None:
    rate(viewer.user, *make_films(4, "drama"), half_stars=3)
    rate(viewer.user, *others[:4], half_stars=9)
    assert suggested(viewer)["genres"] == []


def test_two_films_are_too_few_for_a_suggestion(viewer: Client, others: list[Movie]) -> None:
    rate(viewer.user, *make_films(2, "drama"))
    assert suggested(viewer)["genres"] == []


def test_no_suggestions_without_ratings_of_others(viewer: Client) -> None:
    for film in make_films(4, "drama"):
        interact(viewer.user, film, "seen")
    assert suggested(viewer) == {"genres": [], "languages": []}


def test_stated_preferences_are_not_suggested_again(viewer: Client, others: list[Movie]) -> None:
    rate(viewer.user, *make_films(4, "drama", "fr"), *make_films(4, "war", "it"))
    slugs = [row["slug"] for row in suggested(viewer)["genres"]]
    assert sorted(slugs) == ["drama", "war"]
    viewer.put("/users/me/preferences", {"genres": ["drama"], "languages": ["it"]})
    assert [row["slug"] for row in suggested(viewer)["genres"]] == ["war"]
    assert [row["language"] for row in suggested(viewer)["languages"]] == ["fr"]


def test_at_most_five_suggestions_take_a_fixed_number_of_queries(
    viewer: Client, others: list[Movie], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(7):
        rate(viewer.user, *make_films(3, f"genre {number}", "fr"))
    with django_assert_num_queries(7):  # who asks; figures, twice; stated; genres; usual, twice
        found = suggested(viewer)
    with django_assert_num_queries(5):  # what is usual is kept for an hour
        assert suggested(viewer) == found
    assert [row["slug"] for row in found["genres"]] == [f"genre-{number}" for number in range(5)]
