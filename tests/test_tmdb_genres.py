"""TMDb's genres, and which of ours they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from movies.models import Genre, Movie
from movies.tmdb.models import SyncReport, TmdbGenre
from movies.tmdb.tasks import start_sync
from tests.builders import Client
from tests.tmdb_payloads import CLEO, GENRES, cleo
from tests.tmdb_server import TmdbServer

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _lists_have_been_fetched(db: None) -> None:
    now = timezone.now()
    SyncReport.objects.create(kind="lists", state="done", fetched_before=now)


def genres_of_cleo(staff: Client) -> list[str]:
    """The slugs that the film gets when it is posted."""
    Movie.objects.all().delete()
    payload = {"tmdb_id": CLEO, "start_date": "2026-12-03"}
    answer = staff.post("/movies/from-tmdb", payload)
    return [genre["slug"] for genre in answer.json()["genres"]]


def last_report() -> SyncReport:
    return SyncReport.objects.filter(kind="genres").latest("pk")


def test_genres_become_those_of_the_cinema(
    staff: Client, tmdb: TmdbServer, settings: Settings
) -> None:
    """Genres match by the name in the cinema's language or in English; unknown ones are created."""
    settings.TMDB_LANGUAGE = "de-DE"
    Genre.objects.create(slug="music", name="Music")
    nameless = [{"id": 77_777, "name": None}, {"id": None}, {}]
    tmdb.add(cleo(genres=[*GENRES["de"][1:], {"id": 99_999, "name": "Heimatfilm"}, *nameless]))
    assert sorted(genres_of_cleo(staff)) == ["heimatfilm", "komodie", "music"]


def test_staff_decide_which_genre_is_which(staff: Client, tmdb: TmdbServer) -> None:
    ours = Genre.objects.create(slug="chanson", name="Chanson")
    tmdb.add(cleo())
    assert genres_of_cleo(staff) == ["drama", "music"]
    TmdbGenre.objects.filter(pk=10402).update(genre=ours)
    assert genres_of_cleo(staff) == ["chanson", "drama"]


def test_genres_are_fetched_and_mapped(tmdb: TmdbServer) -> None:
    drama = Genre.objects.create(slug="drama", name="Drama")
    start_sync("genres")
    assert (last_report().created, last_report().fetched) == (3, 3)
    assert TmdbGenre.objects.get(pk=18).genre == drama
    assert TmdbGenre.objects.get(pk=35).genre is None
    comedy = Genre.objects.create(slug="comedy", name="Comedy")
    tmdb.genres["en"] = [{"id": 35, "name": "Comedies"}, {"id": 18, "name": "Drama"}]
    TmdbGenre.objects.filter(pk=35).update(genre=comedy)
    start_sync("genres")
    done = last_report()
    assert (done.updated, done.unchanged, done.erased) == (1, 1, 1)
    row = TmdbGenre.objects.get(pk=35)
    assert (row.name, row.genre) == ("Comedies", comedy)


def test_an_empty_list_of_genres_is_a_problem(tmdb: TmdbServer) -> None:
    start_sync("genres")
    tmdb.genres.clear()
    start_sync("genres")
    assert last_report().problems == ["Genres: TMDb names no genres."]
    assert TmdbGenre.objects.count() == 3
