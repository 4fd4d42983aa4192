"""POST /screenings/copy into halls that are taken."""

from __future__ import annotations

import pytest

from movies.models import Movie, Screening
from tests.batches import collisions, copy, placed, put_on, starts
from tests.builders import Client, make_movie

pytestmark = pytest.mark.django_db


@pytest.fixture
def movie(db: None) -> Movie:
    """90 minutes, in French."""
    return make_movie(name="Cléo")


def test_all_or_nothing_and_everything_in_the_way_is_named(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-03 16:00")
    first = put_on(movie, "2026-12-03 20:00")
    second = put_on(movie, "2026-12-03 20:00", "Hall 2")
    other = make_movie(name="Vagabond")
    early = put_on(other, "2026-12-10 19:00", state="sold-out")
    late = put_on(other, "2026-12-10 21:00", state="hidden")
    put_on(other, "2026-12-10 20:00", state="cancelled")
    also = put_on(other, "2026-12-10 20:30", "Hall 2")
    answer = copy(staff)
    assert [one["source_id"] for one in collisions(answer)] == [first.pk, second.pk]
    assert answer.json()["screening_ids"] == sorted([early.pk, late.pk, also.pk])
    assert "2 of 3" in answer.json()["detail"]
    assert collisions(answer)[0] == {
        "reason": "hall-taken",
        "source_id": first.pk,
        "movie_id": movie.pk,
        "movie": "Cléo",
        "hall": "Hall 1",
        "date": "2026-12-10",
        "starts_at": "2026-12-10T20:00:00+01:00",
        "ends_at": "2026-12-10T21:30:00+01:00",
        "standing": [
            {
                "id": early.pk,
                "movie_id": other.pk,
                "movie": "Vagabond",
                "hall": "Hall 1",
                "starts_at": "2026-12-10T19:00:00+01:00",
                "ends_at": "2026-12-10T20:30:00+01:00",
                "state": "sold-out",
            },
            {
                "id": late.pk,
                "movie_id": other.pk,
                "movie": "Vagabond",
                "hall": "Hall 1",
                "starts_at": "2026-12-10T21:00:00+01:00",
                "ends_at": "2026-12-10T22:30:00+01:00",
                "state": "hidden",
            },
        ],
        "among_new": [],
    }
    assert Screening.objects.count() == 7
    answer = copy(staff, on_collision="skip")
    assert [one["source_id"] for one in placed(answer)["left_out"]] == [first.pk, second.pk]
    assert starts(answer) == ["12-10T16:00"]
    assert Screening.objects.count() == 8


def test_a_copy_can_touch_another_screening(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-03 20:00")
    put_on(movie, "2026-12-10 18:30")
    put_on(movie, "2026-12-10 21:30")
    assert starts(copy(staff)) == ["12-10T20:00"]


def test_the_same_copy_again_collides_or_is_skipped(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-03 18:00")
    put_on(movie, "2026-12-03 20:00")
    first = placed(copy(staff))["created"]
    again = copy(staff)
    assert again.json()["screening_ids"] == [one["id"] for one in first]
    assert [one["standing"][0]["id"] for one in collisions(again)] == [one["id"] for one in first]
    assert placed(copy(staff, on_collision="skip"), 200)["created"] == []
    assert Screening.objects.count() == 4
    assert staff.delete(f"/screenings/{first[1]['id']}").status_code == 204
    assert starts(copy(staff, on_collision="skip")) == ["12-10T20:00"]


def test_copies_that_overlap_each_other_collide(staff: Client, movie: Movie) -> None:
    put_on(movie, "2026-12-03 20:00", state="cancelled")
    put_on(movie, "2026-12-03 21:00", state="cancelled")
    put_on(movie, "2026-12-03 22:00")
    first, second = collisions(copy(staff, include_cancelled=True))
    assert first["among_new"] == ["2026-12-10T20:00:00+01:00"]
    assert second["among_new"] == ["2026-12-10T21:00:00+01:00"]
    skipping = copy(staff, include_cancelled=True, on_collision="skip")
    assert starts(skipping) == ["12-10T20:00", "12-10T22:00"]
    [left_out] = placed(skipping)["left_out"]
    assert left_out["starts_at"] == "2026-12-10T21:00:00+01:00"


def test_days_can_be_copied_to_days_among_them_and_no_copy_is_copied(
    staff: Client, movie: Movie
) -> None:
    put_on(movie, "2026-12-03 10:00")
    put_on(movie, "2026-12-04 14:00")
    put_on(movie, "2026-12-05 18:00")
    answer = copy(staff, to="2026-12-04", days=3)
    assert starts(answer) == ["12-04T10:00", "12-05T14:00", "12-06T18:00"]
    assert len(collisions(copy(staff, to="2026-12-04", days=3))) == 3
