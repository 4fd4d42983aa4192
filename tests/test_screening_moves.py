"""One screening that is moved: told what is in its way, and not over somebody else's edit."""

from __future__ import annotations

import pytest

from movies.models import Movie, Screening
from tests.batches import put_on
from tests.builders import Client, make_movie, make_screening
from tests.catalogue import EVENING, posted_screening, show

pytestmark = pytest.mark.django_db


@pytest.fixture
def movie(db: None) -> Movie:
    """90 minutes, in French."""
    return make_movie(name="Cléo")


# --- what is in the way


def test_a_collision_names_film_and_times(staff: Client, movie: Movie) -> None:
    standing = put_on(make_movie(name="Vagabond"), "2026-12-03 21:00", state="hidden")
    moving = put_on(movie, "2026-12-03 20:00", "Hall 2")
    named = {
        "id": standing.pk,
        "movie_id": standing.movie_id,
        "movie": "Vagabond",
        "hall": "Hall 1",
        "starts_at": "2026-12-03T21:00:00+01:00",
        "ends_at": "2026-12-03T22:30:00+01:00",
        "state": "hidden",
    }
    for answer in (
        staff.post("/screenings", show(movie)),
        staff.patch(f"/screenings/{moving.pk}", {"hall": "hall 1"}),
    ):
        assert answer.status_code == 409
        assert answer.json()["screening_ids"] == [standing.pk]
        assert answer.json()["screenings"] == [named]
        said = f"Hall 1 is taken at that time by screening {standing.pk} (Vagabond, 21:00 to 22:30)"
        assert said in answer.json()["detail"]


def test_the_times_in_a_refusal_tell_the_doubled_hour_apart(staff: Client, movie: Movie) -> None:
    hour = {"starts_at": "2026-10-25T02:30:00+01:00", "ends_at": "2026-10-25T03:30:00+01:00"}
    posted_screening(staff, movie, **hour)
    [named] = staff.post("/screenings", show(movie, **hour)).json()["screenings"]
    assert named["starts_at"] == hour["starts_at"]


def test_a_cancelled_screening_moves_anywhere_and_comes_back_where_it_is_free(
    staff: Client, movie: Movie
) -> None:
    standing = posted_screening(staff, movie)
    cancelled = put_on(movie, "2026-12-04 20:00", state="cancelled")
    path = f"/screenings/{cancelled.pk}"
    moved = staff.patch(path, {"starts_at": EVENING})
    assert (moved.status_code, moved.json()["state"]) == (200, "cancelled")
    for state in ("scheduled", "sold-out", "hidden"):
        answer = staff.patch(path, {"state": state})
        assert answer.json()["screening_ids"] == [standing["id"]]
    back = staff.patch(path, {"state": "scheduled", "hall": "Hall 2"})
    assert (back.status_code, back.json()["hall"]) == (200, "Hall 2")


def test_a_screening_moves_within_its_own_time(staff: Client, movie: Movie) -> None:
    path = f"/screenings/{posted_screening(staff, movie)['id']}"
    moved = staff.patch(path, {"starts_at": "2026-12-03T20:15:00+01:00"})
    assert moved.json()["ends_at"] == "2026-12-03T21:45:00+01:00"


def test_a_screening_that_moves_over_a_change_of_the_clocks_keeps_its_length(
    staff: Client, movie: Movie
) -> None:
    path = f"/screenings/{posted_screening(staff, movie)['id']}"
    moved = staff.patch(path, {"starts_at": "2027-03-28T01:30:00+01:00"})
    assert moved.json()["ends_at"] == "2027-03-28T04:00:00+02:00"
    # The offset says what is meant, also where no clock shows it.
    moved = staff.patch(path, {"starts_at": "2027-03-28T02:30:00+01:00"})
    assert moved.json()["starts_at"] == "2027-03-28T03:30:00+02:00"


def test_a_repeated_tag_is_stored_once(staff: Client, movie: Movie) -> None:
    assert posted_screening(staff, movie, tags=["35mm", "Live", "35MM"])["tags"] == ["35mm", "live"]


# --- conditional writes


def test_a_change_with_an_old_etag_is_refused(staff: Client, anonymous: Client) -> None:
    path = f"/screenings/{make_screening().pk}"
    seen = {"If-Match": anonymous.get(path)["ETag"]}
    first = staff.send("PATCH", path, {"tags": ["35mm"]}, headers=seen)
    assert first.status_code == 200
    for method in ("PATCH", "DELETE"):
        late = staff.send(method, path, {"tags": ["live"]}, headers=seen)
        assert late.status_code == 412
        assert late["Content-Type"] == "application/problem+json"
    assert staff.get(path).json()["tags"] == ["35mm"]
    assert first["ETag"] == staff.get(path)["ETag"]
    known = {"If-Match": first["ETag"]}
    assert staff.send("PATCH", path, {"tags": []}, headers=known).status_code == 200
    assert staff.send("PATCH", path, {"state": "sold-out"}).status_code == 200
    anything = {"If-Match": "*"}
    assert staff.send("DELETE", path, headers=anything).status_code == 204


def test_the_etag_of_a_posted_screening_holds_for_its_first_change(
    staff: Client, movie: Movie
) -> None:
    posted = staff.post("/screenings", show(movie))
    path, known = posted["Location"], {"If-Match": posted["ETag"]}
    assert staff.get(path)["ETag"] == posted["ETag"]
    assert staff.send("PATCH", path, {"hall": "2"}, headers=known).status_code == 200
    assert staff.send("PATCH", path, {"hall": "3"}, headers=known).status_code == 412


@pytest.mark.parametrize("if_match", ['"other"', "other", '""', 'W/"x", "y"', "\x7f", "," * 5000])
def test_an_invalid_if_match_is_412(staff: Client, if_match: str) -> None:
    path = f"/screenings/{make_screening().pk}"
    answer = staff.send("PATCH", path, {"hall": "2"}, headers={"If-Match": if_match})
    assert answer.status_code == 412


def test_a_renamed_hall_changes_the_response_but_is_no_edit(
    staff: Client, anonymous: Client
) -> None:
    screening = make_screening()
    path = f"/screenings/{screening.pk}"
    etag = anonymous.get(path)["ETag"]
    assert anonymous.send("GET", path, headers={"If-None-Match": etag}).status_code == 304
    screening.hall.name = "Renamed"
    screening.hall.save()
    assert anonymous.send("GET", path, headers={"If-None-Match": etag}).status_code == 200
    change = staff.send("PATCH", path, {"tags": ["35mm"]}, headers={"If-Match": etag})
    assert change.status_code == 200


def test_each_change_raises_the_sequence_of_the_event(staff: Client, movie: Movie) -> None:
    path = f"/screenings/{posted_screening(staff, movie)['id']}"
    for change in ({"hall": "2"}, {"state": "cancelled"}, {"state": "cancelled"}):
        staff.patch(path, change)
    assert Screening.objects.get().sequence == 2
