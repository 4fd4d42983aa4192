"""A film is found by its screenings' tags as soon as the screening is written."""

from __future__ import annotations

import pytest

from movies.models import Movie, MovieSearch
from tests.batches import copy, fill, placed, put_on
from tests.builders import Client, make_movie, make_screening

pytestmark = pytest.mark.django_db


@pytest.fixture
def movie(db: None) -> Movie:
    return make_movie(name="Cléo")


def found(client: Client, words: str) -> list[str]:
    answer = client.get("/movies", q=words)
    assert answer.status_code == 200, answer.content
    return [movie["name"] for movie in answer.json()["data"]]


def test_a_film_is_found_by_the_tags_of_its_screenings(staff: Client, movie: Movie) -> None:
    path = f"/screenings/{make_screening(movie, tags=['nitrate']).pk}"
    assert found(staff, "nitrate") == ["Cléo"]
    staff.patch(path, {"tags": ["matinee"]})
    assert (found(staff, "nitrate"), found(staff, "matinee")) == ([], ["Cléo"])
    staff.delete(path)
    assert found(staff, "matinee") == []


def test_a_screening_takes_its_tags_to_another_movie(staff: Client, movie: Movie) -> None:
    screening = make_screening(movie, tags=["nitrate"])
    other = make_movie(name="Vagabond")
    staff.patch(f"/screenings/{screening.pk}", {"movie_id": other.pk})
    assert found(staff, "nitrate") == ["Vagabond"]


def test_the_tags_of_a_hidden_screening_stay_secret(staff: Client, movie: Movie) -> None:
    path = f"/screenings/{make_screening(movie, tags=['secret'], state='hidden').pk}"
    assert found(staff, "secret") == []
    staff.patch(path, {"state": "scheduled"})
    assert found(staff, "secret") == ["Cléo"]
    staff.patch(path, {"state": "hidden"})
    assert found(staff, "secret") == []


def test_a_film_is_found_by_the_tags_of_patterns_and_copies(staff: Client, movie: Movie) -> None:
    placed(fill(staff, movie, tags=["matinee"]))
    assert found(staff, "matinee") == ["Cléo"]
    source = put_on(make_movie(name="Vagabond"), "2026-12-03 22:00", "2", tags=["nitrate"])
    placed(copy(staff, hall="2"))
    source.delete()
    assert found(staff, "nitrate") == ["Vagabond"]
    assert not MovieSearch.objects.filter(movie=movie, is_stale=True).exists()
