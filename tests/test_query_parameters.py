"""A query parameter that an operation does not have is refused wherever JSON is answered."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from cinema.http import LONGEST_NAME, MAX_NAMED
from movies.models import Movie
from tests.builders import Client, make_movie, make_screening
from tests.test_openapi import _text, operations, without_repeats

pytestmark = pytest.mark.django_db


def errors(client: Client, path: str, query: str) -> dict[str, str]:
    """The messages of a refused GET, by field."""
    answer = client.send("GET", f"{path}?{query}")
    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json"), path
    return {each["field"]: each["message"] for each in answer.json()["errors"]}


@pytest.mark.parametrize(
    ("path", "typed", "meant"),
    [
        ("/movies", "langage=fr", "language"),
        ("/movies", "Genre=drama", "genre"),
        ("/movies", "per-page=5", "per_page"),
        ("/movies", "q%00=x", "q"),
        ("/programme", "form=2026-12-03", "from"),
        ("/programme", "from_=2026-12-03", "from"),
        ("/programme", "HALL=1", "hall"),
        ("/programme", "subtitle=en", "subtitles"),
        ("/screenings", "subtitle=en", "subtitles"),
        ("/screenings", "movieid=3", "movie_id"),
        ("/genres", "pages=2", "page"),
        ("/movies/trending", "pagee=2", "page"),
        ("/movies/popular", "similarty=true", "similarity"),
        ("/recommendations", "scop=programme", "scope"),
        ("/recommendations/next", "bach=2", "batch"),
        ("/matches", "limits=2", "limit"),
        ("/playlists", "perpage=3", "per_page"),
        ("/users/me/ratings", "per_pag=3", "per_page"),
    ],
)
def test_a_refusal_suggests_the_similar_parameter(
    viewer: Client, path: str, typed: str, meant: str
) -> None:
    [(field, message)] = errors(viewer, path, typed).items()
    assert field.startswith("query.")
    assert message == f"There is no such parameter. Did you mean `{meant}`?"


def test_without_a_near_name_all_are_listed(anonymous: Client) -> None:
    [message] = errors(anonymous, "/genres", "utm_source=newsletter").values()
    assert message == "There is no such parameter. Those of this address are: page, per_page."


def test_an_address_without_parameters_says_so(viewer: Client) -> None:
    movie = make_movie()
    for path in (f"/movies/{movie.pk}", "/users/me", "/recommendations/algorithms"):
        [message] = errors(viewer, path, "fields=name").values()
        assert message == "There is no such parameter: this address takes none."


def test_each_unknown_parameter_is_named(anonymous: Client) -> None:
    found = errors(anonymous, "/movies", "genre=drama&langage=fr&statis=running&page=2")
    assert found.keys() == {"query.langage", "query.statis"}


@pytest.mark.parametrize("query", ["page=1&page=2", "page=2&genre=drama&page=2"])
def test_a_single_value_given_twice_is_refused(anonymous: Client, query: str) -> None:
    assert errors(anonymous, "/movies", query) == {
        "query.page": "This parameter is given more than once."
    }


def test_a_name_without_a_value_counts(anonymous: Client) -> None:
    assert errors(anonymous, "/movies", "langage").keys() == {"query.langage"}
    assert errors(anonymous, "/movies", "=x").keys() == {"query."}


@pytest.mark.parametrize("path", ["/programme", "/screenings"])
def test_a_list_of_values_may_be_given_one_by_one(anonymous: Client, path: str) -> None:
    assert anonymous.send("GET", f"{path}?tag=35mm&tag=3d").status_code == 200


@pytest.mark.parametrize("query", ["", "&", "&&page=1&"])
def test_an_empty_query_string_part_is_no_parameter(anonymous: Client, query: str) -> None:
    assert anonymous.send("GET", f"/movies?{query}").status_code == 200


def test_a_refusal_of_parameters_is_short(anonymous: Client) -> None:
    hostile = urlencode({f"{number}{'langage' * 500}": "x" for number in range(200)})
    found = errors(anonymous, "/movies", hostile)
    assert len(found) == MAX_NAMED
    assert max(map(len, found)) == len("query.") + LONGEST_NAME


def test_permissions_are_checked_before_parameters(anonymous: Client, viewer: Client) -> None:
    assert anonymous.get("/users/me/history", pag="1").status_code == 401
    assert viewer.get("/releases", pag="1").status_code == 403


def test_a_misspelt_parameter_stops_a_write(staff: Client) -> None:
    movie = make_movie()
    make_screening(movie)
    assert staff.delete(f"/movies/{movie.pk}", forse="true").status_code == 422
    assert Movie.objects.published().filter(pk=movie.pk).exists()
    assert staff.delete(f"/movies/{movie.pk}", force="true").status_code == 204


@pytest.mark.parametrize(
    "path",
    ["/programme.ics", "/programme.jsonld", "/movies/feed.atom", "/movies/{}/programme.ics"],
)
def test_calendars_and_feeds_ignore_what_they_do_not_know(anonymous: Client, path: str) -> None:
    path = path.format(make_movie().pk)
    answer = anonymous.send("GET", f"{path}?utm_source=x&_=123&langage=fr&langage=de")
    assert answer.status_code == 200
    assert answer.content


def test_pages_ignore_what_they_do_not_know(anonymous: Client) -> None:
    for path in ("/api/v1/docs", "/account/verify-email", "/health/live"):
        assert anonymous.send("GET", f"{path}?utm_source=x").status_code == 200, path


def test_every_operation_refuses_unknown_parameters(staff: Client) -> None:
    """No GET of the document gives 200 for a name that it does not declare."""
    import json

    document: dict[str, Any] = json.loads(_text(), object_pairs_hook=without_repeats)
    asked = 0
    for name, operation in operations(document):
        method, path = name.split()
        answers = operation["responses"].get("200", {}).get("content", {})
        if method != "GET" or "application/json" not in answers or "{" in path:
            continue
        required = {
            each["name"]: "x" for each in operation.get("parameters", []) if each["required"]
        }
        answer = staff.send("GET", path, query={**required, "unheard_of": "x"})
        assert answer.status_code == 422, name
        assert answer.json()["errors"][0]["field"] == "query.unheard_of", name
        asked += 1
    assert asked > 25
