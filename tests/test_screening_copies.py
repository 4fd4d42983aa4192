"""POST /screenings/copy: what ran on some days runs on other days too."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from movies.models import Movie, Screening
from movies.screenings import batches
from tests.batches import NEXT_THURSDAY, THURSDAY, collisions, copy, placed, put_on, starts
from tests.builders import Client, make_movie
from tests.catalogue import refused_fields, shown

pytestmark = pytest.mark.django_db


@pytest.fixture
def movie(db: None) -> Movie:
    """90 minutes, in French."""
    return make_movie(name="Cléo")


# --- what is copied


def test_a_copy_is_like_its_source_and_is_found_by_its_id(staff: Client, movie: Movie) -> None:
    fields: dict[str, Any] = {
        "version": "subtitled",
        "language": "de",
        "subtitles": "en",
        "tags": ["35mm", "q&a"],
    }
    source = put_on(movie, "2026-12-03 20:00", booking_url="https://example.org/7", **fields)
    answer = placed(copy(staff))
    [created] = answer["created"]
    assert created == {
        "id": created["id"],
        "movie_id": movie.pk,
        "hall": "Hall 1",
        "starts_at": "2026-12-10T20:00:00+01:00",
        "ends_at": "2026-12-10T21:30:00+01:00",
        "booking_url": None,
        "state": "scheduled",
        **fields,
    }
    assert staff.get(f"/screenings/{created['id']}").json() == created
    assert (answer["left_out"], answer["clock_changes"], answer["dry_run"]) == ([], [], False)
    copied = Screening.objects.get(pk=created["id"])
    assert copied.uid != source.uid
    assert copied.sequence == 0
    assert list(shown(staff, **{"from": THURSDAY, "to": NEXT_THURSDAY})) == [
        THURSDAY,
        NEXT_THURSDAY,
    ]


def test_the_small_hours_are_copied_with_the_evening_before(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-03 04:00")
    put_on(movie, "2026-12-03 06:00")
    put_on(movie, "2026-12-03 23:30")
    put_on(movie, "2026-12-04 01:30")
    put_on(movie, "2026-12-04 06:00")
    assert starts(copy(staff)) == ["12-10T06:00", "12-10T23:30", "12-11T01:30"]


def test_a_week_is_copied_day_by_day(staff: Client, movie: Movie) -> None:
    for day in range(3, 11):
        put_on(movie, f"2026-12-{day:02} {day + 8:02}:00")
    assert starts(copy(staff, days=7)) == [f"12-{day + 7}T{day + 8:02}:00" for day in range(3, 10)]


def test_a_copy_may_go_back_and_over_the_turn_of_the_year(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-03 20:00")
    assert starts(copy(staff, to="2026-11-30")) == ["11-30T20:00"]
    [created] = placed(copy(staff, to="2028-02-29"))["created"]
    assert created["starts_at"] == "2028-02-29T20:00:00+01:00"


@pytest.mark.parametrize(
    ("order", "copied"),
    [
        ({}, "abc"),
        ({"hall": "hall 1"}, "ac"),
        ({"hall": "Große"}, "b"),
        ({"hall": "GROẞE"}, "b"),
        ({"hall": None, "movie_id": None}, "abc"),
        ({"movie_id": "other"}, "c"),
    ],
)
def test_a_copy_can_be_of_one_hall_or_one_movie(
    staff: Client, movie: Movie, order: dict[str, Any], copied: str
) -> None:
    other = make_movie(name="c")
    put_on(movie, "2026-12-03 18:00", tags=["a"])
    put_on(movie, "2026-12-03 18:00", "Große", tags=["b"])
    put_on(other, "2026-12-03 20:00", tags=["c"])
    if order.get("movie_id"):
        order = {**order, "movie_id": other.pk}
    created = placed(copy(staff, **order))["created"]
    assert sorted(one["tags"][0] for one in created) == list(copied)


@pytest.mark.parametrize(
    ("state", "copied"),
    [
        ("scheduled", "scheduled"),
        ("sold-out", "scheduled"),
        ("hidden", "hidden"),
        ("cancelled", None),
    ],
)
def test_a_copy_is_scheduled_or_hidden(
    staff: Client, movie: Movie, state: str, copied: str | None
) -> None:
    source = put_on(movie, "2026-12-03 20:00", state=state)
    if copied is None:
        [left_out] = placed(copy(staff), 200)["left_out"]
        assert (left_out["reason"], left_out["source_id"]) == ("cancelled", source.pk)
        assert Screening.objects.count() == 1
    else:
        assert [one["state"] for one in placed(copy(staff))["created"]] == [copied]


def test_include_cancelled_copies_a_cancelled_screening_as_scheduled(
    staff: Client, movie: Movie
) -> None:
    put_on(movie, "2026-12-03 20:00", state="cancelled")
    [created] = placed(copy(staff, include_cancelled=True))["created"]
    assert created["state"] == "scheduled"


def test_a_booking_link_is_copied_if_that_is_said(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-03 20:00", booking_url="https://example.org/7")
    [created] = placed(copy(staff, with_booking_urls=True))["created"]
    assert created["booking_url"] == "https://example.org/7"


def test_movies_that_have_ended_by_then_are_left_out_and_named(staff: Client, movie: Movie) -> None:
    ended = make_movie(name="Ended", end_date=date(2026, 12, 9))
    by_hand = make_movie(name="By hand", status="finished")
    withdrawn = make_movie(name="Withdrawn")
    last_day = make_movie(name="Last day", end_date=date(2026, 12, 10))
    for hall, film in enumerate((ended, by_hand, withdrawn, last_day, movie)):
        # After midnight: the day of the programme counts, not the date.
        put_on(film, "2026-12-04 00:30", f"Hall {hall}")
    staff.delete(f"/movies/{withdrawn.pk}", force=True)
    answer = placed(copy(staff))
    created = {one["movie_id"] for one in answer["created"]}
    assert created == {last_day.pk, movie.pk}
    assert {(one["movie"], one["reason"]) for one in answer["left_out"]} == {
        ("Ended", "movie-finished"),
        ("By hand", "movie-finished"),
        ("Withdrawn", "movie-withdrawn"),
    }
    assert {one["date"] for one in answer["left_out"]} == {NEXT_THURSDAY}
    assert {one["starts_at"] for one in answer["left_out"]} == {"2026-12-11T00:30:00+01:00"}


# --- questions that cannot be answered


def test_days_without_screenings_are_404(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-04 20:00")
    for order in ({}, {"days": 2, "hall": "Hall 9"}, {"days": 2, "movie_id": 2**64 - 1}):
        answer = copy(staff, **order)
        assert answer.status_code == 404
        assert "from 2026-12-03 to 2026-12-0" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("from", "2026-02-30"),
        ("from", "0001-01-01"),
        ("from", 20261203),
        ("from", None),
        ("to", THURSDAY),
        ("to", "2026-12-10T20:00:00Z"),
        ("to", "9999-12-31"),
        ("days", 0),
        ("days", 32),
        ("days", "a week"),
        ("days", None),
        ("hall", ""),
        ("hall", ["1"]),
        ("movie_id", 0),
        ("on_collision", "ask"),
        ("doubled_hour", "third"),
        ("include_cancelled", "perhaps"),
        ("dry_run", None),
        ("unheard_of", 1),
    ],
)
def test_a_bad_value_is_refused_and_its_field_named(
    staff: Client, movie: Movie, field: str, value: object
) -> None:
    put_on(movie, "2026-12-03 20:00")
    assert refused_fields(copy(staff, **{field: value})) == [f"body.{field}"]
    assert Screening.objects.count() == 1


def test_days_past_the_end_of_the_calendar_are_refused(staff: Client) -> None:
    assert refused_fields(copy(staff, to="2200-12-26", days=7)) == ["body.days"]
    assert copy(staff, to="2200-12-25", days=7).status_code == 404


def test_too_many_at_once_are_refused(
    staff: Client, movie: Movie, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_COPIED", 2)
    for hour in (14, 16):
        put_on(movie, f"2026-12-03 {hour}:00")
    assert len(starts(copy(staff))) == 2
    put_on(movie, "2026-12-03 18:00")
    answer = copy(staff, to="2026-12-17")
    assert refused_fields(answer) == ["body.days"]
    assert "at most 2" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/screenings/copy", "/screenings/bulk"])
def test_copying_is_for_staff(anonymous: Client, viewer: Client, path: str) -> None:
    assert anonymous.post(path, {}).status_code == 401
    assert viewer.post(path, {}).status_code == 403


# --- dry runs and cost


def test_a_dry_run_answers_the_same_and_writes_nothing(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-03 20:00")
    rehearsed = placed(copy(staff, dry_run=True), 200)
    assert Screening.objects.count() == 1
    assert rehearsed["dry_run"] is True
    done = placed(copy(staff))
    ids = [one.pop("id") for answer in (rehearsed, done) for one in answer["created"]]
    assert ids == [None, Screening.objects.latest("pk").pk]
    assert rehearsed["created"] == done["created"]
    assert len(collisions(copy(staff, dry_run=True))) == 1


def test_many_screenings_are_copied_with_as_many_queries_as_one(staff: Client) -> None:
    def queries(status: int, **order: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert copy(staff, **order).status_code == status
        return len(captured)

    for number in range(40):
        put_on(make_movie(), "2026-12-03 20:00", f"Hall {number}", tags=["35mm"])
    one = queries(201, hall="Hall 0")
    assert queries(409, hall="Hall 0") <= one < 20
    assert queries(409) <= one
    assert queries(201, on_collision="skip") <= one + 1  # names what is in the way of the one
    assert queries(201, to="2026-12-17") == one
    assert Screening.objects.count() == 40 * 3
