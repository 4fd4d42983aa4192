"""A viewer's history."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from movies import services as movies
from movies.models import Movie
from tests.builders import Client, make_movie, make_screening, make_user
from tests.viewing import PATH, ago, check_in, entries, ids, moment, refused_fields, watch
from users import history
from users.models import Viewing

pytestmark = pytest.mark.django_db


def test_a_viewing_is_listed_with_the_film(viewer: Client) -> None:
    movie = make_movie(genres=["drama"])
    answer = watch(viewer, movie, watched_at="1999-12-31T23:30:00+01:00")
    assert answer.status_code == 201
    said = answer.json()
    assert answer["Location"] == f"/api/v1/users/me/history/{said['id']}"
    assert said["movie_id"] == movie.pk
    assert (said["checked_in"], said["screening_id"]) == (False, None)
    assert said["watched_at"] == "1999-12-31T23:30:00+01:00"
    film = viewer.get(f"/movies/{movie.pk}").json()
    assert entries(viewer) == [{**said, "movie": film}]


def test_a_viewing_without_a_time_is_of_now_and_noted_once(
    viewer: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    this = timezone.now().replace(second=10)
    monkeypatch.setattr(timezone, "now", lambda: this)
    movie = make_movie()
    first, second = watch(viewer, movie), watch(viewer, movie)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert moment(first.json()) == this.replace(second=0, microsecond=0)


def test_the_same_again_is_the_entry_that_stands(viewer: Client) -> None:
    movie, at = make_movie(), "2026-03-01T20:00:00+01:00"
    first = watch(viewer, movie, watched_at=at)
    version = viewer.user.taste_version
    again = watch(viewer, movie, watched_at="2026-03-01T19:00:00Z")
    assert (again.status_code, again.json()) == (200, first.json())
    assert again["Location"] == first["Location"]
    assert viewer.user.taste_version == version
    assert watch(viewer, movie, watched_at="2026-03-02T20:00:00+01:00").status_code == 201
    assert watch(viewer, make_movie(), watched_at=at).status_code == 201
    assert watch(Client(make_user()), movie, watched_at=at).status_code == 201


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"movie_id": "1"}, "body.movie_id"),
        ({"movie_id": True}, "body.movie_id"),
        ({"movie_id": 0}, "body.movie_id"),
        ({"movie_id": 2**63}, "body.movie_id"),
        ({"movie_id": None}, "body.movie_id"),
        ({"screening_id": "1"}, "body.screening_id"),
        ({"screening_id": 0}, "body.screening_id"),
        ({"screening_id": 2**63}, "body.screening_id"),
        ({"watched_at": "2026-03-01T20:00:00"}, "body.watched_at"),
        ({"watched_at": "yesterday"}, "body.watched_at"),
        ({"watched_at": 1_700_000_000}, "body.watched_at"),
        ({"watched_at": "1869-12-31T23:00:00Z"}, "body.watched_at"),
        ({"watched_at": "2199-01-01T00:00:00Z"}, "body.watched_at"),
        ({"watched_at": "99999-01-01T00:00:00Z"}, "body.watched_at"),
        ({"checked_in": True}, "body.checked_in"),
        ({"user_id": 1}, "body.user_id"),
    ],
    ids=str,
)
def test_a_malformed_entry_is_refused_by_its_field(
    viewer: Client, fields: dict[str, Any], field: str
) -> None:
    assert refused_fields(watch(viewer, make_movie(), **fields)) == [field]
    assert not Viewing.objects.exists()


def test_the_future_begins_a_little_later_for_fast_clocks(viewer: Client) -> None:
    movie = make_movie()
    assert watch(viewer, movie, watched_at=ago(minutes=-4)).status_code == 201
    assert refused_fields(watch(viewer, movie, watched_at=ago(minutes=-6))) == ["body.watched_at"]


def test_a_film_that_nobody_may_see_was_not_watched(viewer: Client) -> None:
    withdrawn = make_movie()
    Movie.objects.filter(pk=withdrawn.pk).update(withdrawn_at=timezone.now())
    for movie in (withdrawn, Movie(pk=999_999_999), Movie(pk=2**63 - 1)):
        assert watch(viewer, movie).status_code == 404
    assert not Viewing.objects.exists()


# --- the list


def test_the_latest_comes_first_and_filters_narrow(viewer: Client) -> None:
    screening = make_screening(starts_at=ago(days=2))
    movie = make_movie()
    old = watch(viewer, movie, watched_at="2020-01-01T00:00:00Z").json()["id"]
    new = watch(viewer, movie, watched_at=ago(days=1)).json()["id"]
    here = check_in(viewer, screening).json()["id"]
    assert ids(viewer) == [new, here, old]
    assert ids(viewer, movie_id=movie.pk) == [new, old]
    assert ids(viewer, checked_in=True) == [here]
    assert ids(viewer, checked_in=False) == [new, old]
    assert ids(viewer, **{"from": "2020-01-01T00:00:01Z"}) == [new, here]
    assert ids(viewer, to="2020-01-01T00:00:01Z") == [old]
    assert ids(viewer, **{"from": "2020-01-01T00:00:00Z"}, to="2020-01-01T00:00:00Z") == []
    assert ids(viewer, movie_id=10**30) == []
    assert ids(viewer, page=2, per_page=2) == [old]


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"to": "2020-01-01"},
        {"movie_id": 0},
        {"movie_id": "x"},
        {"checked_in": "perhaps"},
        {"page": 0},
        {"per_page": 101},
    ],
    ids=str,
)
def test_a_bad_question_is_refused(viewer: Client, query: dict[str, Any]) -> None:
    assert refused_fields(viewer.get(PATH, **query)) == [f"query.{next(iter(query))}"]


def test_an_entry_is_deleted_once_and_by_its_viewer(viewer: Client) -> None:
    pk = watch(viewer, make_movie()).json()["id"]
    assert Client(make_user()).delete(f"{PATH}/{pk}").status_code == 404
    assert ids(Client(make_user())) == []
    assert viewer.delete(f"{PATH}/{pk}").status_code == 204
    for gone in (pk, 0, 2**63 - 1, 2**63, 10**30):
        assert viewer.delete(f"{PATH}/{gone}").status_code == 404
    assert ids(viewer) == []


def test_entries_of_withdrawn_films_wait_for_the_film(viewer: Client) -> None:
    movie = make_movie()
    pk = watch(viewer, movie).json()["id"]
    movies.delete_movie(movie_id=movie.pk, force=True)
    assert viewer.get(PATH).json()["pagination"]["total"] == 0
    movies.restore_movie(movie_id=movie.pk)
    assert ids(viewer) == [pk]
    movies.delete_movie(movie_id=movie.pk, force=True)
    assert viewer.delete(f"{PATH}/{pk}").status_code == 204


def test_viewings_are_limited(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_VIEWINGS", 1)
    movie = make_movie()
    assert watch(viewer, movie, watched_at="2020-01-01T00:00:00Z").status_code == 201
    assert watch(viewer, movie, watched_at="2020-01-01T00:00:00Z").status_code == 200
    assert watch(viewer, movie).status_code == 409


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_history_is_for_those_who_have_signed_in(anonymous: Client, method: str) -> None:
    path = f"{PATH}/1" if method == "DELETE" else PATH
    assert anonymous.send(method, path, {"movie_id": 1}).status_code == 401


def test_a_page_costs_the_same_however_much_there_is(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for hours in range(1, 21):
        watch(viewer, make_movie(genres=["drama"]), watched_at=ago(hours=hours))
    for per_page in (1, 20):
        with django_assert_num_queries(4):  # who asks, how many, the page, its genres
            assert len(entries(viewer, per_page=per_page)) == per_page
