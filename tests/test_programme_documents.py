"""Every document of the programme has one query, one cache and one set of headers."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cinema.response_cache import responses
from movies import catalogue
from movies.days import cinema_day
from movies.models import Screening
from movies.programme.document import LINKED, PROGRAMME
from tests.builders import Client, at, make_movie, make_screening
from tests.calendars import calendar_events
from tests.catalogue import programme, refused_fields
from tests.outages import database_refusing

pytestmark = pytest.mark.django_db

#: Thursday.
DAY = date(2026, 12, 3)
THAT_WEEK = {"from": DAY}

FILTERED = ("/programme", "/programme.ics", "/programme.jsonld")
#: The content type of each document.
DOCUMENTS = {
    "/programme": "application/json",
    "/programme.ics": "text/calendar; charset=utf-8",
    "/programme.jsonld": "application/ld+json",
    "/movies/{id}/programme.ics": "text/calendar; charset=utf-8",
    "/movies/{id}/programme.jsonld": "application/ld+json",
    "/movies/feed.atom": "application/atom+xml; charset=utf-8",
    "/": "text/html; charset=utf-8",
}
#: The queries that make it: the catalogue's version and the document itself, with genres all over.
QUERIES = {
    "/programme": 1 + 4,
    "/programme.ics": 1 + 3,
    "/programme.jsonld": 1 + 3,
    "/movies/{id}/programme.ics": 1 + 4,
    "/movies/{id}/programme.jsonld": 1 + 5,
    "/movies/feed.atom": 1 + 2,
    "/": 1 + 4 + 2 + 1,
}


def told_by_all(client: Client, **query: Any) -> set[str]:
    """The uids of the screenings that a question finds, the same in each of the documents."""
    by_id = {s.pk: str(s.uid) for s in Screening.objects.all()}
    days = programme(client, **query)["days"]
    shown = {
        by_id[screening["id"]]
        for day in days
        for movie in day["movies"]
        for screening in movie["screenings"]
    }
    assert {event.uid for event in calendar_events(client, **query)} == shown
    graph = client.get("/programme.jsonld", **query).json()["@graph"]
    assert {node["identifier"] for node in graph if "identifier" in node} == shown
    return shown


# --- one query


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "abcd"),
        ({"status": "running"}, "ab"),
        ({"genre": "music"}, "cd"),
        ({"language": "de"}, "bd"),
        ({"tag": "35MM"}, "ac"),
        ({"movie_id": "first"}, "ab"),
        ({"movie_id": "first", "language": "de"}, "b"),
        ({"movie_id": 2**63 - 1}, ""),
        ({"hall": "hall 1"}, "ac"),
        ({"hall": "GROßER SAAL"}, "b"),
        ({"hall": "Hall"}, ""),
        ({"hall": "%"}, ""),
        ({"hall": ""}, ""),
        ({"hall": "hall 1", "genre": "music", "tag": "35mm"}, "c"),
        ({"days": 1}, "abc"),
        ({"days": 2}, "abcd"),
        ({"days": 92}, "abcd"),
        ({"to": DAY}, "abc"),
    ],
)
def test_all_documents_contain_the_same_screenings(
    anonymous: Client, query: dict[str, Any], expected: str
) -> None:
    first = make_movie(genres=["drama"])
    second = make_movie(genres=["music"], status="finished")
    next_day = DAY + timedelta(days=1)
    screenings = {
        "a": make_screening(first, starts_at=at(DAY, 18), hall="Hall 1", tags=["35mm"]),
        "b": make_screening(first, starts_at=at(DAY, 20), hall="Großer Saal", language="de"),
        "c": make_screening(second, starts_at=at(next_day, 1), hall="Hall 1", tags=["35mm"]),
        "d": make_screening(second, starts_at=at(next_day, 20), hall="Hall 2", language="de"),
    }
    make_screening(first, starts_at=at(DAY, 22), hall="Hall 1", state="hidden", tags=["35mm"])
    query = {key: first.pk if value == "first" else value for key, value in query.items()}
    assert told_by_all(anonymous, **THAT_WEEK, **query) == {
        str(screenings[name].uid) for name in expected
    }


@pytest.mark.parametrize("path", FILTERED)
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"days": 0}, "days"),
        ({"days": 93}, "days"),
        ({"days": -1}, "days"),
        ({"days": "28.5"}, "days"),
        ({"days": ""}, "days"),
        ({"days": 7, "to": "2200-01-01"}, "days"),
        ({"to": "2020-01-01"}, "to"),
        ({"movie_id": 0}, "movie_id"),
        ({"movie_id": 2**63}, "movie_id"),
        ({"movie_id": "Cléo"}, "movie_id"),
        ({"hall": "x" * 501}, "hall"),
        ({"from": "2026-02-30"}, "from"),
        ({"status": "over"}, "status"),
    ],
)
def test_a_bad_question_is_refused_and_its_parameter_named(
    anonymous: Client, path: str, query: dict[str, Any], field: str
) -> None:
    assert refused_fields(anonymous.get(path, **query)) == [f"query.{field}"]


def test_a_subscription_moves_on_with_the_days(anonymous: Client) -> None:
    today = cinema_day(timezone.now())
    kept = [make_screening(starts_at=at(today + timedelta(days=n), 20)) for n in (0, 27)]
    make_screening(starts_at=at(today + timedelta(days=28), 20))
    assert told_by_all(anonymous, days=28) == {str(screening.uid) for screening in kept}


def test_coming_up_follows_the_new_filters(anonymous: Client) -> None:
    tomorrow = timezone.localdate() + timedelta(days=1)
    first, _ = make_movie(start_date=tomorrow), make_movie(start_date=tomorrow)
    assert [m["id"] for m in programme(anonymous, movie_id=first.pk)["coming_up"]] == [first.pk]
    assert programme(anonymous, hall="Hall 1")["coming_up"] == []


@pytest.mark.parametrize("suffix", ["ics", "jsonld"])
def test_a_movie_that_nobody_may_know_of_has_no_document(staff: Client, suffix: str) -> None:
    withdrawn = make_screening().movie
    assert staff.delete(f"/movies/{withdrawn.pk}", force=True).status_code == 204
    for movie_id in (withdrawn.pk, withdrawn.pk + 1, 10**30):
        answer = staff.get(f"/movies/{movie_id}/programme.{suffix}")
        assert answer.status_code == 404
        assert answer["Content-Type"] == "application/problem+json"


# --- one cache, one set of headers


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_is_answered_by_304_until_it_changes(anonymous: Client, path: str) -> None:
    movie = make_screening().movie
    address = path.format(id=movie.pk)
    first = anonymous.get(address)
    assert first["Content-Type"] == DOCUMENTS[path]
    assert first["Cache-Control"] == "public, max-age=0, must-revalidate"
    known = {"If-None-Match": first["ETag"]}
    again = anonymous.send("GET", address, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    movie.name = "Renamed"
    movie.save()
    changed = anonymous.send("GET", address, headers=known)
    assert changed.status_code == 200
    assert "Renamed" in changed.content.decode()


@pytest.mark.parametrize("rows", [1, 12])
@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_takes_as_many_queries_for_one_movie_as_for_twelve(
    anonymous: Client, settings: Any, path: str, rows: int
) -> None:
    settings.CATALOGUE_CHECK_INTERVAL_S = 60
    tomorrow = timezone.localdate() + timedelta(days=1)
    for number in range(rows):
        make_screening(movie := make_movie(genres=["drama", f"genre {number}"]))
        make_movie(genres=["music"], start_date=tomorrow)
    address = path.format(id=movie.pk)
    with CaptureQueriesContext(connection) as queries:
        first = anonymous.get(address)
    assert len(queries) == QUERIES[path], [query["sql"][:100] for query in queries]
    with CaptureQueriesContext(connection) as queries:
        assert anonymous.get(address).content == first.content
    assert len(queries) == 0


@pytest.mark.parametrize("path", DOCUMENTS)
def test_another_process_makes_the_same_bytes(anonymous: Client, path: str) -> None:
    make_screening(make_movie(genres=["music", "drama"]), tags=["q&a", "35mm"])
    address = path.format(id=make_screening().movie_id)
    first = anonymous.get(address)
    catalogue.forget()
    responses.forget()
    again = anonymous.get(address)
    assert (again.content, again["ETag"]) == (first.content, first["ETag"])


@pytest.mark.parametrize("path", ["/programme.ics", "/movies/{id}/programme.ics"])
def test_a_calendar_is_shown_and_has_a_name_to_be_saved_under(anonymous: Client, path: str) -> None:
    answer = anonymous.get(path.format(id=make_screening().movie_id))
    assert answer["Content-Disposition"] == 'inline; filename="programme.ics"'


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("impatient_pool")
def test_while_the_database_is_away_the_last_documents_are_served_and_marked() -> None:
    anonymous = Client()
    movie = make_screening().movie
    addresses = [path.format(id=movie.pk) for path in DOCUMENTS]
    fresh = {address: anonymous.get(address).content for address in addresses}
    with database_refusing():
        for address in addresses:
            answer = anonymous.get(address)
            connection.close()
            assert (answer.status_code, answer.content) == (200, fresh[address])
            assert answer["Cache-Status"] == "cinema; hit; detail=stale"
        for never_made in ("/programme.ics?tag=35mm", "/movies/999/programme.jsonld"):
            answer = anonymous.send("GET", never_made)
            connection.close()
            assert answer.status_code == 503


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("impatient_pool")
@pytest.mark.parametrize("path", ["/movies/feed.atom", "/"])
def test_a_process_that_starts_without_the_database_says_so(path: str) -> None:
    with database_refusing():
        answer = Client().get(path)
        connection.close()
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0


@pytest.mark.parametrize("cache_size_bytes", [0, 200_000])
def test_other_questions_do_not_evict_the_documents_of_the_page(
    anonymous: Client, settings: Any, cache_size_bytes: int
) -> None:
    settings.CATALOGUE_CHECK_INTERVAL_S = 60
    settings.CACHE_SIZE = cache_size_bytes / 2**20
    make_screening()
    page = anonymous.get("/")
    linked = re.findall(r'href="(/api/v1/[^"]*\.(?:ics|atom)[^"]*)"', page.content.decode())
    addresses = ["/", "/programme", "/programme.ics", "/programme.jsonld", *linked]
    assert len(linked) == 3
    for address in addresses:
        anonymous.send("GET", address)
    for number in range(20):
        for path in FILTERED:
            anonymous.get(path, tag=f"nothing {number}")
    others = responses._memory[PROGRAMME]
    assert bool(others) == bool(cache_size_bytes)
    size_bytes = sum(response.document.size_bytes for response in others.values())
    assert size_bytes <= others.currsize <= cache_size_bytes * PROGRAMME.memory_share
    with CaptureQueriesContext(connection) as queries:
        for address in addresses:
            assert anonymous.send("GET", address).status_code == 200
    assert len(queries) == 0


def test_questions_for_other_weeks_can_be_evicted(anonymous: Client) -> None:
    """There are as many of them as there are days."""
    for number in range(5):
        anonymous.get("/programme", **{"from": DAY + timedelta(days=number)})
        anonymous.get("/programme.ics", days=28, **{"from": DAY + timedelta(days=number)})
    assert len(responses._memory[PROGRAMME]) == 10
    assert LINKED not in responses._memory
