"""Imports beside other writers, and cut short: nothing twice, nothing lost, nobody stuck."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from cinema.development.processes import wait_for
from movies import scheduled_updates
from movies import services as movies
from movies.importing import services
from movies.importing.schemas import MovieRow, Result
from movies.models import Movie
from tests.builders import Client, change_movie, interact, make_movie, make_user
from tests.catalogue import film, while_uncommitted
from tests.concurrency import and_disconnect, at_once, somebody_waits
from tests.importing import films, imported, json_lines, outcomes, run

pytestmark = pytest.mark.django_db(transaction=True)


def call(staff: Client, *rows: Any) -> Any:
    return staff.post("/movies/import", {"movies": rows})


# --- other imports


def test_one_of_two_simultaneous_imports_creates_each_film(staff: Client) -> None:
    rows = films(200, genres=["drama", "music"])
    calls = [partial(imported, staff, *rows), partial(imported, staff, *reversed(rows))]
    answers = at_once(calls)
    assert sorted(answer["created"] for answer in answers) == [0, 200]
    assert sorted(answer["unchanged"] for answer in answers) == [0, 200]
    assert Movie.objects.count() == 200


def test_two_commands_at_once_bring_in_each_film_once(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "films.jsonl", *films(2100))
    (out, err), (other_out, other_err) = at_once([partial(run, path)] * 2)
    assert (err, other_err) == ("", "")
    assert Movie.objects.count() == 2100
    created = [int(text.split()[1].replace(",", "")) for text in (out, other_out)]
    assert sum(created) == 2100


# --- other writers


def test_a_film_that_somebody_posts_meanwhile_is_found(staff: Client) -> None:
    post = partial(make_movie, name="FILM 7", start_date=date(2026, 12, 3))
    answer = while_uncommitted(post, lambda: call(staff, *films(20))).json()
    assert (answer["created"], answer["updated"], answer["refused"]) == (19, 1, [])
    assert Movie.objects.count() == 20
    assert Movie.objects.get(name="Film 7").runtime_minutes == 90


def test_a_slug_that_somebody_takes_meanwhile_is_left_to_them(staff: Client) -> None:
    answer = while_uncommitted(
        lambda: make_movie(name="Cléo"), lambda: call(staff, film(), film(name="B"))
    )
    assert outcomes(answer.json()) == ["created", "created"]
    assert set(Movie.objects.values_list("slug", flat=True)) == {"cleo", "cleo-2026", "b"}


@pytest.mark.usefixtures("november")
def test_neither_ranking_nor_rating_that_change_meanwhile_are_lost(staff: Client) -> None:
    imported(staff, film())
    movie = Movie.objects.get()

    def elsewhere() -> None:
        scheduled_updates.tick_ranking()
        interact(make_user(), movie, "rating", half_stars=8)

    answer = while_uncommitted(elsewhere, lambda: call(staff, film(overview="New.")))
    assert outcomes(answer.json()) == ["updated"]
    movie.refresh_from_db()
    assert (movie.overview, movie.ranking, movie.rating_count) == ("New.", 10, 1)


def test_rows_are_checked_against_concurrent_edits(staff: Client) -> None:
    imported(staff, film(tmdb_id=499, end_date="2027-01-31"))

    def elsewhere() -> None:
        change_movie(movie := Movie.objects.get(), end_date=movie.start_date)

    answer = while_uncommitted(
        elsewhere, lambda: call(staff, film(tmdb_id=499, start_date="2027-01-07"))
    )
    assert outcomes(answer.json()) == ["body.end_date: end_date lies before start_date"]


def test_a_film_that_is_deleted_meanwhile_is_posted_anew(staff: Client) -> None:
    imported(staff, film())
    movie_id = Movie.objects.get().pk
    answer = while_uncommitted(
        lambda: movies.delete_movie(movie_id=movie_id), lambda: call(staff, film(overview="New."))
    )
    assert outcomes(answer.json()) == ["created"]
    assert Movie.objects.get().overview == "New."


def test_after_a_deadlock_the_import_is_made_again(staff: Client) -> None:
    rows = films(2)
    imported(staff, *rows)
    first, second = Movie.objects.order_by("pk").values_list("pk", flat=True)
    answers: list[dict[str, Any]] = []

    def bring_in() -> None:
        changed = [{**row, "overview": "New."} for row in rows]
        answers.append(and_disconnect(partial(imported, staff, *changed)))

    thread = threading.Thread(target=bring_in)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # The other side looks for a deadlock first, so that it is the one that Postgres ends.
            cursor.execute("SET LOCAL deadlock_timeout = '30s'")
            lock = Movie.objects.select_for_update()
            lock.get(pk=second)
            thread.start()
            assert wait_for(somebody_waits, timeout_s=60)
            lock.get(pk=first)
    except OperationalError:
        pass  # on a busy machine the other side looked before there was one
    finally:
        thread.join()
    assert outcomes(answers[0]) == ["updated", "updated"]
    assert set(Movie.objects.values_list("overview", flat=True)) == {"New."}


# --- cut short


def test_an_interrupted_import_keeps_whole_batches_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = iter(["first"])

    def import_one_batch(rows: Sequence[MovieRow]) -> list[Result]:
        if next(batches, None) is None:
            with transaction.atomic():
                original(rows)
                raise KeyboardInterrupt
        return original(rows)

    original = services.import_rows
    path = json_lines(tmp_path / "films.jsonl", *films(2500))
    with monkeypatch.context() as patch:
        patch.setattr(services, "import_rows", import_one_batch)
        out, err = run(path)
    assert out == ""
    assert err.startswith("Interrupted: the same command goes on from here. Films: 1,000 created")
    assert Movie.objects.count() == 1000
    assert "1,500 created, 0 updated, 1,000 unchanged." in run(path)[0]


def test_a_database_that_fails_ends_the_import_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(rows: Sequence[MovieRow]) -> list[Result]:
        raise OperationalError("no space left on device")

    monkeypatch.setattr(services, "import_rows", fail)
    out, err = run(json_lines(tmp_path / "films.jsonl", film()))
    assert (out, err) == (
        "",
        "The database failed: no space left on device. The same command goes on from here.\n",
    )
