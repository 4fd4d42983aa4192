"""Directors: apart from the cast wherever a film is written and shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cinema.development.simulated_programme import load_films
from movies.metadata import actors_of, as_protagonists
from movies.models import Movie
from tests.builders import Client, make_movie, make_screening
from tests.catalogue import film, posted, refused_fields

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("protagonists", "directors", "actors"),
    [
        (["Corinne Marchand"], ["Agnès Varda"], ["Corinne Marchand"]),
        # Clients without the field `directors` list directors as protagonists.
        (["Agnès Varda", "Corinne Marchand"], ["Agnès Varda"], ["Corinne Marchand"]),
        (["A", "B", "C"], ["B", "A"], ["C"]),
        # Behind an actor stands who acts.
        (["Swank", "Eastwood"], ["Eastwood"], ["Swank", "Eastwood"]),
        (["Agnès Varda"], ["Agnès Varda"], []),
        (["Agnès Varda"], [], ["Agnès Varda"]),
        (["Unknown"], [], []),
    ],
)
def test_json_ld_and_the_feed_name_directors_and_actors(
    anonymous: Client, protagonists: list[str], directors: list[str], actors: list[str]
) -> None:
    movie = make_movie(protagonists=protagonists, directors=directors)
    graph = anonymous.get(f"/movies/{movie.pk}/programme.jsonld").json()["@graph"]
    [node] = [node for node in graph if node["@type"] == "Movie"]
    assert [person["name"] for person in node.get("director", [])] == directors
    assert [person["name"] for person in node.get("actor", [])] == actors
    feed = anonymous.get("/movies/feed.atom").content.decode()
    assert (f"Directed by {', '.join(directors)}." in feed) is bool(directors)
    assert (f"With {', '.join(actors)}." in feed) is bool(actors)


@pytest.mark.parametrize(
    ("cast", "directors", "expected"),
    [
        (["Chaplin", "Goddard", "Bergman"], ["Chaplin"], ["Goddard", "Chaplin", "Bergman"]),
        (["A", "B"], ["B"], ["A", "B"]),
        (["A", "B"], ["A", "B"], ["A", "B"]),
        (["A"], ["B"], ["A"]),
        ([], ["B"], []),
    ],
)
def test_a_cast_is_written_so_that_directors_in_it_count_as_actors(
    cast: list[str], directors: list[str], expected: list[str]
) -> None:
    assert as_protagonists(cast, directors) == expected
    if any(name not in directors for name in cast):
        assert set(actors_of(expected, directors)) == set(cast)


def test_the_demonstration_names_as_actors_those_who_act() -> None:
    for each in load_films():
        assert set(actors_of(each.protagonists, each.directors)) == set(each.actors), each.name


def test_directors_are_posted_shown_changed_and_logged(staff: Client, anonymous: Client) -> None:
    movie = posted(staff, directors=["Agnès Varda"])
    assert movie["directors"] == ["Agnès Varda"]
    path = f"/movies/{movie['id']}"
    assert anonymous.get(path).json()["directors"] == ["Agnès Varda"]
    changed = staff.patch(path, {"directors": ["Jacques Demy", "Agnès Varda"]}).json()
    assert changed["directors"] == ["Jacques Demy", "Agnès Varda"]
    assert changed["protagonists"] == movie["protagonists"]
    [entry] = [
        each
        for each in staff.get("/audit", movie_id=movie["id"]).json()["data"]
        if each["action"] == "update"
    ]
    assert entry["before"]["directors"] == ["Agnès Varda"]
    assert entry["after"]["directors"] == ["Jacques Demy", "Agnès Varda"]
    assert staff.patch(path, {"directors": []}).json()["directors"] == []


def test_a_film_without_directors_is_posted_as_before(staff: Client) -> None:
    assert posted(staff)["directors"] == []


@pytest.mark.parametrize("value", [None, "Agnès Varda", [""], [7], ["x" * 201], ["A"] * 21])
def test_bad_directors_are_refused(staff: Client, value: Any) -> None:
    assert refused_fields(staff.post("/movies", film(directors=value))) == ["body.directors"]


def test_a_director_is_found(staff: Client, anonymous: Client) -> None:
    movie = posted(staff, directors=["Agnès Varda"])
    for query in ({"person": "AGNES VARDA"}, {"q": "varda"}, {"q": "agn"}):
        [found] = anonymous.get("/movies", **query).json()["data"]
        assert found["id"] == movie["id"]
    staff.patch(f"/movies/{movie['id']}", {"directors": ["Jacques Demy"]})
    assert anonymous.get("/movies", person="Agnès Varda").json()["data"] == []


def test_a_director_written_by_sql_is_shown_at_once(anonymous: Client) -> None:
    """The version of the catalogue, by which answers are kept, follows the directors."""
    movie = make_movie(directors=["Agnès Varda"])
    make_screening(movie)
    assert b"Jacques Demy" not in anonymous.get("/programme").content
    Movie.objects.filter(pk=movie.pk).update(directors=["Jacques Demy"])
    assert b"Jacques Demy" in anonymous.get("/programme").content


def test_graphql_and_the_import_have_directors(staff: Client) -> None:
    row = film(name="Imported", directors=["Agnès Varda"])
    imported = staff.post("/movies/import", {"movies": [row]}).json()
    assert (imported["created"], imported["refused"]) == (1, [])
    again = staff.post("/movies/import", {"movies": [{**row, "directors": ["Jacques Demy"]}]})
    assert again.json()["movies"][0]["changed"] == ["directors"]
    answer = staff.post("/graphql", {"query": "{ movies { edges { node { directors } } } }"})
    assert answer.json()["data"]["movies"]["edges"] == [{"node": {"directors": ["Jacques Demy"]}}]


def test_the_page_names_everybody_once(anonymous: Client) -> None:
    soon = timezone.localdate() + timedelta(days=9)
    make_movie(protagonists=["Agnès Varda", "Corinne"], directors=["Agnès Varda"], start_date=soon)
    page = anonymous.get("/").content.decode()
    assert "<small>Agnès Varda, Corinne</small>" in page
