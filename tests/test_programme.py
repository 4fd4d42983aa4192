"""The programme through HTTP: what runs on which day, and what is coming up."""

from __future__ import annotations

from datetime import date, time, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from movies.days import cinema_day
from tests.builders import Client, at, make_movie, make_screening
from tests.catalogue import programme, refused_fields, shown

pytestmark = [pytest.mark.django_db, pytest.mark.every_python]

#: Thursday.
DAY = date(2026, 12, 3)


# --- which days


@pytest.mark.any_moment
def test_an_empty_cinema_has_an_empty_programme(anonymous: Client) -> None:
    found = programme(anonymous)
    assert found["from"] == cinema_day(timezone.now()).isoformat()
    assert found["coming_up"] == []
    assert [day["movies"] for day in found["days"]] == [[]] * 7


@pytest.mark.parametrize(
    ("now", "first"),
    [
        ("2026-12-03T12:00:00+01:00", "2026-12-03"),
        ("2026-12-03T05:59:59+01:00", "2026-12-02"),
        ("2026-12-03T06:00:00+01:00", "2026-12-03"),
        ("2026-12-02T23:30:00+00:00", "2026-12-02"),
    ],
)
def test_the_programme_is_that_of_today_and_six_days(now: str, first: str) -> None:
    with time_machine.travel(now):
        found = programme(Client())
    last = date.fromisoformat(first) + timedelta(days=6)
    assert (found["from"], found["to"]) == (first, last.isoformat())
    days = [date.fromisoformat(first) + timedelta(days=n) for n in range(7)]
    assert [day["date"] for day in found["days"]] == [day.isoformat() for day in days]


@pytest.mark.parametrize(
    ("query", "first", "last", "count"),
    [
        ({"from": "2026-12-03"}, "2026-12-03", "2026-12-09", 7),
        ({"from": "2026-12-03", "to": "2026-12-03"}, "2026-12-03", "2026-12-03", 1),
        ({"from": "2026-12-30", "to": "2027-01-02"}, "2026-12-30", "2027-01-02", 4),
        ({"from": "2026-01-01", "to": "2026-04-02"}, "2026-01-01", "2026-04-02", 92),
        ({"from": "2200-12-31"}, "2200-12-31", "2201-01-06", 7),
        ({"from": "1870-01-01"}, "1870-01-01", "1870-01-07", 7),
    ],
)
def test_the_days_asked_for_are_answered_both_ends_included(
    anonymous: Client, query: dict[str, str], first: str, last: str, count: int
) -> None:
    found = programme(anonymous, **query)
    assert (found["from"], found["to"]) == (first, last)
    assert [found["days"][0]["date"], found["days"][-1]["date"]] == [first, last]
    assert len(found["days"]) == count


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-12-03", "to": "2026-12-02"}, "to"),
        ({"to": "2020-01-01"}, "to"),
        ({"from": "2026-01-01", "to": "2026-04-03"}, "to"),
        ({"from": "1900-01-01", "to": "2199-01-01"}, "to"),
        ({"from": "2026-02-30"}, "from"),
        ({"from": "today"}, "from"),
        ({"from": ""}, "from"),
        ({"from": "0"}, "from"),
        ({"from": "2026-12-03\x00"}, "from"),
        ({"from": "0001-01-01"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"status": "over"}, "status"),
        ({"genre": "x" * 501}, "genre"),
    ],
)
def test_a_bad_question_is_refused_and_its_parameter_named(
    anonymous: Client, query: dict[str, str], field: str
) -> None:
    assert refused_fields(anonymous.get("/programme", **query)) == [f"query.{field}"]


@pytest.mark.parametrize(
    ("hour", "minute", "days_later", "on"),
    [
        (20, 0, 0, "2026-12-03"),
        (23, 59, 0, "2026-12-03"),
        (1, 0, 1, "2026-12-03"),
        (5, 59, 1, "2026-12-03"),
        (6, 0, 1, "2026-12-04"),
        (6, 0, 0, "2026-12-03"),
        (5, 59, 0, "2026-12-02"),
    ],
)
def test_the_small_hours_belong_to_the_evening_before(
    anonymous: Client, hour: int, minute: int, days_later: int, on: str
) -> None:
    make_screening(starts_at=at(DAY + timedelta(days=days_later), hour, minute))
    assert list(shown(anonymous, **{"from": "2026-12-01", "to": "2026-12-07"})) == [on]
    assert list(shown(anonymous, **{"from": on, "to": on})) == [on]


@pytest.mark.parametrize(
    ("starts_at", "on"),
    [
        ("2026-03-29T01:59:00+01:00", "2026-03-28"),
        ("2026-03-29T03:00:00+02:00", "2026-03-28"),
        ("2026-03-29T05:59:00+02:00", "2026-03-28"),
        ("2026-03-29T06:00:00+02:00", "2026-03-29"),
        ("2026-10-25T02:30:00+02:00", "2026-10-24"),
        ("2026-10-25T02:30:00+01:00", "2026-10-24"),
        ("2026-10-25T05:59:00+01:00", "2026-10-24"),
        ("2026-10-25T06:00:00+01:00", "2026-10-25"),
    ],
)
def test_a_day_begins_by_the_wall_clock_when_the_clocks_change(
    staff: Client, starts_at: str, on: str
) -> None:
    screening = {"movie_id": make_movie().pk, "hall": "1", "starts_at": starts_at}
    assert staff.post("/screenings", screening).status_code == 201
    assert list(shown(staff, **{"from": on, "to": on})) == [on]
    around = date.fromisoformat(on)
    week = {"from": around - timedelta(days=3), "to": around + timedelta(days=3)}
    assert list(shown(staff, **week)) == [on]


def test_the_start_of_the_day_is_a_setting(anonymous: Client, settings: Any) -> None:
    settings.CINEMA_DAY_STARTS_AT = time(0, 0)
    make_screening(starts_at=at(DAY, 1))
    assert list(shown(anonymous, **{"from": "2026-12-01"})) == ["2026-12-03"]


# --- what is in it


def test_the_openapi_document_names_its_fields_as_they_are(anonymous: Client) -> None:
    make_screening(starts_at=at(DAY, 20))
    document = anonymous.get("/openapi.json").json()
    operation = document["paths"]["/api/v1/programme"]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    named = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert set(named["properties"]) == set(programme(anonymous))


@pytest.mark.usefixtures("november")
def test_a_day_lists_its_movies_by_their_first_screening_with_all_that_the_addresses_show(
    anonymous: Client,
) -> None:
    late, early = make_movie(genres=["drama"]), make_movie(status="running", end_date=DAY)
    screenings = [
        make_screening(late, starts_at=at(DAY, 20), hall="1"),
        make_screening(early, starts_at=at(DAY, 22), hall="1", tags=["35mm"]),
        make_screening(early, starts_at=at(DAY, 18), hall="1", state="sold-out"),
    ]
    [day] = programme(anonymous, **{"from": DAY, "to": DAY})["days"]
    by_id = {s.pk: anonymous.get(f"/screenings/{s.pk}").json() for s in screenings}
    first, second, third = (by_id[s.pk] for s in screenings)
    assert day == {
        "date": "2026-12-03",
        "movies": [
            {**anonymous.get(f"/movies/{early.pk}").json(), "screenings": [third, second]},
            {**anonymous.get(f"/movies/{late.pk}").json(), "screenings": [first]},
        ],
    }


def test_cancelled_screenings_are_shown_and_hidden_ones_are_not_even_to_staff(
    staff: Client,
) -> None:
    cancelled = make_screening(starts_at=at(DAY, 20), state="cancelled")
    make_screening(starts_at=at(DAY, 20), state="hidden")
    assert shown(staff, **{"from": DAY}) == {"2026-12-03": [cancelled.movie.name]}


def test_a_withdrawn_movie_is_not_in_the_programme(anonymous: Client, staff: Client) -> None:
    movie = make_movie(start_date=timezone.localdate() + timedelta(days=1))
    make_screening(movie)
    assert staff.delete(f"/movies/{movie.pk}", force=True).status_code == 204
    assert shown(anonymous) == {}
    assert programme(anonymous)["coming_up"] == []


@pytest.mark.parametrize(
    ("query", "on_the_day", "coming_up"),
    [
        ({}, ["A", "B"], ["C"]),
        ({"status": "running"}, ["A"], []),
        ({"status": "finished"}, ["B"], []),
        ({"status": "coming-up"}, [], ["C"]),
        ({"genre": "drama"}, ["A"], ["C"]),
        ({"genre": "music"}, ["A", "B"], []),
        ({"genre": "nothing"}, [], []),
        ({"genre": "\x00"}, [], []),
        ({"language": "de"}, ["B"], []),
        ({"language": "fr"}, ["A"], ["C"]),
        ({"tag": "35mm"}, ["A"], []),
        ({"tag": "35MM"}, ["A"], []),
        ({"tag": "3d"}, [], []),
        ({"genre": "music", "language": "de"}, ["B"], []),
        ({"genre": "drama", "tag": "35mm", "status": "finished"}, [], []),
    ],
)
def test_the_programme_is_filtered(
    anonymous: Client, query: dict[str, str], on_the_day: list[str], coming_up: list[str]
) -> None:
    a = make_movie(name="A", genres=["drama", "music"])
    b = make_movie(name="B", genres=["music"], status="finished")
    make_movie(name="C", genres=["drama"], start_date=timezone.localdate() + timedelta(days=3))
    make_screening(a, starts_at=at(DAY, 18), tags=["35mm"])
    make_screening(b, starts_at=at(DAY, 20), language="de")
    found = programme(anonymous, **{"from": DAY, "to": DAY}, **query)
    assert [movie["name"] for movie in found["days"][0]["movies"]] == on_the_day
    assert [movie["name"] for movie in found["coming_up"]] == coming_up


def test_a_filter_leaves_out_the_screenings_that_do_not_match(anonymous: Client) -> None:
    movie = make_movie()
    make_screening(movie, starts_at=at(DAY, 18), language="de")
    make_screening(movie, starts_at=at(DAY, 20), language="fr")
    [day] = programme(anonymous, **{"from": DAY, "to": DAY, "language": "de"})["days"]
    assert [s["language"] for s in day["movies"][0]["screenings"]] == ["de"]


@pytest.mark.any_moment
def test_coming_up_is_by_start(anonymous: Client) -> None:
    today = timezone.localdate()
    for name, days in [("later", 9), ("now", 0), ("soon", 1), ("soon too", 1)]:
        make_movie(name=name, start_date=today + timedelta(days=days))
    coming = programme(anonymous)["coming_up"]
    assert [movie["name"] for movie in coming] == ["soon", "soon too", "later"]
