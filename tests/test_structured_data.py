"""The programme as JSON-LD: what search engines require, and what a page can hold."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from movies import catalogue
from movies.models import Movie, Screening
from movies.programme.selectors import ProgrammeQuery
from movies.programme.structured_data import build_movie_structured_data
from movies.tmdb.schemas import ATTRIBUTION
from tests.builders import Client, at, interact, make_movie, make_screening, make_user

pytestmark = pytest.mark.django_db

#: Thursday.
DAY = date(2026, 12, 3)
THAT_WEEK = {"from": DAY}
SCHEMA = "https://schema.org/"

#: The properties by schema.org of each type that we use: others would say nothing.
PROPERTIES = {
    "MovieTheater": "name url telephone address",
    "PostalAddress": "streetAddress postalCode addressLocality addressCountry",
    "Movie": "name description image duration datePublished inLanguage genre actor director"
    " aggregateRating sameAs creditText",
    "Person": "name",
    "AggregateRating": "ratingValue ratingCount bestRating worstRating",
    "ScreeningEvent": "identifier name description image startDate endDate eventStatus"
    " eventAttendanceMode location workPresented inLanguage subtitleLanguage videoFormat keywords"
    " offers",
    "Offer": "url availability",
}


@pytest.fixture(autouse=True)
def _cinema(settings: Any) -> None:
    settings.CINEMA_NAME, settings.CINEMA_STREET = "Babylon", "Rosa-Luxemburg-Straße 30"
    settings.CINEMA_POSTAL_CODE, settings.CINEMA_CITY = "10178", "Berlin"
    settings.CINEMA_COUNTRY, settings.CINEMA_PHONE = "DE", "+49 30 2425969"
    settings.PUBLIC_URL = "https://kino.example"


def graph(client: Client, path: str = "/programme.jsonld", /, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(path, **query)
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "application/ld+json"
    document = answer.json()
    assert document["@context"] == "https://schema.org"
    found: list[dict[str, Any]] = document["@graph"]
    return found


def of_type(nodes: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [node for node in nodes if node["@type"] == kind]


def the_event(client: Client, **fields: Any) -> dict[str, Any]:
    """The node of a screening with these fields."""
    make_screening(starts_at=at(DAY, 20), **fields)
    [event] = of_type(graph(client, **THAT_WEEK), "ScreeningEvent")
    return event


def test_a_screening_is_an_event_in_the_cinema_that_presents_a_movie(anonymous: Client) -> None:
    movie = make_movie(name="Cléo", poster="https://kino.example/cleo.jpg")
    screening = make_screening(
        movie,
        starts_at=at(DAY, 23, 30),
        hall="Hall 1",
        version="subtitled",
        subtitles="de",
        tags=["35mm", "q&a"],
        booking_url="https://tickets.example/1",
    )
    theater, _, event = graph(anonymous, **THAT_WEEK)
    assert theater == {
        "@type": "MovieTheater",
        "@id": "https://kino.example/#cinema",
        "name": "Babylon",
        "url": "https://kino.example/",
        "telephone": "+49 30 2425969",
        "address": {
            "@type": "PostalAddress",
            "streetAddress": "Rosa-Luxemburg-Straße 30",
            "postalCode": "10178",
            "addressLocality": "Berlin",
            "addressCountry": "DE",
        },
    }
    assert event == {
        "@type": "ScreeningEvent",
        "@id": f"https://kino.example/api/v1/screenings/{screening.pk}",
        "identifier": str(screening.uid),
        "name": "Cléo",
        "description": "Hall 1. Subtitled, French, German subtitles.",
        "image": "https://kino.example/cleo.jpg",
        "startDate": "2026-12-03T23:30:00+01:00",
        "endDate": "2026-12-04T01:00:00+01:00",
        "eventStatus": f"{SCHEMA}EventScheduled",
        "eventAttendanceMode": f"{SCHEMA}OfflineEventAttendanceMode",
        "location": theater,
        "workPresented": {
            "@type": "Movie",
            "@id": f"https://kino.example/api/v1/movies/{movie.pk}",
            "name": "Cléo",
        },
        "inLanguage": "fr",
        "subtitleLanguage": "de",
        "videoFormat": "35mm",
        "keywords": "35mm, q&a",
        "offers": {
            "@type": "Offer",
            "url": "https://tickets.example/1",
            "availability": f"{SCHEMA}InStock",
        },
    }


def test_a_movie_is_told_once_with_all_that_is_known(anonymous: Client) -> None:
    movie = make_movie(
        name="Cléo",
        protagonists=["Corinne Marchand", "Antoine Bourseiller"],
        directors=["Agnès Varda"],
        overview="Two hours in Paris.",
        genres=["drama", "music"],
        poster="https://kino.example/cleo.jpg",
        tmdb_id=499,
    )
    interact(make_user(), movie, "rating", half_stars=9)
    for hour in (18, 20):
        make_screening(movie, starts_at=at(DAY, hour))
    Movie.objects.update(tmdb_fields=["overview"])
    [node] = of_type(graph(anonymous, **THAT_WEEK), "Movie")
    assert node == {
        "@type": "Movie",
        "@id": f"https://kino.example/api/v1/movies/{movie.pk}",
        "name": "Cléo",
        "description": "Two hours in Paris.",
        "image": "https://kino.example/cleo.jpg",
        "duration": "PT90M",
        "datePublished": "1962",
        "inLanguage": "fr",
        "genre": ["Drama", "Music"],
        "director": [{"@type": "Person", "name": "Agnès Varda"}],
        "actor": [
            {"@type": "Person", "name": "Corinne Marchand"},
            {"@type": "Person", "name": "Antoine Bourseiller"},
        ],
        "aggregateRating": {
            "@type": "AggregateRating",
            "ratingValue": 4.5,
            "ratingCount": 1,
            "bestRating": 5,
            "worstRating": 0.5,
        },
        "sameAs": "https://www.themoviedb.org/movie/499",
        "creditText": ATTRIBUTION,
    }


def test_the_rating_is_of_one_moment(db: None) -> None:
    """Another viewer rates the movie after the cards were made."""
    movie = make_movie()
    snapshot = catalogue.current().snapshot
    snapshot.card(movie)
    interact(make_user(), movie, "rating", half_stars=9)
    movie.refresh_from_db()
    assert movie.rating_count == 1
    query = ProgrammeQuery(DAY, DAY, movie_id=movie.pk)
    document = json.loads(build_movie_structured_data(query, snapshot).body)
    [node] = of_type(document["@graph"], "Movie")
    assert "aggregateRating" not in node


def test_unknown_values_are_left_out(anonymous: Client, settings: Any) -> None:
    settings.CINEMA_STREET = settings.CINEMA_POSTAL_CODE = settings.CINEMA_CITY = ""
    settings.CINEMA_COUNTRY = settings.CINEMA_PHONE = ""
    movie = make_movie(runtime_minutes=None, original_language=None, release_year=None)
    make_screening(movie, starts_at=at(DAY, 20), ends_at=at(DAY, 22))
    theater, film, event = graph(anonymous, **THAT_WEEK)
    assert set(theater) == {"@type", "@id", "name", "url"}
    assert set(film) == {"@type", "@id", "name", "actor"}
    absent = {"image", "inLanguage", "subtitleLanguage", "videoFormat", "keywords", "offers"}
    assert absent.isdisjoint(event)


def test_each_node_has_what_search_engines_require_and_only_what_the_vocabulary_has(
    anonymous: Client,
) -> None:
    """Google: an event needs a name, a start, and a place with name and address."""
    make_screening(
        make_movie(genres=["drama"]), starts_at=at(DAY, 20), booking_url="https://t.example"
    )
    nodes = graph(anonymous, **THAT_WEEK)
    [event] = of_type(nodes, "ScreeningEvent")
    assert event["name"]
    assert datetime.fromisoformat(event["startDate"]).utcoffset() is not None
    assert event["location"]["name"]
    assert event["location"]["address"]["streetAddress"]
    queue: list[Any] = list(nodes)
    while queue:
        node = queue.pop()
        known = {"@type", "@id", *PROPERTIES[node["@type"]].split()}
        assert set(node) <= known
        for value in node.values():
            assert value not in (None, "", [], {}), node
            values = value if isinstance(value, list) else [value]
            queue += [inner for inner in values if isinstance(inner, dict)]


@pytest.mark.parametrize(
    ("state", "status", "availability"),
    [
        ("scheduled", "EventScheduled", "InStock"),
        ("sold-out", "EventScheduled", "SoldOut"),
        ("cancelled", "EventCancelled", None),
    ],
)
def test_an_event_has_the_state_of_the_screening(
    anonymous: Client, state: str, status: str, availability: str | None
) -> None:
    event = the_event(anonymous, state=state, booking_url="https://t.example/ü")
    assert event["eventStatus"] == SCHEMA + status
    assert event.get("offers") == (
        {
            "@type": "Offer",
            "url": "https://t.example/%C3%BC",
            "availability": SCHEMA + availability,
        }
        if availability
        else None
    )


@pytest.mark.parametrize(
    ("tags", "formats"),
    [(["imax", "3d"], "IMAX, 3D"), (["q&a", "70mm"], "70mm"), (["q&a"], None), ([], None)],
)
def test_the_format_comes_from_the_tags(
    anonymous: Client, tags: list[str], formats: str | None
) -> None:
    assert the_event(anonymous, tags=tags).get("videoFormat") == formats


@pytest.mark.parametrize("moment", ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"])
def test_the_doubled_hour_is_told_apart_by_its_offset(staff: Client, moment: str) -> None:
    screening = {"movie_id": make_movie().pk, "hall": "1", "starts_at": moment}
    assert staff.post("/screenings", screening).status_code == 201
    [event] = of_type(graph(staff, **{"from": "2026-10-24"}), "ScreeningEvent")
    assert event["startDate"] == moment


def test_a_movie_has_its_own_document_with_the_screenings_to_come(anonymous: Client) -> None:
    movie = make_movie(name="Cléo")
    today = timezone.localdate()
    kept = [make_screening(movie, starts_at=at(today + timedelta(days=n), 20)) for n in (1, 80)]
    make_screening(starts_at=at(today, 20))
    make_screening(movie, starts_at=at(today - timedelta(days=2), 20))
    theater, film, *events = graph(anonymous, f"/movies/{movie.pk}/programme.jsonld")
    assert (theater["@type"], film["name"]) == ("MovieTheater", "Cléo")
    assert [event["identifier"] for event in events] == [str(s.uid) for s in kept]
    lonely = make_movie(name="Not yet")
    nodes = graph(anonymous, f"/movies/{lonely.pk}/programme.jsonld")
    assert [node["name"] for node in nodes] == ["Babylon", "Not yet"]


def test_hidden_screenings_and_withdrawn_movies_are_not_told(staff: Client) -> None:
    make_screening(starts_at=at(DAY, 20), state="hidden")
    withdrawn = make_screening(starts_at=at(DAY, 20)).movie
    assert staff.delete(f"/movies/{withdrawn.pk}", force=True).status_code == 204
    assert [node["@type"] for node in graph(staff, **THAT_WEEK)] == ["MovieTheater"]


def test_an_id_is_an_address_that_answers(anonymous: Client) -> None:
    make_screening(starts_at=at(DAY, 20))
    _, film, event = graph(anonymous, **THAT_WEEK)
    for node in (film, event):
        path = node["@id"].removeprefix("https://kino.example")
        assert anonymous.get(path).status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "<!-- <script>",
        "]]>",
        "a & b &lt;",
        "\u2028\u2029 ü 🎬",
    ],
)
def test_no_text_can_leave_the_script_that_holds_it(anonymous: Client, text: str) -> None:
    make_screening(make_movie(name=f"x{text}", overview=text), starts_at=at(DAY, 20), tags=["t"])
    Screening.objects.update(tags=[text])
    answer = anonymous.get("/programme.jsonld", **THAT_WEEK)
    assert not {*b"<>&"} & {*answer.content}
    _, film, event = answer.json()["@graph"]
    assert (film["description"], event["keywords"]) == (text, text)
