"""Local times that the clock leaves out in spring and shows twice in autumn, also at midnight,
and days that begin at odd times."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from movies.days import cinema_day, start_of_cinema_day
from movies.models import Movie
from tests.batches import collisions, copy, fill, placed, put_on
from tests.builders import Client, make_movie, make_screening
from tests.catalogue import programme, shown

pytestmark = pytest.mark.django_db


@pytest.fixture
def movie(db: None) -> Movie:
    """90 minutes, in French."""
    return make_movie()


def moments(answer: Any) -> list[tuple[str, str]]:
    """Starts and ends of the created ones."""
    return [(one["starts_at"], one["ends_at"]) for one in placed(answer)["created"]]


# --- copies and patterns speak what the clock shows


@pytest.mark.parametrize(
    ("to", "starts_at", "ends_at"),
    [
        ("2027-03-27", "2027-03-27T23:30:00+01:00", "2027-03-28T01:00:00+01:00"),
        ("2027-03-28", "2027-03-28T23:30:00+02:00", "2027-03-29T01:00:00+02:00"),
        ("2026-10-24", "2026-10-24T23:30:00+02:00", "2026-10-25T01:00:00+02:00"),
        ("2026-10-25", "2026-10-25T23:30:00+01:00", "2026-10-26T01:00:00+01:00"),
    ],
)
def test_a_copy_keeps_the_time_that_the_clock_shows(
    staff: Client, movie: Movie, to: str, starts_at: str, ends_at: str
) -> None:
    put_on(movie, "2026-12-03 23:30")
    assert moments(copy(staff, to=to)) == [(starts_at, ends_at)]


def test_a_copy_lasts_as_long_when_the_clocks_change(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-04 01:30")
    assert moments(copy(staff, to="2027-03-27")) == [
        ("2027-03-28T01:30:00+01:00", "2027-03-28T04:00:00+02:00")
    ]
    assert moments(copy(staff, to="2026-10-24")) == [
        ("2026-10-25T01:30:00+02:00", "2026-10-25T02:00:00+01:00")
    ]


def test_a_time_that_the_clock_leaves_out_moves_on_by_an_hour_and_is_told(
    staff: Client, movie: Movie
) -> None:
    put_on(movie, "2026-12-04 02:30")
    for answer in (
        copy(staff, to="2027-03-27"),
        fill(staff, movie, **{"from": "2027-03-27"}, to="2027-03-27", times=["02:30"], hall="2"),
    ):
        assert moments(answer) == [("2027-03-28T03:30:00+02:00", "2027-03-28T05:00:00+02:00")]
        [note] = placed(answer)["clock_changes"]
        assert note == {
            "movie_id": movie.pk,
            "hall": note["hall"],
            "date": "2027-03-27",
            "reading": "2027-03-28T02:30:00",
            "change": "skipped",
            "starts_at": "2027-03-28T03:30:00+02:00",
        }
    night = {"from": "2027-03-27", "to": "2027-03-27"}
    assert list(shown(staff, **night)) == ["2027-03-27"]


def test_a_shifted_copy_can_collide_with_one_in_place(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-04 02:30", ends_at=datetime.fromisoformat("2026-12-04T03:30+01:00"))
    put_on(movie, "2026-12-04 03:30")
    [collision] = collisions(copy(staff, to="2027-03-27"))
    assert collision["starts_at"] == "2027-03-28T03:30:00+02:00"
    assert collision["among_new"] == ["2027-03-28T03:30:00+02:00"]
    assert len(moments(copy(staff, to="2027-03-27", on_collision="skip"))) == 1


@pytest.mark.parametrize(
    ("rule", "starts_at", "ends_at"),
    [
        ({}, "2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00"),
        ({"doubled_hour": "first"}, "2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00"),
        ({"doubled_hour": "second"}, "2026-10-25T02:30:00+01:00", "2026-10-25T04:00:00+01:00"),
    ],
)
def test_the_first_of_a_doubled_time_is_taken_unless_the_second_is_requested(
    staff: Client, movie: Movie, rule: dict[str, str], starts_at: str, ends_at: str
) -> None:
    put_on(movie, "2026-12-04 02:30")
    days = {"from": "2026-10-24", "to": "2026-10-24"}
    for answer in (
        copy(staff, to="2026-10-24", **rule),
        fill(staff, movie, hall="2", times=["02:30"], **days, **rule),
    ):
        assert moments(answer) == [(starts_at, ends_at)]
        [note] = placed(answer)["clock_changes"]
        assert (note["change"], note["starts_at"]) == ("doubled", starts_at)


def test_a_copy_of_the_second_doubled_hour_stays_the_second(staff: Client, movie: Movie) -> None:
    second = {"starts_at": "2026-10-25T02:30:00+01:00", "hall": "1", "movie_id": movie.pk}
    assert staff.post("/screenings", second).status_code == 201
    night = {"from": "2026-10-24"}
    ordinary = copy(staff, **night, to="2026-10-31")
    assert moments(ordinary)[0][0] == "2026-11-01T02:30:00+01:00"
    assert placed(ordinary)["clock_changes"] == []
    next_year = copy(staff, **night, to="2027-10-30")
    assert moments(next_year)[0][0] == "2027-10-31T02:30:00+01:00"


def test_a_pattern_over_the_change_is_at_the_same_time_by_the_clock(
    staff: Client, movie: Movie
) -> None:
    days = {"from": "2027-03-26", "to": "2027-03-29"}
    answer = fill(staff, movie, times=["20:30"], **days)
    assert [start for start, _ in moments(answer)] == [
        "2027-03-26T20:30:00+01:00",
        "2027-03-27T20:30:00+01:00",
        "2027-03-28T20:30:00+02:00",
        "2027-03-29T20:30:00+02:00",
    ]


# --- zones whose clocks change at midnight


@pytest.mark.parametrize(
    ("zone", "night", "moved"),
    [
        ("America/Havana", "2026-03-07", "2026-03-08T01:15:00-04:00"),
        ("Asia/Beirut", "2026-03-28", "2026-03-29T01:15:00+03:00"),
    ],
)
def test_a_midnight_skipped_by_the_clock(
    staff: Client, settings: Any, zone: str, night: str, moved: str
) -> None:
    settings.TIME_ZONE = zone
    answer = fill(staff, make_movie(), times=["00:15"], **{"from": night, "to": night})
    assert [start for start, _ in moments(answer)] == [moved]
    assert list(shown(staff, **{"from": night, "to": night})) == [night]


@pytest.mark.parametrize(
    ("zone", "starts_at", "on"),
    [
        ("America/Havana", "2026-11-01T00:30:00-04:00", "2026-10-31"),
        ("America/Havana", "2026-11-01T00:30:00-05:00", "2026-10-31"),
        ("America/Havana", "2026-11-01T06:00:00-05:00", "2026-11-01"),
        ("Asia/Beirut", "2026-10-24T23:30:00+03:00", "2026-10-24"),
        ("Asia/Beirut", "2026-10-24T23:30:00+02:00", "2026-10-24"),
        ("Asia/Beirut", "2026-10-25T00:30:00+02:00", "2026-10-24"),
        ("Asia/Beirut", "2026-10-25T06:00:00+02:00", "2026-10-25"),
    ],
)
def test_a_midnight_repeated_by_the_clock(
    staff: Client, settings: Any, zone: str, starts_at: str, on: str
) -> None:
    settings.TIME_ZONE = zone
    make_screening(starts_at=datetime.fromisoformat(starts_at))
    [day] = programme(staff, **{"from": on, "to": on})["days"]
    assert [s["starts_at"] for movie in day["movies"] for s in movie["screenings"]] == [starts_at]
    assert len(staff.get("/screenings", **{"from": starts_at}).json()["data"]) == 1


# --- days that begin at odd times


@pytest.mark.parametrize(
    ("day_starts_at", "starts_at", "on"),
    [
        # The day begins in the hour that the clock leaves out: once it shows 03:00.
        ("02:30", "2027-03-28T01:59:00+01:00", "2027-03-27"),
        ("02:30", "2027-03-28T03:00:00+02:00", "2027-03-28"),
        # The day begins in the hour that comes twice: when it comes first.
        ("02:30", "2026-10-25T02:29:00+02:00", "2026-10-24"),
        ("02:30", "2026-10-25T02:30:00+02:00", "2026-10-25"),
        ("02:30", "2026-10-25T02:15:00+01:00", "2026-10-25"),
        ("00:00", "2026-12-03T00:00:00+01:00", "2026-12-03"),
        ("00:00", "2026-12-03T23:59:00+01:00", "2026-12-03"),
        ("12:00", "2026-12-04T11:59:00+01:00", "2026-12-03"),
        ("23:30", "2026-12-03T23:29:00+01:00", "2026-12-02"),
        ("23:59:59.999999", "2026-12-03T23:59:59+01:00", "2026-12-02"),
    ],
)
def test_every_screening_is_on_one_day(
    staff: Client, settings: Any, day_starts_at: str, starts_at: str, on: str
) -> None:
    settings.CINEMA_DAY_STARTS_AT = time.fromisoformat(day_starts_at)
    make_screening(starts_at=datetime.fromisoformat(starts_at))
    around = date.fromisoformat(on)
    week = {"from": around - timedelta(days=3), "to": around + timedelta(days=3)}
    assert list(shown(staff, **week)) == [on]
    assert list(shown(staff, **{"from": on, "to": on})) == [on]


@pytest.mark.parametrize("day_starts_at", ["00:00", "00:30", "02:30", "06:00", "12:00", "23:30"])
@pytest.mark.parametrize(
    ("zone", "first"),
    [
        ("Europe/Berlin", "2026-10-23"),
        ("Europe/Berlin", "2027-03-26"),
        ("America/Havana", "2026-03-06"),
        ("America/Havana", "2026-10-30"),
        ("Asia/Beirut", "2026-03-27"),
        ("Asia/Beirut", "2026-10-23"),
        ("America/St_Johns", "2009-10-30"),  # back from 00:01 to the date before
        ("Australia/Lord_Howe", "2026-04-03"),  # by half an hour
        ("Pacific/Apia", "2011-12-28"),  # without 30 December
    ],
)
def test_days_follow_each_other_without_gap_or_overlap(
    settings: Any, zone: str, first: str, day_starts_at: str
) -> None:
    settings.TIME_ZONE = zone
    settings.CINEMA_DAY_STARTS_AT = time.fromisoformat(day_starts_at)
    day = date.fromisoformat(first)
    moment, end = start_of_cinema_day(day), start_of_cinema_day(day + timedelta(days=5))
    while moment < end:
        on = cinema_day(moment)
        assert on >= day
        assert start_of_cinema_day(on) <= moment < start_of_cinema_day(on + timedelta(days=1))
        day = on
        moment += timedelta(minutes=15)


def test_times_before_the_day_begins_are_in_the_night_that_follows(
    staff: Client, settings: Any
) -> None:
    settings.CINEMA_DAY_STARTS_AT = time(12)
    answer = fill(staff, make_movie(), times=["11:45", "12:00"])
    assert [start for start, _ in moments(answer)] == [
        "2026-12-03T12:00:00+01:00",
        "2026-12-04T11:45:00+01:00",
    ]
    assert list(shown(staff, **{"from": "2026-12-03", "to": "2026-12-05"})) == ["2026-12-03"]
    settings.CINEMA_DAY_STARTS_AT = time(0)
    answer = fill(staff, make_movie(), times=["00:00", "23:59"], hall="2")
    assert [start for start, _ in moments(answer)] == [
        "2026-12-03T00:00:00+01:00",
        "2026-12-03T23:59:00+01:00",
    ]
