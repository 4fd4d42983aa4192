"""Screenings by what one hears and reads in them, by what a viewer understands, and by tags."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.builders import Client, at, make_movie, make_screening
from tests.catalogue import programme, refused_fields

pytestmark = pytest.mark.django_db

#: Thursday.
DAY = date(2026, 12, 3)
#: The screenings by the tag that identifies each: what is spoken and written in a French film.
SCREENINGS: dict[str, dict[str, Any]] = {
    "original": {},
    "inherited": {"language": None},
    "subtitled": {"version": "subtitled", "subtitles": "en"},
    "dubbed": {"version": "dubbed", "language": "de"},
    "dubbed-somehow": {"version": "dubbed"},
    "dubbed-and-subtitled": {"version": "dubbed", "language": "de", "subtitles": "zh-Hant"},
    "accessible": {"language": "en-GB", "tags": ["audio-description", "wheelchair"]},
    "silent": {"language": "zxx"},
}
ALL = set(SCREENINGS)


@pytest.fixture(autouse=True)
def _screenings() -> None:
    movie = make_movie(name="Cléo", original_language="fr", genres=["drama"])
    for hour, (name, fields) in enumerate(SCREENINGS.items(), 10):
        tags = [name, *fields.get("tags", [])]
        make_screening(movie, starts_at=at(DAY, hour), **{**fields, "tags": tags})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ALL),
        ({"language": "fr"}, {"original", "inherited", "subtitled"}),
        ({"language": "de"}, {"dubbed", "dubbed-and-subtitled"}),
        ({"language": "en"}, {"accessible"}),
        ({"language": "en-US"}, set()),
        ({"subtitles": "en"}, {"subtitled"}),
        ({"subtitles": "ENG"}, {"subtitled"}),
        ({"subtitles": "zh"}, {"dubbed-and-subtitled"}),
        ({"subtitles": "fr"}, set()),
        ({"language": "de", "subtitles": "zh"}, {"dubbed-and-subtitled"}),
        ({"understands": "en"}, {"subtitled", "accessible", "silent"}),
        ({"understands": "zh"}, {"dubbed-and-subtitled", "silent"}),
        ({"understands": "fr"}, {"original", "inherited", "subtitled", "silent"}),
        ({"understands": ["de", "en"]},
         {"dubbed", "dubbed-and-subtitled", "subtitled", "accessible", "silent"}),
        ({"understands": "en", "language": "fr"}, {"subtitled"}),
        ({"tag": "wheelchair"}, {"accessible"}),
        ({"tag": ["wheelchair", "Audio-Description"]}, {"accessible"}),
        ({"tag": ["wheelchair", "35mm"]}, set()),
        ({"tag": ["accessible"], "understands": "fr"}, set()),
        ({"tag": ["accessible"], "understands": ["fr", "en"]}, {"accessible"}),
        ({"genre": "drama", "status": "running", "subtitles": "en"}, {"subtitled"}),
        ({"genre": "music", "subtitles": "en"}, set()),
        ({"status": "finished"}, set()),
    ],
)  # fmt: skip
def test_every_view_of_the_programme_has_the_same_filters(
    anonymous: Client, query: dict[str, Any], expected: set[str]
) -> None:
    days = programme(anonymous, **{"from": DAY, "to": DAY}, **query)["days"]
    found = [s for day in days for movie in day["movies"] for s in movie["screenings"]]
    assert {s["tags"][0] for s in found} == expected
    listed = anonymous.get("/screenings", per_page=100, **query).json()
    assert {s["tags"][0] for s in listed["data"]} == expected
    assert listed["pagination"]["total"] == len(expected)
    week = {"from": DAY, "to": DAY, **query}
    calendar = anonymous.get("/programme.ics", **week).content.decode()
    assert calendar.count("BEGIN:VEVENT") == len(expected)
    graph = anonymous.get("/programme.jsonld", **week).json()["@graph"]
    events = [node for node in graph if node["@type"] == "ScreeningEvent"]
    assert {node["keywords"].split(", ")[0] for node in events} == expected


@pytest.mark.parametrize("path", ["/programme", "/screenings", "/programme.ics"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"language": "french"}, "query.language"),
        ({"subtitles": "qq"}, "query.subtitles"),
        ({"subtitles": ""}, "query.subtitles"),
        ({"understands": ["en", "English"]}, "query.understands"),
        ({"understands": ["en"] * 21}, "query.understands"),
        ({"tag": ["x"] * 21}, "query.tag"),
        ({"tag": "x" * 501}, "query.tag"),
        ({"status": "soon"}, "query.status"),
    ],
)
def test_a_bad_filter_is_refused_and_named(
    anonymous: Client, path: str, query: dict[str, Any], field: str
) -> None:
    assert refused_fields(anonymous.get(path, **query)) == [field]


def test_coming_up_has_the_films_that_the_viewer_understands(anonymous: Client) -> None:
    soon = timezone.localdate() + timedelta(days=9)
    for name, code in {"A": "en-GB", "B": "ja", "C": "zxx", "D": None}.items():
        make_movie(name=name, original_language=code, start_date=soon)

    def coming(**query: Any) -> list[str]:
        return [movie["name"] for movie in programme(anonymous, **query)["coming_up"]]

    assert coming() == ["A", "B", "C", "D"]
    assert coming(understands="en") == ["A", "C"]
    assert coming(understands=["en", "ja"]) == ["A", "B", "C"]
    assert coming(language="en") == ["A"]
    # A film without a screening has neither subtitles nor tags.
    assert coming(subtitles="en") == coming(tag="35mm") == []


def test_a_new_dubbed_screening_does_not_take_over_the_language_of_its_film(staff: Client) -> None:
    movie = make_movie(original_language="ja", runtime_minutes=90)
    show = {"movie_id": movie.pk, "hall": "A", "starts_at": "2026-12-05T20:00:00+01:00"}
    assert staff.post("/screenings", {**show, "version": "dubbed"}).json()["language"] is None
    pattern = {"movie_id": movie.pk, "hall": "B", "times": ["20:00"], "version": "dubbed",
               "from": "2026-12-05", "to": "2026-12-05"}  # fmt: skip
    assert staff.post("/screenings/bulk", pattern).status_code == 201
    pattern = {**pattern, "hall": "C", "version": "subtitled"}
    assert staff.post("/screenings/bulk", pattern).status_code == 201
    found = movie.screenings.order_by("hall__name").values_list("version", "language")
    assert list(found) == [("dubbed", None), ("dubbed", None), ("subtitled", "ja")]


def test_graphql_has_the_same_filters(anonymous: Client) -> None:
    query = """
    query($understands: [String!], $tags: [String!], $subtitles: String) {
      screenings(
        genre: "drama", status: RUNNING,
        understands: $understands, tags: $tags, subtitles: $subtitles
      ) {
        edges { node { tags } } }
      programme(from: "2026-12-03", understands: $understands, tags: $tags, subtitles: $subtitles) {
        days { movies { screenings { tags } } } }
    }"""

    def found(**variables: Any) -> list[str]:
        answer = anonymous.post("/graphql", {"query": query, "variables": variables}).json()
        assert "errors" not in answer, answer
        data = answer["data"]
        listed = [edge["node"]["tags"][0] for edge in data["screenings"]["edges"]]
        days = data["programme"]["days"]
        shown = [s["tags"][0] for d in days for m in d["movies"] for s in m["screenings"]]
        assert shown == listed
        return listed

    assert set(found()) == ALL
    assert found(understands=["en"]) == ["subtitled", "accessible", "silent"]
    assert found(tags=["accessible", "wheelchair"]) == ["accessible"]
    assert found(subtitles="ZH") == ["dubbed-and-subtitled"]
    refused = anonymous.post(
        "/graphql", {"query": '{ screenings(understands: ["English"]) { totalCount } }'}
    ).json()
    assert "BCP 47" in refused["errors"][0]["message"]


def test_the_filters_cost_no_query(
    anonymous: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    query = {"understands": ["en", "fr"], "tag": ["original"], "genre": "drama"}
    with django_assert_num_queries(3):  # the catalogue's version, how many, and the page
        assert len(anonymous.get("/screenings", **query).json()["data"]) == 1


def test_a_screening_without_a_language_is_told_of_in_the_films(anonymous: Client) -> None:
    """But a dubbed one is in a language that is not known."""
    calendar = anonymous.get("/programme.ics", **{"from": DAY, "tag": "inherited"}).content.decode()
    assert "Original\\, French" in calendar
    [movie_event] = [
        node
        for node in anonymous.get(
            "/programme.jsonld", **{"from": DAY, "tag": "dubbed-somehow"}
        ).json()["@graph"]
        if node["@type"] == "ScreeningEvent"
    ]
    assert "inLanguage" not in movie_event
