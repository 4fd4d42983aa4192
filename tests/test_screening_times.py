"""The fields of a screening, and one hall for one screening at a time."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

import pytest
from django.db import IntegrityError

from movies.models import Hall, Movie, Screening
from tests.builders import Client, make_movie, make_screening
from tests.catalogue import EVENING, posted_screening, refused_fields, show
from tests.concurrency import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def movie(db: None) -> Movie:
    """90 minutes, in French."""
    return make_movie()


# --- bad values


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("starts_at", "2026-12-03T20:00:00"),
        ("starts_at", "2026-12-03"),
        ("starts_at", "20:00"),
        ("starts_at", "2026-12-03T25:00:00+01:00"),
        ("starts_at", "2026-12-03T20:00:00+25:00"),
        ("starts_at", "2026-12-03T20:00:00 Europe/Berlin"),
        ("starts_at", "0001-01-01T00:00:00Z"),
        ("starts_at", "9999-12-31T23:59:59-23:00"),
        ("starts_at", 1_796_324_400),
        ("starts_at", "1796324400"),
        ("starts_at", True),
        ("starts_at", None),
        ("ends_at", "2026-12-03T22:00:00"),
        ("ends_at", 0),
        ("movie_id", 0),
        ("movie_id", "first"),
        ("movie_id", None),
        ("hall", ""),
        ("hall", " \x00 "),
        ("hall", "x" * 61),
        ("hall", True),
        ("hall", 1.5),
        ("hall", None),
        ("hall", ["1"]),
        ("version", "voice-over"),
        ("version", None),
        ("language", "Deutsch"),
        ("subtitles", ""),
        ("tags", ["x" * 41]),
        ("tags", ["İ" * 40]),
        ("tags", [""]),
        ("tags", ["tag"] * 21),
        ("tags", "35mm"),
        ("tags", None),
        ("booking_url", "javascript:alert(1)"),
        ("booking_url", "https://example.org/" + "a" * 500),
        ("state", "over"),
        ("state", None),
        ("id", 7),
        ("unheard_of", "x"),
    ],
)
def test_a_bad_value_is_refused_and_its_field_named(
    staff: Client, movie: Movie, field: str, value: object
) -> None:
    standing = make_screening(movie)
    for answer in (
        staff.post("/screenings", show(movie, **{field: value})),
        staff.patch(f"/screenings/{standing.pk}", {field: value}),
    ):
        assert refused_fields(answer) == [f"body.{field}"]
    assert Screening.objects.count() == 1


@pytest.mark.parametrize("movie_id", [987_654_321, 2**63, 2**64 - 1])
def test_a_screening_of_no_movie_is_404(staff: Client, movie: Movie, movie_id: int) -> None:
    assert staff.post("/screenings", show(movie, movie_id=movie_id)).status_code == 404
    path = f"/screenings/{make_screening(movie).pk}"
    assert staff.patch(path, {"movie_id": movie_id}).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("screening_id", [0, 987_654_321, 10**30])
def test_a_screening_that_is_not_there_is_404(
    staff: Client, method: str, screening_id: int
) -> None:
    assert staff.send(method, f"/screenings/{screening_id}", {}).status_code == 404


@pytest.mark.parametrize(
    ("ends_at", "status"),
    [
        ("2026-12-03T19:59:59+01:00", 422),
        ("2026-12-03T20:00:00+01:00", 422),
        ("2026-12-03T20:30:00+02:00", 422),
        ("2026-12-03T20:00:01+01:00", 201),
        ("2026-12-04T01:30:00+01:00", 201),
        ("2026-12-04T20:00:00+01:00", 201),
        ("2026-12-04T20:00:01+01:00", 422),
    ],
)
def test_a_screening_ends_after_its_start_and_within_a_day(
    staff: Client, movie: Movie, ends_at: str, status: int
) -> None:
    assert staff.post("/screenings", show(movie, ends_at=ends_at)).status_code == status
    standing = posted_screening(staff, movie, hall="2")
    answer = staff.patch(f"/screenings/{standing['id']}", {"ends_at": ends_at})
    assert answer.status_code == (200 if status == 201 else status)


def test_a_start_after_the_standing_end_is_refused_if_the_end_is_said_to_stay(
    staff: Client, movie: Movie
) -> None:
    path = f"/screenings/{posted_screening(staff, movie)['id']}"
    late = {"starts_at": "2026-12-03T22:00:00+01:00", "ends_at": "2026-12-03T21:30:00+01:00"}
    assert staff.patch(path, late).status_code == 422
    assert staff.get(path).json()["starts_at"] == EVENING


# --- one hall, one screening at a time


@pytest.mark.parametrize(
    ("start", "end", "status"),
    [
        ("18:00", "20:00", 201),
        ("18:00", "20:01", 409),
        ("18:00", "23:00", 409),
        ("20:00", "21:30", 409),
        ("20:30", "21:00", 409),
        ("21:29", "23:00", 409),
        ("21:30", "23:00", 201),
    ],
)
def test_two_screenings_in_one_hall_may_touch_but_not_overlap(
    staff: Client, movie: Movie, start: str, end: str, status: int
) -> None:
    standing = posted_screening(staff, movie)
    times = {
        "starts_at": f"2026-12-03T{start}:00+01:00",
        "ends_at": f"2026-12-03T{end}:00+01:00",
    }
    answer = staff.post("/screenings", show(movie, **times))
    assert answer.status_code == status
    if status == 409:
        assert answer.json()["screening_ids"] == [standing["id"]]
        assert "Hall 1" in answer.json()["detail"]
    assert staff.post("/screenings", show(movie, hall="2", **times)).status_code == 201


def test_all_conflicting_screenings_are_named(staff: Client, movie: Movie) -> None:
    first = posted_screening(staff, movie)
    second = posted_screening(staff, movie, starts_at="2026-12-03T22:00:00+01:00", state="hidden")
    long = show(movie, starts_at="2026-12-03T21:00:00+01:00", ends_at="2026-12-03T23:00:00+01:00")
    answer = staff.post("/screenings", long)
    assert sorted(answer.json()["screening_ids"]) == [first["id"], second["id"]]


def test_a_cancelled_screening_leaves_the_hall_and_cannot_come_back_into_a_taken_one(
    staff: Client, movie: Movie
) -> None:
    first = posted_screening(staff, movie)
    path = f"/screenings/{first['id']}"
    assert staff.patch(path, {"state": "cancelled"}).status_code == 200
    second = posted_screening(staff, movie)
    answer = staff.patch(path, {"state": "scheduled"})
    assert (answer.status_code, answer.json()["screening_ids"]) == (409, [second["id"]])
    assert staff.get(path).json()["state"] == "cancelled"
    staff.patch(f"/screenings/{second['id']}", {"state": "cancelled"})
    assert staff.patch(path, {"state": "scheduled"}).status_code == 200


def test_a_screening_does_not_move_into_a_taken_hall(staff: Client, movie: Movie) -> None:
    first = posted_screening(staff, movie)
    second = posted_screening(staff, movie, hall="Hall 2")
    path = f"/screenings/{second['id']}"
    answer = staff.patch(path, {"hall": "hall 1"})
    assert (answer.status_code, answer.json()["screening_ids"]) == (409, [first["id"]])
    assert staff.get(path).json()["hall"] == "Hall 2"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("hall_is_new", [True, False])
def test_exactly_one_of_many_simultaneous_screenings_gets_the_hall(
    staff: Client, hall_is_new: bool
) -> None:
    movie = make_movie()
    if not hall_is_new:
        Hall.objects.create(name="HALL 1")
    answers = at_once([partial(staff.post, "/screenings", show(movie))] * 6)
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 5]
    [taken] = Screening.objects.all()
    assert all(
        answer.json()["screening_ids"] == [taken.pk]
        for answer in answers
        if answer.status_code == 409
    )


@pytest.mark.django_db(transaction=True)
def test_two_screenings_that_swap_halls_at_once_end_in_an_answer_each(staff: Client) -> None:
    movie = make_movie()
    first, second = (posted_screening(staff, movie, hall=hall) for hall in ("1", "2"))
    answers = at_once(
        [
            partial(staff.patch, f"/screenings/{first['id']}", {"hall": "2"}),
            partial(staff.patch, f"/screenings/{second['id']}", {"hall": "1"}),
        ]
    )
    assert [answer.status_code for answer in answers] == [409, 409]


# --- midnight and daylight saving


def test_a_screening_may_run_past_midnight(staff: Client, movie: Movie) -> None:
    screening = posted_screening(staff, movie, starts_at="2026-12-03T23:30:00+01:00")
    assert screening["ends_at"] == "2026-12-04T01:00:00+01:00"
    early = show(movie, starts_at="2026-12-04T00:30:00+01:00")
    assert staff.post("/screenings", early).status_code == 409


@pytest.mark.parametrize(
    ("starts_at", "ends_at"),
    [
        ("2026-03-29T01:30:00+01:00", "2026-03-29T04:00:00+02:00"),  # 2:00 is 3:00
        ("2026-10-25T01:30:00+02:00", "2026-10-25T02:00:00+01:00"),  # 3:00 is 2:00 once more
        ("2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T04:00:00+01:00"),
    ],
)
def test_a_screening_lasts_as_long_when_the_clocks_change(
    staff: Client, movie: Movie, starts_at: str, ends_at: str
) -> None:
    screening = posted_screening(staff, movie, starts_at=starts_at)
    assert (screening["starts_at"], screening["ends_at"]) == (starts_at, ends_at)


def test_the_hour_that_comes_twice_is_two_hours(staff: Client, movie: Movie) -> None:
    hour = {"starts_at": "2026-10-25T02:00:00+02:00", "ends_at": "2026-10-25T03:00:00+02:00"}
    posted_screening(staff, movie, **hour)
    again = {"starts_at": "2026-10-25T02:00:00+01:00", "ends_at": "2026-10-25T03:00:00+01:00"}
    posted_screening(staff, movie, **again)


def test_the_database_itself_keeps_two_screenings_out_of_one_hall(movie: Movie) -> None:
    screening = make_screening(movie)
    screening.pk, screening.uid = None, uuid4()
    with pytest.raises(IntegrityError, match="screening_hall_is_free"):
        screening.save()
