"""`include_movie_details=false` leaves the movie objects out of a list, and keeps their ids."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.fixtures import Settings

from cinema.response_cache import responses
from movies.models import Movie
from recommendations.matches.services import match_all
from tests.audience import listed, rate
from tests.builders import Client, make_movie, make_screening
from tests.matching import like, make_films, make_viewer
from tests.showing import left

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

OFF = {"include_movie_details": "false"}


def without_movies(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "movie"}


def test_a_list_without_details_is_the_same_list(viewer: Client) -> None:
    for _ in range(5):
        make_screening(make_movie(genres=["drama"]))
    for query in ({}, {"scope": "programme"}, {"limit": 2}):
        full = listed(viewer, **query)
        bare = listed(viewer, **query, **OFF)
        assert full["items"]
        assert [item["movie"]["id"] for item in full["items"]] == [
            item["movie_id"] for item in full["items"]
        ]
        assert bare == {**full, "items": [without_movies(item) for item in full["items"]]}
        assert listed(viewer, **query) == full
    following = viewer.get("/recommendations/next").json()
    bare = viewer.get("/recommendations/next", **OFF).json()
    assert following["items"]
    assert bare == {**following, "items": [without_movies(item) for item in following["items"]]}


def test_without_details_a_list_counts_once_as_shown(viewer: Client) -> None:
    for _ in range(3):
        make_movie()
    listed(viewer, **OFF)
    once = left()
    listed(viewer)
    assert left() == once


def test_similar_films_are_kept_in_both_forms(anonymous: Client, settings: Settings) -> None:
    films = [make_movie(genres=["drama"], overview="A train through the snow") for _ in range(4)]
    path = f"/movies/{films[0].pk}/similar"
    for _ in range(2):
        full, bare = anonymous.get(path), anonymous.get(path, **OFF)
        assert len(full.json()["data"]) == 3
        assert bare.json()["data"] == [
            {
                "movie_id": item["id"],
                **{name: item[name] for name in ("score", "source", "reasons")},
            }
            for item in full.json()["data"]
        ]
        assert full["ETag"] != bare["ETag"]
        send = anonymous.send
        headers = {"If-None-Match": full["ETag"]}
        assert send("GET", path, headers=headers).status_code == 304
        assert send("GET", path, query=OFF, headers=headers).status_code == 200
        responses.forget()  # the next time they come from the cache that all processes share


def test_matches_name_the_shared_films_by_their_ids(settings: Settings) -> None:
    settings.MATCH_SHRINKAGE = 1
    films = make_films(4)
    viewer, match = make_viewer("Viewer"), make_viewer("Match")
    like(viewer, films)
    like(match, films)
    match_all()
    client = Client(viewer)
    [full] = client.get("/matches").json()["data"]
    [bare] = client.get("/matches", **OFF).json()["data"]
    assert len(full["shared"]) == 3
    shared = [{"movie_id": movie["id"]} for movie in full["shared"]]
    assert bare == {**full, "shared": shared}


def fill(viewer: Client) -> list[Movie]:
    films = [make_movie(genres=["drama", "music"]) for _ in range(3)]
    for film in films:
        viewer.put(f"/users/me/favourites/{film.pk}")
        watched_at = timezone.now().isoformat()
        viewer.post("/users/me/history", {"movie_id": film.pk, "watched_at": watched_at})
        rate(viewer, film, 4)
    return films


@pytest.mark.parametrize("what", ["favourites", "history", "ratings"])
def test_a_viewers_own_lists_have_both_forms(viewer: Client, what: str) -> None:
    films = fill(viewer)
    path = f"/users/me/{what}"
    with CaptureQueriesContext(connection) as with_details:
        full = viewer.get(path).json()
    with CaptureQueriesContext(connection) as without_details:
        bare = viewer.get(path, **OFF).json()
    assert {item["movie_id"] for item in full["data"]} == {film.pk for film in films}
    assert {item["movie"]["id"] for item in full["data"]} == {film.pk for film in films}
    assert bare["pagination"] == full["pagination"]
    assert bare["data"] == [without_movies(item) for item in full["data"]]
    assert len(without_details) < len(with_details)
    movie = viewer.get(f"/movies/{films[0].pk}").json()
    [shown] = [item["movie"] for item in full["data"] if item["movie_id"] == films[0].pk]
    assert shown == {name: movie[name] for name in shown}
    assert movie.keys() - shown.keys() <= {"similarity_score"}


@pytest.mark.parametrize("value", ["no", "False", "0"])
def test_a_boolean_parameter_has_the_usual_spellings(viewer: Client, value: str) -> None:
    make_movie()
    [item] = listed(viewer, include_movie_details=value)["items"]
    assert "movie" not in item


def test_an_invalid_boolean_is_refused(viewer: Client) -> None:
    answer = viewer.get("/recommendations", include_movie_details="perhaps")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "query.include_movie_details"
