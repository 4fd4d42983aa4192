"""Screenings through HTTP: posted, read, changed, listed and deleted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from movies.models import Hall, Movie, Screening
from tests.builders import Client, make_movie, make_screening
from tests.catalogue import EVENING, posted_screening, refused_fields, show, while_uncommitted

pytestmark = pytest.mark.django_db


@pytest.fixture
def movie(db: None) -> Movie:
    """90 minutes, in French."""
    return make_movie()


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
    screening = posted_screening(staff, movie, **fields)
    assert {key: screening[key] for key in fields} == fields


def test_times_are_shown_by_the_clock_of_the_cinema(staff: Client, movie: Movie) -> None:
    screening = posted_screening(staff, movie, starts_at="2026-07-01T12:00:00-05:00")
    assert screening["starts_at"] == "2026-07-01T19:00:00+02:00"


def test_a_tag_is_in_lower_case(staff: Client, movie: Movie) -> None:
    assert posted_screening(staff, movie, tags=[" 35MM  Print "])["tags"] == ["35mm print"]


def test_the_language_is_the_movies_unless_it_is_said(staff: Client, movie: Movie) -> None:
    silent = posted_screening(staff, movie, language=None)
    assert silent["language"] is None
    assert staff.patch(f"/screenings/{silent['id']}", {"tags": ["live"]}).json()["language"] is None
    assert posted_screening(staff, movie, hall="2", language="de")["language"] == "de"
    assert posted_screening(staff, make_movie(original_language=None), hall="3")["language"] is None


def test_a_screening_ends_after_the_running_time_or_has_to_say_when(
    staff: Client, movie: Movie
) -> None:
    assert posted_screening(staff, movie, ends_at=None)["ends_at"] == "2026-12-03T21:30:00+01:00"
    endless = make_movie(runtime_minutes=None)
    answer = staff.post("/screenings", show(endless, hall="2"))
    assert refused_fields(answer) == ["body.ends_at"]
    assert not Hall.objects.filter(name="2").exists()
    posted_screening(staff, endless, hall="2", ends_at="2026-12-03T20:01:00+01:00")


@pytest.mark.parametrize("again", ["hall 1", "HALL 1", " Hall\t1 "])
def test_a_hall_is_made_on_its_first_use_and_then_used_again(
    staff: Client, movie: Movie, again: str
) -> None:
    posted_screening(staff, movie)
    second = posted_screening(staff, movie, hall=again, starts_at="2026-12-04T20:00:00+01:00")
    assert second["hall"] == "Hall 1"
    assert Hall.objects.count() == 1


@pytest.mark.parametrize(("first", "again"), [("Große", "GROẞE"), ("i", "İ"), ("七", "七")])
def test_a_hall_is_one_whatever_the_case_of_its_letters(
    staff: Client, movie: Movie, first: str, again: str
) -> None:
    posted_screening(staff, movie, hall=first)
    assert staff.post("/screenings", show(movie, hall=again)).status_code == 409


def test_the_number_of_a_hall_is_a_name_too(staff: Client, movie: Movie) -> None:
    assert posted_screening(staff, movie, hall=2)["hall"] == "2"
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


# --- changing and deleting


def test_a_patch_keeps_the_fields_it_leaves_out(staff: Client, movie: Movie) -> None:
    screening = posted_screening(staff, movie, tags=["35mm"], language="de", subtitles="en")
    path = f"/screenings/{screening['id']}"
    assert staff.patch(path, {"state": "sold-out"}).json() == {**screening, "state": "sold-out"}
    assert staff.patch(path, {}).json() == {**screening, "state": "sold-out"}


def test_a_screening_that_moves_keeps_its_length(staff: Client, movie: Movie) -> None:
    screening = posted_screening(staff, movie, ends_at="2026-12-03T22:10:00+01:00")
    path = f"/screenings/{screening['id']}"
    moved = staff.patch(path, {"starts_at": "2026-12-24T18:00:00+01:00"}).json()
    assert moved["ends_at"] == "2026-12-24T20:10:00+01:00"
    both = {"starts_at": "2026-12-24T18:00:00+01:00", "ends_at": "2026-12-24T19:00:00+01:00"}
    assert staff.patch(path, both).json()["ends_at"] == "2026-12-24T19:00:00+01:00"
    assert staff.patch(path, {"ends_at": None}).json()["ends_at"] == "2026-12-24T19:30:00+01:00"


def test_a_screening_can_be_given_to_another_movie(staff: Client, movie: Movie) -> None:
    path = f"/screenings/{posted_screening(staff, movie)['id']}"
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
    with django_assert_num_queries(3):  # the catalogue's version, how many, and the page
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
