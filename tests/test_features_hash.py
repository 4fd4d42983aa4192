"""When the hash of what films are made of changes, and with it the fingerprint of the data."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_django.fixtures import Settings

from movies import services
from movies.models import Genre, Movie
from movies.tasks import tick_ranking
from recommendations.licence_filter import features_hash
from tests.builders import change_movie, interact, make_movie, make_user

pytestmark = pytest.mark.django_db


CHANGES: dict[str, Callable[[Movie], object]] = {
    "a genre more": lambda film: change_movie(film, genres=["drama", "war"]),
    "no genre": lambda film: change_movie(film, genres=[]),
    "a protagonist": lambda film: change_movie(film, protagonists=["Corinne Marchand"]),
    "a director": lambda film: change_movie(film, directors=["Agnès Varda"]),
    "a keyword": lambda film: change_movie(film, keywords=["paris"]),
    "the overview": lambda film: change_movie(film, overview="Paris!"),
    "the year": lambda film: change_movie(film, release_year=1961),
    "the language": lambda film: change_movie(film, original_language=None),
    "another film": lambda film: make_movie(),
    "a film less": lambda film: services.delete_movie(movie_id=film.pk),
    "the slug of a genre": lambda film: Genre.objects.update(slug="tragedy"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_hash_changes_with_what_films_are_made_of(change: str) -> None:
    make_movie()
    film = make_movie(genres=["drama"], overview="Paris.")
    before = features_hash()
    assert features_hash() == before
    CHANGES[change](film)
    assert features_hash() != before


def test_two_films_that_change_places_change_it() -> None:
    one, other = make_movie(overview="One."), make_movie(overview="Other.")
    before = features_hash()
    change_movie(one, overview="Other.")
    change_movie(other, overview="One.")
    assert features_hash() != before


def test_rankings_ratings_and_what_is_shown_leave_it_alone() -> None:
    film = make_movie(genres=["drama"], status="running")
    before = features_hash()
    tick_ranking()
    interact(make_user(), film, "rating", half_stars=10)
    change_movie(film, name="Renamed", runtime_minutes=100, poster="https://example.org/a.jpg")
    assert features_hash() == before


def test_it_is_of_what_may_be_used(settings: Settings) -> None:
    film = make_movie(overview="Paris.")
    Movie.objects.update(tmdb_fields=["overview"])
    before = features_hash()
    Movie.objects.update(overview="London.", tmdb_fields=["overview"])
    assert features_hash() != before  # the edit was not TMDb's
    Movie.objects.update(tmdb_fields=["overview"])
    assert features_hash() == before
    settings.TMDB_USE_FOR_TRAINING = True
    assert features_hash() != before
    change_movie(film, overview="")
    assert features_hash() != before
