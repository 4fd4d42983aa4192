"""Syncs of films: what is due, how they go on after a crash, and what the report says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from cinema.locks import single_run
from movies.models import Movie
from movies.tmdb import services, sync
from movies.tmdb.models import SyncReport
from movies.tmdb.services import Fetched
from movies.tmdb.tasks import resume_syncs, start_sync
from tests.builders import Client, make_movie, make_screening
from tests.tmdb_payloads import tmdb_film
from tests.tmdb_server import TmdbServer, says

pytestmark = pytest.mark.django_db

TODAY = timezone.localdate()


@pytest.fixture(autouse=True)
def _begun_before(db: None) -> None:
    """Lists and genres have been fetched, so that these tests see films alone."""
    for kind in ("lists", "genres"):
        SyncReport.objects.create(kind=kind, state="done", fetched_before=timezone.now())


def film(tmdb: TmdbServer, number: int, *, aged_days: Any = 2, **fields: Any) -> Movie:
    """A movie that came from TMDb so many days ago."""
    tmdb.add(tmdb_film(number))
    movie = make_movie(name=f"Old {number}", tmdb_id=number, **fields)
    Movie.objects.filter(pk=movie.pk).update(
        tmdb_fields=["name", "overview"], tmdb_fetched_at=timezone.now() - timedelta(aged_days)
    )
    return movie


def asked_for(tmdb: TmdbServer) -> list[int]:
    return [int(path.rpartition("/")[2]) for path in tmdb.paths() if path.startswith("/movie/")]


def last_report() -> SyncReport:
    return SyncReport.objects.filter(kind="films").latest("pk")


def test_the_night_refreshes_what_is_shown_and_what_is_coming_up(tmdb: TmdbServer) -> None:
    past = {"start_date": TODAY - timedelta(60), "end_date": TODAY - timedelta(30)}
    film(tmdb, 1)
    film(tmdb, 2, start_date=TODAY + timedelta(90))
    film(tmdb, 3, **past)
    make_screening(film(tmdb, 4, **past))
    film(tmdb, 5, aged_days=0.5)
    make_movie(name="Not of TMDb")
    start_sync("films")
    assert asked_for(tmdb) == [1, 2, 4]
    report = last_report()
    assert (report.state, report.problems) == ("done", [])
    assert (report.fetched, report.updated, report.unchanged, report.failed) == (3, 3, 0, 0)
    assert Movie.objects.get(tmdb_id=1).name == "Film 1"
    assert Movie.objects.get(tmdb_id=3).name == "Old 3"


def test_finished_films_are_refreshed_in_the_month_before_their_data_are_too_old(
    tmdb: TmdbServer,
) -> None:
    past = {"start_date": TODAY - timedelta(600), "end_date": TODAY - timedelta(500)}
    film(tmdb, 1, aged_days=145, **past)
    film(tmdb, 2, aged_days=155, **past)
    start_sync("films")
    assert asked_for(tmdb) == [2]
    assert last_report().erased == 0


def test_a_film_rewritten_by_staff_is_not_fetched(tmdb: TmdbServer) -> None:
    movie = film(tmdb, 1)
    Movie.objects.filter(pk=movie.pk).update(tmdb_fields=[])
    start_sync("films")
    assert tmdb.seen == []
    assert not SyncReport.objects.filter(kind="films").exists()


def test_a_second_run_of_the_night_finds_nothing_to_do(tmdb: TmdbServer) -> None:
    film(tmdb, 1)
    for _ in range(3):
        start_sync("films")
    assert asked_for(tmdb) == [1]
    assert SyncReport.objects.filter(kind="films").count() == 1


def test_the_next_run_continues_after_a_crash(
    tmdb: TmdbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    movies = [film(tmdb, number) for number in range(1, 6)]
    refresh, crashes = services.refresh_movie, iter([False, False, True])

    def killed(**arguments: Any) -> bool:
        if next(crashes, False):
            raise KeyboardInterrupt
        return refresh(**arguments)

    monkeypatch.setattr(services, "refresh_movie", killed)
    with pytest.raises(KeyboardInterrupt):
        start_sync("films")
    report = last_report()
    assert (report.state, report.cursor, report.updated) == ("running", movies[1].pk, 2)
    resume_syncs()
    report = last_report()
    assert (report.state, report.updated, report.fetched) == ("done", 5, 5)
    assert asked_for(tmdb) == [1, 2, 3, 4, 5]  # what was fetched of the third one was kept
    assert {movie.name for movie in Movie.objects.all()} == {f"Film {n}" for n in range(1, 6)}


def test_a_run_that_takes_long_ends_its_piece_and_the_next_one_goes_on(
    tmdb: TmdbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 4):
        film(tmdb, number)
    sent: list[None] = []
    with monkeypatch.context() as patched:
        patched.setattr(services, "send_to_worker", lambda: sent.append(None))
        patched.setattr(sync, "PIECE_S", -1)
        start_sync("films")
    report = last_report()
    assert (report.state, report.attempts, len(sent)) == ("running", 0, 1)
    resume_syncs()
    assert last_report().state == "done"
    assert asked_for(tmdb) == [1, 2, 3]


def test_a_run_that_dies_again_and_again_is_given_up(tmdb: TmdbServer) -> None:
    film(tmdb, 1)
    SyncReport.objects.create(
        kind="films", state="running", attempts=5, fetched_before=timezone.now()
    )
    resume_syncs()
    report = last_report()
    assert report.state == "failed"
    assert report.problems == ["Begun 5 times and never brought to an end."]
    assert tmdb.seen == []


def test_one_film_that_cannot_be_had_does_not_stop_the_others(tmdb: TmdbServer) -> None:
    for number in range(1, 6):
        film(tmdb, number)
    del tmdb.films[2]
    tmdb.always("/movie/3", says(200, b"<html>"))
    tmdb.always("/movie/5", says(500))
    start_sync("films")
    report = last_report()
    assert (report.state, report.updated, report.failed) == ("done", 2, 3)
    assert [problem.partition(": ")[2] for problem in report.problems] == [
        "TMDb has no film 2.",
        "TMDb answered with something that is not JSON.",
        "TMDb answers 500. Try again later.",
    ]
    assert all("Old" in problem for problem in report.problems)
    assert Movie.objects.get(tmdb_id=2).name == "Old 2"


def test_one_film_that_cannot_be_stored_does_not_stop_the_others(
    tmdb: TmdbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of TMDb's our own checks have let through."""
    for number in (1, 2):
        film(tmdb, number)
    refresh = services.refresh_movie

    def too_long(*, movie_id: int, fetched: Fetched) -> bool:
        if fetched.details.id == 1:
            Movie.objects.filter(pk=movie_id).update(original_language="x" * 99)
        return refresh(movie_id=movie_id, fetched=fetched)

    with monkeypatch.context() as patched:
        patched.setattr(services, "refresh_movie", transaction.atomic(too_long))
        start_sync("films")
    report = last_report()
    assert (report.state, report.updated, report.failed) == ("done", 1, 1)
    assert report.problems[0].endswith("It could not be stored.")


def test_when_tmdb_is_away_the_run_ends_and_the_next_one_goes_on(tmdb: TmdbServer) -> None:
    for number in range(1, 9):
        film(tmdb, number)
    tmdb.always("*", says(503))
    start_sync("films")
    report = last_report()
    assert report.state == "failed"
    assert "left alone" in report.problems[-1]
    assert len(tmdb.seen) < 20
    tmdb.well_again()
    start_sync("films")
    assert (last_report().state, last_report().updated) == ("done", 8)


def test_a_refused_token_ends_the_run_at_the_first_film(tmdb: TmdbServer) -> None:
    for number in range(1, 4):
        film(tmdb, number)
    tmdb.always("*", says(401))
    start_sync("films")
    assert last_report().state == "failed"
    assert "TMDB_ACCESS_TOKEN" in last_report().problems[0]
    assert len(tmdb.seen) == 1


def test_a_film_that_staff_delete_meanwhile_is_passed_by(
    tmdb: TmdbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    movie = film(tmdb, 1)
    film(tmdb, 2)
    refresh = services.refresh_movie

    def deleted(**arguments: Any) -> bool:
        Movie.objects.filter(pk=movie.pk).delete()
        return refresh(**arguments)

    monkeypatch.setattr(services, "refresh_movie", deleted)
    start_sync("films")
    assert (last_report().state, last_report().updated, last_report().failed) == ("done", 1, 1)


def test_problems_are_counted_and_the_first_ones_are_told(
    tmdb: TmdbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "PROBLEMS_KEPT", 3)
    for number in range(1, 9):
        film(tmdb, number)
    tmdb.films.clear()
    start_sync("films")
    assert last_report().failed == 8
    assert len(last_report().problems) == 4
    assert last_report().problems[-1] == "… and more."


@pytest.mark.django_db(transaction=True)
def test_one_sync_of_a_kind_runs_at_a_time(tmdb: TmdbServer) -> None:
    film(tmdb, 1)
    with single_run("tmdb.sync.films") as acquired:
        assert acquired
        start_sync("films")
        assert tmdb.seen == []
        assert last_report().state == "queued"
    resume_syncs()
    assert last_report().state == "done"


# --- by hand


def test_staff_ask_for_a_sync_and_asking_again_is_the_same_one(
    staff: Client,
    tmdb: TmdbServer,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    film(tmdb, 1, aged_days=0.01)
    with django_capture_on_commit_callbacks() as sent:
        first = staff.post("/tmdb/syncs", {"kind": "films"})
        second = staff.post("/tmdb/syncs", {"kind": "films"})
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    assert first.json()["state"] == "queued"
    assert len(sent) == 2
    resume_syncs()
    assert asked_for(tmdb) == [1]  # however young its data are
    done = staff.get("/tmdb/syncs").json()["data"][0]
    assert (done["id"], done["state"], done["updated"]) == (first.json()["id"], "done", 1)
    third = staff.post("/tmdb/syncs", {"kind": "films"})
    assert third.json()["id"] != first.json()["id"]


def test_chosen_films_are_refreshed_however_young_their_data_are(tmdb: TmdbServer) -> None:
    past = {"start_date": TODAY - timedelta(60), "end_date": TODAY - timedelta(30)}
    chosen = [film(tmdb, 1, aged_days=0.01), film(tmdb, 2, aged_days=0.01, **past)]
    film(tmdb, 3)
    services.request_refresh(movie_ids=[movie.pk for movie in chosen])
    resume_syncs()
    assert asked_for(tmdb) == [1, 2]
    assert last_report().updated == 2


def test_reports_are_pruned_after_a_month(tmdb: TmdbServer) -> None:
    long_ago = timezone.now() - timedelta(31)
    old = SyncReport.objects.create(
        kind="lists", state="done", created_at=long_ago, fetched_before=long_ago
    )
    film(tmdb, 1)
    start_sync("films")
    assert not SyncReport.objects.filter(pk=old.pk).exists()
    assert SyncReport.objects.count() == 3
