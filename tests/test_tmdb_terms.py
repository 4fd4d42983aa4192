"""TMDb's terms: nothing is older than half a year; and the cinema works without a token."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db.models import F
from django.utils import timezone

from movies.models import Movie
from movies.tmdb.models import FilmDetails, ListedFilm, SyncReport, TmdbGenre
from movies.tmdb.tasks import resume_syncs, start_sync
from tests.builders import Client, make_movie, make_screening
from tests.tmdb_payloads import CLEO, cleo
from tests.tmdb_server import TmdbServer, says

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db


@pytest.fixture
def movie(staff: Client, tmdb: TmdbServer) -> Movie:
    """Posted from TMDb; the trailer is from staff."""
    tmdb.add(cleo())
    payload = {"tmdb_id": CLEO, "start_date": "2026-01-08", "trailer": "https://cinema.example/t"}
    return Movie.objects.get(pk=staff.post("/movies/from-tmdb", payload).json()["id"])


def pass_days(days: float) -> None:
    """All of TMDb's data are older by so many days."""
    by = timedelta(days)
    Movie.objects.update(tmdb_fetched_at=F("tmdb_fetched_at") - by)
    for model in (FilmDetails, ListedFilm, TmdbGenre):
        model._default_manager.update(fetched_at=F("fetched_at") - by)


def test_old_data_that_cannot_be_refreshed_is_erased(
    staff: Client, tmdb: TmdbServer, movie: Movie
) -> None:
    """The film stays in the programme, with what a film must have and what staff wrote."""
    make_screening(movie)
    pass_days(181)
    tmdb.films.clear()
    start_sync("films")
    shown = staff.get(f"/movies/{movie.pk}").json()
    assert (shown["overview"], shown["poster"], shown["genres"]) == ("", None, [])
    assert (shown["original_language"], shown["release_year"]) == (None, None)
    assert shown["runtime_minutes"] is None
    assert shown["name"] == "Cléo from 5 to 7"
    assert shown["protagonists"][0] == "Corinne Marchand"
    assert (shown["start_date"], shown["tmdb_id"]) == ("2026-01-08", CLEO)
    assert shown["trailer"] == "https://cinema.example/t"
    movie.refresh_from_db()
    assert (movie.keywords, movie.tmdb_fields, movie.tmdb_fetched_at) == ([], [], None)
    assert not FilmDetails.objects.exists()
    report = SyncReport.objects.get(kind="films")
    assert report.problems == [f"Movie {movie.pk}, Cléo from 5 to 7: TMDb has no film {CLEO}."]
    assert report.erased == 1 + 1 + 3  # the film, its details, the genres
    assert len(staff.get("/programme", days=30).json()["days"]) > 0


def test_a_film_that_tmdb_has_lost_stays_whole_until_its_data_are_too_old(
    staff: Client, tmdb: TmdbServer, movie: Movie
) -> None:
    pass_days(179)
    tmdb.films.clear()
    start_sync("films")
    assert staff.get(f"/movies/{movie.pk}").json()["overview"]
    assert SyncReport.objects.get(kind="films").failed == 1


def test_data_refreshed_in_time_is_not_erased(
    staff: Client, tmdb: TmdbServer, movie: Movie
) -> None:
    pass_days(181)
    tmdb.add(cleo(overview="Newer words."))
    start_sync("films")
    assert staff.get(f"/movies/{movie.pk}").json()["overview"] == "Newer words."
    [details] = FilmDetails.objects.all()
    assert details.payload["overview"] == "Newer words."


@pytest.mark.parametrize("trouble", [says(500), says(401)], ids=["away", "refused"])
def test_erasing_does_not_wait_for_tmdb(tmdb: TmdbServer, movie: Movie, trouble: Any) -> None:
    pass_days(181)
    tmdb.always("*", trouble)
    start_sync("films")
    assert Movie.objects.get().overview == ""
    assert not FilmDetails.objects.exists()


def test_erasing_needs_no_token(settings: Settings, tmdb: TmdbServer, movie: Movie) -> None:
    pass_days(181)
    settings.TMDB_ACCESS_TOKEN = ""
    start_sync("films")
    assert Movie.objects.get().overview == ""
    assert not TmdbGenre.objects.exists()


def test_withdrawn_films_are_erased_too(staff: Client, tmdb: TmdbServer, movie: Movie) -> None:
    make_screening(movie)
    staff.delete(f"/movies/{movie.pk}", force=True)
    pass_days(181)
    start_sync("films")
    assert Movie.objects.get().withdrawn_at
    assert Movie.objects.get().overview == ""


def test_fields_written_by_staff_are_never_erased(
    staff: Client, tmdb: TmdbServer, movie: Movie
) -> None:
    words = {"overview": "Words of the staff.", "genres": ["essay"], "runtime_minutes": 91}
    staff.patch(f"/movies/{movie.pk}", words)
    own = make_movie(tmdb_id=77, overview="All our own.")
    pass_days(400)
    tmdb.films.clear()
    start_sync("films")
    shown = staff.get(f"/movies/{movie.pk}").json()
    assert (shown["overview"], shown["runtime_minutes"]) == ("Words of the staff.", 91)
    assert [genre["slug"] for genre in shown["genres"]] == ["essay"]
    own.refresh_from_db()
    assert own.overview == "All our own."


def test_a_maximum_age_of_zero_erases_all_data(
    settings: Settings, tmdb: TmdbServer, movie: Movie
) -> None:
    """A cinema gives TMDb up."""
    settings.TMDB_ACCESS_TOKEN, settings.TMDB_MAX_AGE_DAYS = "", 0
    start_sync("films")
    assert Movie.objects.get().tmdb_fields == []
    assert not FilmDetails.objects.exists()


def test_old_details_are_not_used_for_a_new_post(
    staff: Client, tmdb: TmdbServer, movie: Movie
) -> None:
    Movie.objects.all().delete()
    pass_days(181)
    tmdb.films.clear()
    payload = {"tmdb_id": CLEO, "start_date": "2026-01-08"}
    assert staff.post("/movies/from-tmdb", payload).status_code == 404


# --- without a token


@pytest.mark.parametrize(
    ("method", "path", "payload"),
    [
        ("GET", "/tmdb/search?q=cléo", None),
        ("POST", "/movies/from-tmdb", {"tmdb_id": CLEO, "start_date": "2026-12-03"}),
        ("GET", "/tmdb/trending", None),
        ("GET", "/tmdb/popular", None),
        ("GET", "/tmdb/now-playing", None),
        ("POST", "/tmdb/syncs", {"kind": "films"}),
    ],
)
def test_without_a_token_the_answer_names_the_setting(
    staff: Client, viewer: Client, anonymous: Client, method: str, path: str, payload: Any
) -> None:
    answer = staff.send(method, path, payload)
    assert answer.status_code == 424
    assert answer["Content-Type"] == "application/problem+json"
    assert "TMDB_ACCESS_TOKEN" in answer.json()["detail"]
    assert "Read Access Token" in answer.json()["detail"]
    assert viewer.send(method, path, payload).status_code == 403
    assert anonymous.send(method, path, payload).status_code == 401


def test_without_a_token_the_reports_can_be_read(
    staff: Client, viewer: Client, anonymous: Client
) -> None:
    assert staff.get("/tmdb/syncs").json()["data"] == []
    assert viewer.get("/tmdb/syncs").status_code == 403
    assert anonymous.get("/tmdb/syncs").status_code == 401


@pytest.mark.parametrize("kind", [None, "", "all", 1, ["films"]])
def test_an_unknown_kind_of_sync_is_refused(staff: Client, tmdb: TmdbServer, kind: Any) -> None:
    assert staff.post("/tmdb/syncs", {"kind": kind}).status_code == 422
    assert not SyncReport.objects.exists()


def test_without_a_token_the_clock_does_nothing_and_leaves_no_reports(db: None) -> None:
    make_movie(tmdb_id=CLEO)
    for kind in ("films", "lists", "genres"):
        start_sync(kind)
    resume_syncs()
    assert not SyncReport.objects.exists()


def test_a_sync_that_waits_when_the_token_goes_is_ended(
    settings: Settings, tmdb: TmdbServer
) -> None:
    SyncReport.objects.create(kind="lists", fetched_before=timezone.now())
    settings.TMDB_ACCESS_TOKEN = ""
    resume_syncs()
    report = SyncReport.objects.get()
    assert report.state == "failed"
    assert "TMDB_ACCESS_TOKEN" in report.problems[0]
