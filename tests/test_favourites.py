"""The films that a viewer loves: said once, listed, taken back; each viewer's own."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from movies import services as movies
from movies.models import Movie
from recommendations.models import Interaction
from tests.builders import Client, make_movie, make_user
from tests.concurrency import at_once
from users import favourites
from users.models import Favourite

pytestmark = pytest.mark.django_db

PATH = "/users/me/favourites"


def love(client: Client, *movies: Movie) -> None:
    """The first one longest ago."""
    for movie in movies:
        assert client.put(f"{PATH}/{movie.pk}").status_code == 200


def names(client: Client, **query: Any) -> list[str]:
    answer = client.get(PATH, **query)
    assert answer.status_code == 200, answer.content
    return [item["movie"]["name"] for item in answer.json()["data"]]


def withdraw(movie: Movie) -> None:
    movies.delete_movie(movie_id=movie.pk, force=True)


def test_a_favourite_is_listed_with_the_film(viewer: Client) -> None:
    movie = make_movie(genres=["drama"])
    said = viewer.put(f"{PATH}/{movie.pk}")
    assert said.status_code == 200
    assert said.json().keys() == {"movie_id", "added_at"}
    assert said.json()["movie_id"] == movie.pk
    listed = viewer.get(PATH)
    assert listed["Cache-Control"] == "no-store"
    [item] = listed.json()["data"]
    assert item["movie"] == viewer.get(f"/movies/{movie.pk}").json()
    assert item["added_at"] == said.json()["added_at"]
    since = timezone.now() - datetime.fromisoformat(item["added_at"])
    assert timedelta(0) < since < timedelta(minutes=1)


def test_a_repeated_favourite_changes_nothing(viewer: Client) -> None:
    movie = make_movie()
    first = viewer.put(f"{PATH}/{movie.pk}").json()
    version = viewer.user.taste_version
    assert viewer.put(f"{PATH}/{movie.pk}").json() == first
    assert viewer.user.taste_version == version
    assert Favourite.objects.count() == 1


def test_a_removed_favourite_is_gone(viewer: Client) -> None:
    movie = make_movie()
    love(viewer, movie)
    assert viewer.delete(f"{PATH}/{movie.pk}").status_code == 204
    assert viewer.delete(f"{PATH}/{movie.pk}").status_code == 404
    assert names(viewer) == []


def test_the_latest_comes_first_or_the_order_is_by_name(viewer: Client) -> None:
    love(viewer, *(make_movie(name=name) for name in ("Zazie", "Élise", "Amélie", "Eden")))
    assert names(viewer) == ["Eden", "Amélie", "Élise", "Zazie"]
    assert names(viewer, sort="-added_at") == names(viewer)
    assert names(viewer, sort="name") == ["Amélie", "Eden", "Élise", "Zazie"]
    assert viewer.get(PATH, sort="ranking").status_code == 422


def test_genres_narrow_the_list(viewer: Client) -> None:
    love(viewer, make_movie(name="A", genres=["drama", "war"]), make_movie(name="B"))
    love(viewer, make_movie(name="C", genres=["drama"]))
    assert names(viewer, genre="drama") == ["C", "A"]
    assert names(viewer, genre="war") == ["A"]
    assert names(viewer, genre="no-such-genre") == []


def test_pages_count_and_end(viewer: Client) -> None:
    love(viewer, *(make_movie(name=name) for name in "ABC"))
    answer = viewer.get(PATH, page=2, per_page=2).json()
    assert [item["movie"]["name"] for item in answer["data"]] == ["A"]
    assert answer["pagination"] == {"page": 2, "per_page": 2, "total": 3, "pages": 2}
    assert names(viewer, page=9) == []
    assert viewer.get(PATH, per_page=101).status_code == 422


def test_favourites_of_others_are_hidden(viewer: Client) -> None:
    other, movie = Client(make_user()), make_movie()
    love(other, movie)
    assert names(viewer) == []
    assert viewer.delete(f"{PATH}/{movie.pk}").status_code == 404
    assert names(other) == [movie.name]


def test_an_invisible_film_cannot_be_a_favourite(viewer: Client) -> None:
    withdrawn = make_movie()
    Movie.objects.filter(pk=withdrawn.pk).update(withdrawn_at=timezone.now())
    for movie_id in (withdrawn.pk, 0, 999_999_999, 2**63 - 1, 2**63, 10**30):
        assert viewer.put(f"{PATH}/{movie_id}").status_code == 404
        assert viewer.delete(f"{PATH}/{movie_id}").status_code == 404
    for path in (f"{PATH}/{'9' * 5000}", f"{PATH}/-1", f"{PATH}/one"):
        assert viewer.put(path).status_code == 404
    assert not Favourite.objects.exists()


def test_a_withdrawn_film_is_left_out_and_kept(viewer: Client) -> None:
    """It comes back with the film; until then it can be taken back all the same."""
    movie, other = make_movie(name="A"), make_movie(name="B")
    love(viewer, movie, other)
    withdraw(movie)
    withdraw(other)
    assert viewer.get(PATH).json()["pagination"]["total"] == 0
    movies.restore_movie(movie_id=movie.pk)
    assert names(viewer) == ["A"]
    assert viewer.delete(f"{PATH}/{other.pk}").status_code == 204


def test_a_favourite_film_is_not_deleted_without_force(viewer: Client, staff: Client) -> None:
    movie = make_movie()
    love(viewer, movie)
    refused = staff.delete(f"/movies/{movie.pk}")
    assert refused.status_code == 409
    assert refused.json()["counts"] == {"favourites": 1}


def test_favourites_are_limited(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(favourites, "MAX_FAVOURITES", 2)
    first, second, third = (make_movie() for _ in range(3))
    love(viewer, first, second)
    assert viewer.put(f"{PATH}/{third.pk}").status_code == 409
    love(viewer, first)  # it is there already
    viewer.delete(f"{PATH}/{first.pk}")
    love(viewer, third)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_favourites_are_for_those_who_have_signed_in(anonymous: Client, method: str) -> None:
    path = PATH if method == "GET" else f"{PATH}/{make_movie().pk}"
    assert anonymous.send(method, path).status_code == 401


def test_a_page_costs_the_same_however_much_there_is(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    love(viewer, *(make_movie(genres=["drama", "war"]) for _ in range(30)))
    for query in ({"per_page": 1}, {"per_page": 30}, {"sort": "name", "genre": "drama"}):
        with django_assert_num_queries(4):  # who asks, how many, the page, its genres
            assert viewer.get(PATH, **query).json()["data"]


@pytest.mark.django_db(transaction=True)
def test_at_once_a_film_is_loved_once_and_the_limit_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(favourites, "MAX_FAVOURITES", 3)
    user = make_user()
    first, *others = (make_movie() for _ in range(6))

    def put(movie: Movie) -> int:
        return Client(user).put(f"{PATH}/{movie.pk}").status_code

    assert at_once([partial(put, first)] * 6) == [200] * 6
    assert Favourite.objects.count() == 1
    statuses = at_once([partial(put, movie) for movie in others])
    assert sorted(statuses) == [200, 200, 409, 409, 409]
    assert Favourite.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_love_and_ratings_at_once_do_not_lock_each_other_out() -> None:
    users, films = [make_user() for _ in range(3)], [make_movie() for _ in range(2)]

    def love_and_rate(number: int) -> list[int]:
        client, movie = Client(users[number % 3]), films[number % 2]
        return [
            client.put(f"{PATH}/{movie.pk}").status_code,
            client.put(f"/movies/{movie.pk}/rating", {"stars": 4}).status_code,
        ]

    for _ in range(3):
        calls = [partial(love_and_rate, number) for number in range(6)]
        assert at_once(calls) == [[200, 200]] * 6
    assert Favourite.objects.count() == Interaction.objects.count() == 6


@pytest.mark.django_db(transaction=True)
def test_a_film_deleted_meanwhile_is_not_found() -> None:
    user, staff = make_user(), make_user(is_staff=True)
    for _ in range(5):
        movie = make_movie()
        path = f"{PATH}/{movie.pk}"
        put = partial(lambda path: Client(user).put(path).status_code, path)
        delete = partial(lambda pk: Client(staff).delete(f"/movies/{pk}").status_code, movie.pk)
        said, deleted = at_once([put, delete])
        assert (said, deleted) in {(200, 409), (404, 204)}
        assert Favourite.objects.filter(movie_id=movie.pk).exists() == (said == 200)
