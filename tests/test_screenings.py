"""Screenings through HTTP: when, where and in which version a movie is shown."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone

from movies.models import Hall, Movie, Screening
from tests.builders import Client, make_movie, make_screening
from tests.catalogue import refused_fields, while_uncommitted
from tests.concurrency import at_once

pytestmark = pytest.mark.django_db

EVENING = "2026-12-03T20:00:00+01:00"


@pytest.fixture
def movie(db: None) -> Movie:
    """90 minutes, in French."""
    return make_movie()


def show(movie: Movie, **fields: Any) -> dict[str, Any]:
    """The least that a screening needs, and `fields`."""
    return {"movie_id": movie.pk, "hall": "Hall 1", "starts_at": EVENING, **fields}


def posted(staff: Client, movie: Movie, **fields: Any) -> dict[str, Any]:
    """A screening posted through the API, as it was answered."""
    answer = staff.post("/screenings", show(movie, **fields))
    assert answer.status_code == 201, answer.content
    screening: dict[str, Any] = answer.json()
    return screening


# --- posting and reading


def test_a_posted_screening_is_found_at_its_location(
    staff: Client, anonymous: Client, movie: Movie
) -> None:
    answer = staff.post("/screenings", show(movie))
    screening = answer.json()
    assert answer.status_code == 201
    assert answer["Location"] == f"/api/v1/screenings/{screening['id']}"
    assert anonymous.get(answer["Location"]).json() == screening
    assert screening == {
        "id": screening["id"],
        "movie_id": movie.pk,
        "hall": "Hall 1",
        "starts_at": EVENING,
        "ends_at": "2026-12-03T21:30:00+01:00",
        "version": "original",
        "language": "fr",
        "subtitles": None,
        "tags": [],
        "booking_url": None,
        "state": "scheduled",
    }


def test_everything_that_is_posted_is_read_back(staff: Client, movie: Movie) -> None:
    fields = {
        "ends_at": "2026-12-03T22:15:00+01:00",
        "version": "subtitled",
        "language": "de",
        "subtitles": "en-GB",
        "tags": ["35mm", "q&a"],
        "booking_url": "https://example.org/book?id=7",
        "state": "sold-out",
    }
    screening = posted(staff, movie, **fields)
    assert {key: screening[key] for key in fields} == fields


def test_times_are_shown_by_the_clock_of_the_cinema(staff: Client, movie: Movie) -> None:
    screening = posted(staff, movie, starts_at="2026-07-01T12:00:00-05:00")
    assert screening["starts_at"] == "2026-07-01T19:00:00+02:00"


def test_a_tag_is_in_lower_case(staff: Client, movie: Movie) -> None:
    assert posted(staff, movie, tags=[" 35MM  Print "])["tags"] == ["35mm print"]


def test_the_language_is_the_movies_unless_it_is_said(staff: Client, movie: Movie) -> None:
    silent = posted(staff, movie, language=None)
    assert silent["language"] is None
    assert staff.patch(f"/screenings/{silent['id']}", {"tags": ["live"]}).json()["language"] is None
    assert posted(staff, movie, hall="2", language="de")["language"] == "de"
    assert posted(staff, make_movie(original_language=None), hall="3")["language"] is None


def test_a_screening_ends_after_the_running_time_or_has_to_say_when(
    staff: Client, movie: Movie
) -> None:
    assert posted(staff, movie, ends_at=None)["ends_at"] == "2026-12-03T21:30:00+01:00"
    endless = make_movie(runtime_minutes=None)
    answer = staff.post("/screenings", show(endless, hall="2"))
    assert refused_fields(answer) == ["body.ends_at"]
    assert not Hall.objects.filter(name="2").exists()
    posted(staff, endless, hall="2", ends_at="2026-12-03T20:01:00+01:00")


@pytest.mark.parametrize("again", ["hall 1", "HALL 1", " Hall\t1 "])
def test_a_hall_is_made_on_its_first_use_and_then_used_again(
    staff: Client, movie: Movie, again: str
) -> None:
    posted(staff, movie)
    second = posted(staff, movie, hall=again, starts_at="2026-12-04T20:00:00+01:00")
    assert second["hall"] == "Hall 1"
    assert Hall.objects.count() == 1


@pytest.mark.parametrize(("first", "again"), [("Große", "GROẞE"), ("i", "İ"), ("七", "七")])
def test_a_hall_is_one_whatever_the_case_of_its_letters(
    staff: Client, movie: Movie, first: str, again: str
) -> None:
    posted(staff, movie, hall=first)
    assert staff.post("/screenings", show(movie, hall=again)).status_code == 409


def test_the_number_of_a_hall_is_a_name_too(staff: Client, movie: Movie) -> None:
    assert posted(staff, movie, hall=2)["hall"] == "2"
    assert staff.post("/screenings", show(movie, hall="2")).status_code == 409


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/screenings"), ("PATCH", "/screenings/{}"), ("DELETE", "/screenings/{}")],
)
def test_writing_is_for_staff(anonymous: Client, viewer: Client, method: str, path: str) -> None:
    screening = make_screening()
    path = path.format(screening.pk)
    assert anonymous.send(method, path, show(screening.movie)).status_code == 401
    assert viewer.send(method, path, show(screening.movie)).status_code == 403
    assert Screening.objects.filter(pk=screening.pk).count() == Screening.objects.count() == 1


def test_reading_with_a_bad_token_is_refused(anonymous: Client) -> None:
    forged = {"Authorization": "Bearer not.a.token"}
    for path in ("/screenings", f"/screenings/{make_screening().pk}"):
        assert anonymous.send("GET", path, headers=forged).status_code == 401


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
    standing = posted(staff, movie, hall="2")
    answer = staff.patch(f"/screenings/{standing['id']}", {"ends_at": ends_at})
    assert answer.status_code == (200 if status == 201 else status)


def test_a_start_after_the_standing_end_is_refused_if_the_end_is_said_to_stay(
    staff: Client, movie: Movie
) -> None:
    path = f"/screenings/{posted(staff, movie)['id']}"
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
    standing = posted(staff, movie)
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


def test_all_that_stand_in_the_way_are_named(staff: Client, movie: Movie) -> None:
    first = posted(staff, movie)
    second = posted(staff, movie, starts_at="2026-12-03T22:00:00+01:00", state="hidden")
    long = show(movie, starts_at="2026-12-03T21:00:00+01:00", ends_at="2026-12-03T23:00:00+01:00")
    answer = staff.post("/screenings", long)
    assert sorted(answer.json()["screening_ids"]) == [first["id"], second["id"]]


def test_a_cancelled_screening_leaves_the_hall_and_cannot_come_back_into_a_taken_one(
    staff: Client, movie: Movie
) -> None:
    first = posted(staff, movie)
    path = f"/screenings/{first['id']}"
    assert staff.patch(path, {"state": "cancelled"}).status_code == 200
    second = posted(staff, movie)
    answer = staff.patch(path, {"state": "scheduled"})
    assert (answer.status_code, answer.json()["screening_ids"]) == (409, [second["id"]])
    assert staff.get(path).json()["state"] == "cancelled"
    staff.patch(f"/screenings/{second['id']}", {"state": "cancelled"})
    assert staff.patch(path, {"state": "scheduled"}).status_code == 200


def test_a_screening_does_not_move_into_a_taken_hall(staff: Client, movie: Movie) -> None:
    first = posted(staff, movie)
    second = posted(staff, movie, hall="Hall 2")
    path = f"/screenings/{second['id']}"
    answer = staff.patch(path, {"hall": "hall 1"})
    assert (answer.status_code, answer.json()["screening_ids"]) == (409, [first["id"]])
    assert staff.get(path).json()["hall"] == "Hall 2"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("hall_is_new", [True, False])
def test_of_many_who_take_a_hall_at_once_exactly_one_gets_it(
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
    first, second = (posted(staff, movie, hall=hall) for hall in ("1", "2"))
    answers = at_once(
        [
            partial(staff.patch, f"/screenings/{first['id']}", {"hall": "2"}),
            partial(staff.patch, f"/screenings/{second['id']}", {"hall": "1"}),
        ]
    )
    assert [answer.status_code for answer in answers] == [409, 409]


# --- changing and deleting


def test_what_a_patch_leaves_out_stays(staff: Client, movie: Movie) -> None:
    screening = posted(staff, movie, tags=["35mm"], language="de", subtitles="en")
    path = f"/screenings/{screening['id']}"
    assert staff.patch(path, {"state": "sold-out"}).json() == {**screening, "state": "sold-out"}
    assert staff.patch(path, {}).json() == {**screening, "state": "sold-out"}


def test_a_screening_that_moves_keeps_its_length(staff: Client, movie: Movie) -> None:
    screening = posted(staff, movie, ends_at="2026-12-03T22:10:00+01:00")
    path = f"/screenings/{screening['id']}"
    moved = staff.patch(path, {"starts_at": "2026-12-24T18:00:00+01:00"}).json()
    assert moved["ends_at"] == "2026-12-24T20:10:00+01:00"
    both = {"starts_at": "2026-12-24T18:00:00+01:00", "ends_at": "2026-12-24T19:00:00+01:00"}
    assert staff.patch(path, both).json()["ends_at"] == "2026-12-24T19:00:00+01:00"
    assert staff.patch(path, {"ends_at": None}).json()["ends_at"] == "2026-12-24T19:30:00+01:00"


def test_a_screening_can_be_given_to_another_movie(staff: Client, movie: Movie) -> None:
    path = f"/screenings/{posted(staff, movie)['id']}"
    other = make_movie()
    assert staff.patch(path, {"movie_id": other.pk}).json()["movie_id"] == other.pk


@pytest.mark.django_db(transaction=True)
def test_two_patches_at_once_do_not_undo_each_other(staff: Client) -> None:
    screening = make_screening()
    answer = while_uncommitted(
        lambda: Screening.objects.update(state="cancelled"),
        lambda: staff.patch(f"/screenings/{screening.pk}", {"tags": ["35mm"]}),
    )
    assert (answer.json()["state"], answer.json()["tags"]) == ("cancelled", ["35mm"])
    screening.refresh_from_db()
    assert (screening.state, screening.tags) == ("cancelled", ["35mm"])


@pytest.mark.django_db(transaction=True)
def test_a_screening_of_a_movie_that_is_being_deleted_is_404(staff: Client) -> None:
    movie = make_movie()
    answer = while_uncommitted(
        lambda: Movie.objects.all().delete(), lambda: staff.post("/screenings", show(movie))
    )
    assert answer.status_code == 404


def test_a_deleted_screening_is_gone(staff: Client) -> None:
    path = f"/screenings/{make_screening().pk}"
    assert [staff.delete(path).status_code for _ in range(3)] == [204, 404, 404]
    assert staff.get(path).status_code == 404
    assert staff.get("/screenings").json()["data"] == []


# --- midnight and daylight saving


def test_a_screening_may_run_past_midnight(staff: Client, movie: Movie) -> None:
    screening = posted(staff, movie, starts_at="2026-12-03T23:30:00+01:00")
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
    screening = posted(staff, movie, starts_at=starts_at)
    assert (screening["starts_at"], screening["ends_at"]) == (starts_at, ends_at)


def test_the_hour_that_comes_twice_is_two_hours(staff: Client, movie: Movie) -> None:
    hour = {"starts_at": "2026-10-25T02:00:00+02:00", "ends_at": "2026-10-25T03:00:00+02:00"}
    posted(staff, movie, **hour)
    again = {"starts_at": "2026-10-25T02:00:00+01:00", "ends_at": "2026-10-25T03:00:00+01:00"}
    posted(staff, movie, **again)


# --- lists


def test_a_hidden_screening_is_for_staff(anonymous: Client, viewer: Client, staff: Client) -> None:
    hidden = make_screening(state="hidden")
    shown = make_screening(state="cancelled")
    for client, seen in ((anonymous, [shown.pk]), (viewer, [shown.pk])):
        assert _ids(client) == seen
        assert _ids(client, state="hidden") == []
        assert client.get(f"/screenings/{hidden.pk}").status_code == 404
    assert sorted(_ids(staff)) == [hidden.pk, shown.pk]
    assert staff.get(f"/screenings/{hidden.pk}").json()["state"] == "hidden"


def _ids(client: Client, **query: Any) -> list[int]:
    answer = client.get("/screenings", **query)
    assert answer.status_code == 200, answer.content
    return [screening["id"] for screening in answer.json()["data"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "abc"),
        ({"movie_id": 2**70}, ""),
        ({"hall": "large"}, "ac"),
        ({"hall": "LARGE"}, "ac"),
        ({"hall": "\x00"}, ""),
        ({"hall": "%"}, ""),
        ({"state": "sold-out"}, "b"),
        ({"version": "dubbed"}, "b"),
        ({"language": "de"}, "b"),
        ({"tag": "35mm"}, "a"),
        ({"tag": "35MM"}, "a"),
        ({"from": "2026-12-04T20:00:00+01:00"}, "bc"),
        ({"to": "2026-12-04T20:00:00+01:00"}, "a"),
        ({"from": "2026-12-04T20:00:00+01:00", "to": "2026-12-04T21:00:00+01:00"}, "b"),
        ({"from": "2200-01-01T00:00:00Z"}, ""),
        ({"hall": "large", "tag": "35mm", "language": "fr"}, "a"),
    ],
)
def test_screenings_are_filtered(anonymous: Client, query: dict[str, Any], found: str) -> None:
    c = make_screening(hall="Large", starts_at=_on(5))
    a = make_screening(hall="Large", starts_at=_on(3), tags=["35mm", "live"])
    b = make_screening(
        hall="Small", starts_at=_on(4), version="dubbed", language="de", state="sold-out"
    )
    names = {a.pk: "a", b.pk: "b", c.pk: "c"}
    assert "".join(names[pk] for pk in _ids(anonymous, **query)) == found


def _on(day: int) -> datetime:
    return timezone.make_aware(datetime(2026, 12, day, 20))


def test_screenings_of_one_movie_are_found_by_it(anonymous: Client) -> None:
    first, _ = make_screening(), make_screening()
    assert _ids(anonymous, movie_id=first.movie_id) == [first.pk]


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-12-03T20:00:00"},
        {"from": "2026-12-03"},
        {"from": "0"},
        {"from": "0001-01-01T00:00:00+23:00"},
        {"to": "9999-12-31T23:59:59-23:00"},
        {"to": "tomorrow\x00"},
        {"movie_id": 0},
        {"movie_id": "x"},
        {"state": "over"},
        {"version": ""},
        {"hall": "x" * 501},
        {"per_page": 1000},
    ],
)
def test_a_bad_question_is_refused_and_its_parameter_named(
    anonymous: Client, query: dict[str, object]
) -> None:
    assert refused_fields(anonymous.get("/screenings", **query)) == [f"query.{next(iter(query))}"]


@pytest.mark.parametrize("rows", [1, 50])
def test_the_list_takes_as_many_queries_for_one_row_as_for_fifty(
    anonymous: Client, movie: Movie, django_assert_num_queries: Any, rows: int
) -> None:
    for number in range(rows):
        make_screening(movie, hall=f"Hall {number % 7}", starts_at=_on(1) + timedelta(days=number))
    with django_assert_num_queries(2):
        answer = anonymous.get("/screenings", per_page=50)
    assert len(answer.json()["data"]) == rows


def test_a_public_read_is_answered_by_304_until_it_changes(anonymous: Client) -> None:
    screening = make_screening()
    for path in ("/screenings", f"/screenings/{screening.pk}"):
        first = anonymous.get(path)
        assert first["Cache-Control"] == "public, max-age=0, must-revalidate"
        assert "Authorization" in first["Vary"]
        known = {"If-None-Match": first["ETag"]}
        assert anonymous.send("GET", path, headers=known).status_code == 304


def test_the_database_itself_keeps_two_screenings_out_of_one_hall(movie: Movie) -> None:
    screening = make_screening(movie)
    screening.pk = None
    with pytest.raises(IntegrityError, match="screening_hall_is_free"):
        screening.save()
