"""POST /screenings/bulk: the same times on each of some days, all or none."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from movies.models import Hall, Movie, Screening
from tests.batches import collisions, fill, placed, put_on, starts
from tests.builders import Client, make_movie
from tests.catalogue import refused_fields

pytestmark = pytest.mark.django_db

#: From Thursday to Wednesday.
WEEK = {"from": "2026-12-03", "to": "2026-12-09"}


@pytest.fixture
def movie(db: None) -> Movie:
    """90 minutes, in French."""
    return make_movie(name="Cléo")


# --- what is posted


def test_a_week_is_filled_in_one_call(staff: Client, movie: Movie) -> None:
    answer = fill(staff, movie, times=["20:30", "18:00"], **WEEK)
    assert starts(answer) == [
        f"12-{day:02}T{at}" for day in range(3, 10) for at in ("18:00", "20:30")
    ]
    listed = staff.get("/screenings", movie_id=movie.pk).json()["data"]
    assert listed == placed(answer)["created"]
    assert Hall.objects.count() == 1


def test_each_screening_has_the_fields_of_the_pattern(staff: Client, movie: Movie) -> None:
    fields = {
        "version": "subtitled",
        "language": "de",
        "subtitles": "en",
        "booking_url": "https://example.org/7",
        "state": "hidden",
    }
    answer = fill(staff, movie, times=["20:00"], tags=["35MM", "35mm"], **fields)
    [created] = placed(answer)["created"]
    assert created == {
        "id": created["id"],
        "movie_id": movie.pk,
        "hall": "Hall 1",
        "starts_at": "2026-12-03T20:00:00+01:00",
        "ends_at": "2026-12-03T21:30:00+01:00",
        "tags": ["35mm"],
        **fields,
    }


def test_defaults_are_those_of_a_single_screening(staff: Client, movie: Movie) -> None:
    [created] = placed(fill(staff, movie))["created"]
    single = {"movie_id": movie.pk, "hall": "2", "starts_at": created["starts_at"]}
    posted = staff.post("/screenings", single).json()
    assert {**posted, "id": created["id"], "hall": "Hall 1"} == created
    [silent] = placed(fill(staff, movie, hall="3", language=None))["created"]
    assert silent["language"] is None


def test_only_the_weekdays_that_are_said(staff: Client, movie: Movie) -> None:
    weekend = fill(staff, movie, weekdays=["sunday", "saturday", "sunday"], **WEEK)
    assert starts(weekend) == ["12-05T18:00", "12-06T18:00"]


def test_a_time_after_midnight_is_in_the_night_of_the_day(staff: Client, movie: Movie) -> None:
    answer = fill(staff, movie, times=["00:30", "22:00"], weekdays=["friday"], **WEEK)
    assert starts(answer) == ["12-04T22:00", "12-05T00:30"]


def test_the_length_is_the_running_time_or_has_to_be_said(staff: Client, movie: Movie) -> None:
    [longer] = placed(fill(staff, movie, length_minutes=115))["created"]
    assert longer["ends_at"] == "2026-12-03T19:55:00+01:00"
    endless = make_movie(runtime_minutes=None)
    assert refused_fields(fill(staff, endless, hall="2")) == ["body.length_minutes"]
    assert not Hall.objects.filter(name="2").exists()
    assert len(starts(fill(staff, endless, hall="2", length_minutes=1))) == 1
    epic = make_movie(runtime_minutes=24 * 60 + 1)
    assert refused_fields(fill(staff, epic, hall="3")) == ["body.length_minutes"]


def test_a_hall_is_the_same_in_whatever_case(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-03 14:00", "Große")
    [created] = placed(fill(staff, movie, hall="GROẞE"))["created"]
    assert created["hall"] == "Große"
    assert [placed(fill(staff, movie, hall=7))["created"][0]["hall"]] == ["7"]


# --- collisions


def test_a_pattern_that_collides_with_itself_is_refused_with_every_pair(
    staff: Client, movie: Movie
) -> None:
    days = {"from": "2026-12-03", "to": "2026-12-04"}
    answer = fill(staff, movie, times=["18:00", "18:30", "20:00", "21:00"], **days)
    assert [(one["starts_at"][5:16], one["among_new"][0][11:16]) for one in collisions(answer)] == [
        ("12-03T18:30", "18:00"),
        ("12-03T21:00", "20:00"),
        ("12-04T18:30", "18:00"),
        ("12-04T21:00", "20:00"),
    ]
    assert answer.json()["screening_ids"] == []
    assert not Screening.objects.exists()
    assert not Hall.objects.exists()
    chain = fill(staff, movie, times=["18:00", "19:00", "20:00"])
    assert [[at[11:16] for at in one["among_new"]] for one in collisions(chain)] == [
        ["18:00"],
        ["19:00"],
    ]
    chain = fill(staff, movie, times=["18:00", "19:00", "20:00"], on_collision="skip")
    assert starts(chain) == ["12-03T18:00", "12-03T20:00"]


def test_late_and_early_ones_of_two_days_collide_too(staff: Client, movie: Movie) -> None:
    days = {"from": "2026-12-03", "to": "2026-12-04", "length_minutes": 180}
    [collision] = collisions(fill(staff, movie, times=["05:00", "06:30"], **days))
    assert (collision["date"], collision["starts_at"][5:16]) == ("2026-12-04", "12-04T06:30")


def test_everything_that_stands_in_the_way_is_named_with_date_and_time(
    staff: Client, movie: Movie
) -> None:
    standing = [put_on(movie, f"2026-12-{day:02} 17:00") for day in (4, 6)]
    answer = fill(staff, movie, **WEEK)
    assert [(one["date"], one["standing"][0]["id"]) for one in collisions(answer)] == [
        ("2026-12-04", standing[0].pk),
        ("2026-12-06", standing[1].pk),
    ]
    assert answer.json()["screening_ids"] == [one.pk for one in standing]
    assert Screening.objects.count() == 2
    assert len(starts(fill(staff, movie, on_collision="skip", **WEEK))) == 5


def test_the_same_pattern_again_collides_or_is_skipped(staff: Client, movie: Movie) -> None:
    assert len(starts(fill(staff, movie, **WEEK))) == 7
    assert len(collisions(fill(staff, movie, **WEEK))) == 7
    again = placed(fill(staff, movie, on_collision="skip", **WEEK), 200)
    assert (again["created"], len(again["left_out"])) == ([], 7)


def test_a_cancelled_screening_does_not_block_a_pattern(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-03 18:00", state="cancelled")
    assert len(starts(fill(staff, movie))) == 1


def test_at_most_twenty_collisions_of_a_screening_are_named(staff: Client, movie: Movie) -> None:
    minutes = [f"{18 + number // 4:02}:{number % 4 * 15:02}" for number in range(23)]
    answer = fill(staff, movie, times=minutes, length_minutes=24 * 60)
    assert [len(one["among_new"]) for one in collisions(answer)] == [*range(1, 21), 20, 20]


# --- bad questions


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("movie_id", 0),
        ("movie_id", None),
        ("hall", " "),
        ("times", []),
        ("times", ["18:00", "18:00"]),
        ("times", ["24:00"]),
        ("times", ["8:00"]),
        ("times", ["18:00:00"]),
        ("times", ["18:00+01:00"]),
        ("times", ["１８:00"]),
        ("times", ["18:00\n"]),
        ("times", [1080]),
        ("times", [None]),
        ("times", "18:00"),
        ("times", [f"{n // 60:02}:{n % 60:02}" for n in range(49)]),
        ("from", "2026-12-04"),
        ("from", "2026-02-30"),
        ("to", "2026-12-02"),
        ("to", "2027-12-04"),
        ("weekdays", []),
        ("weekdays", ["Thursday"]),
        ("weekdays", [4]),
        ("weekdays", ["monday"]),
        ("length_minutes", 0),
        ("length_minutes", 1441),
        ("version", None),
        ("language", "Deutsch"),
        ("subtitles", ""),
        ("tags", ["tag"] * 21),
        ("booking_url", "javascript:alert(1)"),
        ("state", "cancelled"),
        ("on_collision", True),
        ("starts_at", "2026-12-03T18:00:00+01:00"),
    ],
)
def test_a_bad_value_is_refused_and_its_field_named(
    staff: Client, movie: Movie, field: str, value: object
) -> None:
    refused = refused_fields(fill(staff, movie, **{field: value}))
    assert refused == ["body.to" if field == "from" and value == "2026-12-04" else f"body.{field}"]
    assert not Hall.objects.exists()


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b'"all"', b'{"times": [[["18:00"]]]}'])
def test_an_invalid_pattern_is_refused(staff: Client, payload: bytes) -> None:
    for path in ("/screenings/bulk", "/screenings/copy"):
        assert staff.send("POST", path, payload).status_code == 422


def test_too_many_at_once_are_refused_and_the_limit_is_said(staff: Client, movie: Movie) -> None:
    times = [f"{hour:02}:00" for hour in range(10, 22)]
    year = {"from": "2026-01-01", "to": "2026-12-31"}
    answer = fill(staff, movie, times=times, length_minutes=30, **year)
    assert refused_fields(answer) == ["body.times"]
    assert "4380 screenings: at most 500" in answer.json()["detail"]
    assert len(starts(fill(staff, movie, times=["20:00"], **year))) == 365


@pytest.mark.parametrize("movie_id", [987_654_321, 2**63, 2**64 - 1])
def test_a_movie_that_is_not_there_is_404(staff: Client, movie: Movie, movie_id: int) -> None:
    assert fill(staff, movie, movie_id=movie_id).status_code == 404
    assert not Hall.objects.exists()


def test_a_withdrawn_movie_is_404(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-01 18:00")
    assert staff.delete(f"/movies/{movie.pk}", force=True).status_code == 204
    assert fill(staff, movie).status_code == 404


# --- dry runs and cost


def test_a_dry_run_leaves_not_even_a_hall(staff: Client, movie: Movie) -> None:
    rehearsed = placed(fill(staff, movie, dry_run=True, **WEEK), 200)
    assert [one["id"] for one in rehearsed["created"]] == [None] * 7
    assert not Screening.objects.exists()
    assert not Hall.objects.exists()


def test_a_hundred_screenings_take_as_many_queries_as_one(staff: Client, movie: Movie) -> None:
    def queries(**pattern: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            placed(fill(staff, movie, tags=["35mm"], **pattern))
        return len(captured)

    Hall.objects.bulk_create([Hall(name="1"), Hall(name="2")])
    one = queries(hall="1")
    assert one < 20
    assert queries(hall="2", to="2027-03-12") == one
    assert Screening.objects.count() == 101
