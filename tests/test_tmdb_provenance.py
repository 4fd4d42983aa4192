"""Which fields of a film are TMDb's: those that nobody but TMDb has written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from movies.errors import MovieExists
from movies.models import CatalogueVersion, Genre, Movie
from movies.tmdb import services
from movies.tmdb.payloads import Details
from movies.tmdb.services import Fetched
from tests.builders import Client, make_movie
from tests.tmdb_payloads import CLEO, cleo, video
from tests.tmdb_server import TmdbServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def movie(staff: Client, tmdb: TmdbServer) -> Movie:
    """Posted from TMDb, all of it."""
    tmdb.add(cleo())
    payload = {"tmdb_id": CLEO, "start_date": "2026-12-03"}
    return Movie.objects.get(pk=staff.post("/movies/from-tmdb", payload).json()["id"])


def refresh(movie: Movie, **fields: Any) -> bool:
    """TMDb now says this of the film."""
    details = Details.model_validate(cleo(**fields))
    return services.refresh_movie(movie_id=movie.pk, fetched=Fetched(details, timezone.now()))


EDITS: dict[str, Any] = {
    "name": "Mittwoch zwischen 5 und 7",
    "protagonists": ["Corinne Marchand"],
    "overview": "Two hours in the life of a singer.",
    "poster": "https://cinema.example/cleo.jpg",
    "trailer": None,
    "original_language": "de",
    "release_year": 1961,
    "runtime_minutes": 91,
    "genres": ["drama"],
}


@pytest.mark.parametrize("field", EDITS)
def test_a_field_edited_by_staff_is_not_refreshed(staff: Client, movie: Movie, field: str) -> None:
    before = set(movie.tmdb_fields)
    assert staff.patch(f"/movies/{movie.pk}", {field: EDITS[field]}).status_code == 200
    movie.refresh_from_db()
    assert set(movie.tmdb_fields) == before - {field}
    refresh(movie, title="New", overview="New", genres=[{"id": 35, "name": "Comedy"}], runtime=9,
            release_date="2000-01-01", original_language="xx", poster_path="/n.jpg")  # fmt: skip
    shown = staff.get(f"/movies/{movie.pk}").json()
    if field == "genres":
        assert [genre["slug"] for genre in shown["genres"]] == ["drama"]
    else:
        assert shown[field] == EDITS[field]
        assert [genre["slug"] for genre in shown["genres"]] == ["comedy"]
    assert (shown["overview"] == "New") == (field != "overview")


def test_sending_the_same_again_is_no_edit(staff: Client, movie: Movie) -> None:
    shown = staff.get(f"/movies/{movie.pk}").json()
    same = {field: shown[field] for field in EDITS}
    assert staff.patch(f"/movies/{movie.pk}", same).status_code == 200
    fields = movie.tmdb_fields
    movie.refresh_from_db()
    assert movie.tmdb_fields == fields


def test_dates_and_status_are_no_edit_of_tmdbs_fields(staff: Client, movie: Movie) -> None:
    changes = {"start_date": "2026-12-04", "end_date": "2026-12-31", "status": "finished"}
    assert staff.patch(f"/movies/{movie.pk}", changes).status_code == 200
    fields = movie.tmdb_fields
    movie.refresh_from_db()
    assert movie.tmdb_fields == fields


def test_edits_by_every_writer_count(movie: Movie) -> None:
    """The admin saves rows, imports update many at once, and there is psql."""
    movie.overview = "Words of the staff."
    movie.save()
    Movie.objects.filter(pk=movie.pk).update(
        runtime_minutes=91, keywords=[], directors=["X"], series="X"
    )
    with connection.cursor() as cursor:
        cursor.execute("UPDATE movies_movie SET name = 'X' WHERE id = %s", [movie.pk])
    movie.genres.add(Genre.objects.create(slug="essay", name="Essay"))
    movie.refresh_from_db()
    assert movie.tmdb_fields == [
        "original_language", "poster", "protagonists", "release_year", "trailer",
    ]  # fmt: skip


def test_taking_a_genre_away_is_an_edit(movie: Movie) -> None:
    movie.genres.remove(movie.genres.all()[0])
    movie.refresh_from_db()
    assert "genres" not in movie.tmdb_fields
    assert "overview" in movie.tmdb_fields


def test_an_edit_in_the_transaction_after_tmdb_wrote_is_still_one(movie: Movie) -> None:
    assert refresh(movie, overview="TMDb's words.")
    Movie.objects.filter(pk=movie.pk).update(name="Words of the staff.")
    movie.refresh_from_db()
    assert "overview" in movie.tmdb_fields
    assert "name" not in movie.tmdb_fields


# --- refreshing


def test_a_refresh_adds_new_values_and_removes_missing_ones(staff: Client, movie: Movie) -> None:
    fields = movie.tmdb_fields
    new = video("brandnew001", published_at="2026-11-01T00:00:00.000Z")
    assert refresh(movie, overview="", runtime=None, videos={"results": [new]}, poster_path=None,
                   images=None)  # fmt: skip
    shown = staff.get(f"/movies/{movie.pk}").json()
    assert (shown["overview"], shown["runtime_minutes"], shown["poster"]) == ("", None, None)
    assert shown["trailer"] == "https://www.youtube.com/watch?v=brandnew001"
    movie.refresh_from_db()
    assert movie.tmdb_fields == fields
    assert refresh(movie)
    assert staff.get(f"/movies/{movie.pk}").json()["runtime_minutes"] == 90


def test_required_fields_of_a_movie_are_never_removed(movie: Movie) -> None:
    refresh(movie, title=None, original_title=None, credits=None)
    movie.refresh_from_db()
    assert (movie.name, movie.protagonists[0]) == ("Cléo from 5 to 7", "Corinne Marchand")
    assert {"name", "protagonists"} <= set(movie.tmdb_fields)


def test_a_refresh_that_finds_nothing_new_writes_nothing_that_viewers_see(movie: Movie) -> None:
    version = CatalogueVersion.objects.get().version
    fetched_at = movie.tmdb_fetched_at
    assert not refresh(movie)
    after = Movie.objects.get()
    assert after.tmdb_fetched_at is not None
    assert fetched_at is not None
    assert after.tmdb_fetched_at > fetched_at
    assert after.updated_at == movie.updated_at
    assert CatalogueVersion.objects.get().version == version


def test_an_uploaded_poster_is_not_replaced(staff: Client, movie: Movie) -> None:
    Movie.objects.filter(pk=movie.pk).update(poster_upload="posters/1/abc", poster_widths=[200])
    assert not refresh(movie, poster_path="/new.jpg")
    assert refresh(movie, poster_path="/new.jpg", overview="New")
    movie.refresh_from_db()
    assert (movie.poster_upload, movie.poster_widths) == ("posters/1/abc", [200])
    assert "poster" not in movie.tmdb_fields


def test_the_first_time_tmdb_gets_what_staff_left_empty(db: None) -> None:
    mine = make_movie(tmdb_id=CLEO, name="My Cléo", runtime_minutes=None, original_language=None)
    assert refresh(mine)
    mine.refresh_from_db()
    assert (mine.name, mine.protagonists) == ("My Cléo", ["Agnès Varda"])
    assert (mine.runtime_minutes, mine.original_language, mine.release_year) == (90, "fr", 1962)
    assert mine.overview
    assert mine.tmdb_fields == [
        "directors", "genres", "keywords", "original_language", "overview", "poster",
        "runtime_minutes", "series", "trailer",
    ]  # fmt: skip


def test_fields_that_staff_have_emptied_stay_empty(staff: Client, movie: Movie) -> None:
    staff.patch(f"/movies/{movie.pk}", {"overview": "", "trailer": None})
    refresh(movie, overview="TMDb's words.")
    shown = staff.get(f"/movies/{movie.pk}").json()
    assert (shown["overview"], shown["trailer"]) == ("", None)


def test_an_uploaded_poster_is_not_filled_by_a_refresh(db: None) -> None:
    mine = make_movie(tmdb_id=CLEO)
    Movie.objects.filter(pk=mine.pk).update(poster_upload="posters/1/abc")
    refresh(mine)
    mine.refresh_from_db()
    assert (mine.poster, "poster" in mine.tmdb_fields) == (None, False)


def test_a_new_title_that_another_film_has_is_refused_and_changes_nothing(movie: Movie) -> None:
    make_movie(name="Other", start_date=movie.start_date)
    with pytest.raises(MovieExists):
        refresh(movie, title="OTHER", overview="New")
    movie.refresh_from_db()
    assert (movie.name, movie.overview) == ("Cléo from 5 to 7", cleo()["overview"])


@pytest.mark.django_db(transaction=True)
def test_an_edit_while_tmdb_answers_is_kept(staff: Client, movie: Movie) -> None:
    """The refresh has read the film long ago when it comes to write."""
    details = Details.model_validate(cleo(overview="TMDb's words."))
    fetched = Fetched(details, timezone.now() + timedelta(minutes=1))
    staff.patch(f"/movies/{movie.pk}", {"overview": "Words of the staff."})
    services.refresh_movie(movie_id=movie.pk, fetched=fetched)
    assert staff.get(f"/movies/{movie.pk}").json()["overview"] == "Words of the staff."
