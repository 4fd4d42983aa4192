"""A viewer's own ratings, listed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from movies import services as movies
from recommendations.models import Interaction
from tests.audience import rate
from tests.builders import Client, interact, make_movie, make_user

pytestmark = pytest.mark.django_db

PATH = "/users/me/ratings"


def names(client: Client, **query: Any) -> list[str]:
    answer = client.get(PATH, **query)
    assert answer.status_code == 200, answer.content
    return [item["movie"]["name"] for item in answer.json()["data"]]


def test_a_rating_is_listed_with_the_film(viewer: Client) -> None:
    movie = make_movie(genres=["drama"])
    said = rate(viewer, movie, 4.5).json()
    answer = viewer.get(PATH)
    assert answer["Cache-Control"] == "no-store"
    [item] = answer.json()["data"]
    assert item["movie"] == viewer.get(f"/movies/{movie.pk}").json()
    assert item["stars"] == 4.5
    assert item["rated_at"] == said["updated_at"]
    assert timezone.now() - datetime.fromisoformat(item["rated_at"]) < timedelta(minutes=1)


def test_only_the_own_ratings_and_nothing_else_is_listed(viewer: Client) -> None:
    rated, liked = make_movie(name="Rated"), make_movie(name="Liked")
    rate(viewer, rated, 3)
    interact(viewer.user, liked, "like")
    rate(Client(make_user()), liked, 5)
    assert names(viewer) == ["Rated"]


def test_the_latest_comes_first_also_after_a_change_of_mind(viewer: Client) -> None:
    first, second, third = (make_movie(name=name) for name in ("Zazie", "Amélie", "Élise"))
    for movie, stars in ((first, 2), (second, 5), (third, 5)):
        rate(viewer, movie, stars)
    assert names(viewer) == ["Élise", "Amélie", "Zazie"]
    rate(viewer, first, 3)
    assert names(viewer) == names(viewer, sort="-rated_at") == ["Zazie", "Élise", "Amélie"]
    assert names(viewer, sort="-stars") == ["Élise", "Amélie", "Zazie"]
    assert names(viewer, sort="stars") == ["Zazie", "Élise", "Amélie"]
    assert names(viewer, sort="name") == ["Amélie", "Élise", "Zazie"]


def test_stars_and_genres_narrow_the_list(viewer: Client) -> None:
    for stars in (1, 2.5, 4, 5):
        rate(viewer, make_movie(name=str(stars), genres=["drama"] if stars > 3 else []), stars)
    assert names(viewer, stars_from=2.5) == ["5", "4", "2.5"]
    assert names(viewer, stars_to=2.5) == ["2.5", "1"]
    assert names(viewer, stars_from=2.5, stars_to=4) == ["4", "2.5"]
    assert names(viewer, stars_from=5, stars_to=1) == []
    assert names(viewer, genre="drama") == ["5", "4"]
    assert names(viewer, genre="no-such-genre") == []
    assert names(viewer, page=2, per_page=3) == ["1"]


@pytest.mark.parametrize(
    "query",
    [
        {"stars_from": 0},
        {"stars_from": 5.5},
        {"stars_to": 2.25},
        {"stars_to": "nan"},
        {"stars_to": "inf"},
        {"stars_to": "many"},
        {"sort": "rating"},
        {"page": 0},
        {"per_page": 101},
    ],
    ids=str,
)
def test_a_bad_question_is_refused(viewer: Client, query: dict[str, Any]) -> None:
    answer = viewer.get(PATH, **query)
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == [f"query.{next(iter(query))}"]


def test_ratings_of_withdrawn_films_wait_for_the_film(viewer: Client) -> None:
    movie = make_movie(name="A")
    rate(viewer, movie, 4)
    movies.delete_movie(movie_id=movie.pk, force=True)
    assert viewer.get(PATH).json()["pagination"]["total"] == 0
    movies.restore_movie(movie_id=movie.pk)
    assert names(viewer) == ["A"]


def test_ratings_are_for_those_who_have_signed_in(anonymous: Client) -> None:
    assert anonymous.get(PATH).status_code == 401


def test_a_page_costs_the_same_however_much_there_is(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(20):
        rate(viewer, make_movie(genres=["drama"]), 4)
    assert Interaction.objects.count() == 20
    for query in ({"per_page": 1}, {"per_page": 20}, {"sort": "name", "genre": "drama"}):
        with django_assert_num_queries(4):  # who asks, how many, the page, its genres
            assert viewer.get(PATH, **query).json()["data"]
