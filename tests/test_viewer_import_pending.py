"""Imported statements on films that are not here are kept, and applied when the films come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from celery.schedules import crontab
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from cinema.celery import app
from movies.importing.schemas import validated
from movies.importing.services import import_rows
from movies.models import Movie
from recommendations.importing import pending
from recommendations.importing.pending import match_pending
from recommendations.models import Interaction, PendingImport
from recommendations.tasks import match_pending_imports
from tests.builders import Client, at, interact, make_movie, make_pending, make_user
from tests.concurrency import at_once
from tests.viewer_files import (
    CLEO,
    DIARY,
    PLAIN,
    RATINGS,
    TRAKT_RATINGS,
    cells,
    counts,
    csv,
    imported,
    make_cleo,
    send,
    zipped,
)
from users.erasure import erase
from users.models import Playlist, PlaylistEntry, User, Viewing

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

Kind = Interaction.Kind
TITLE = "Cléo from 5 to 7"
EXPORT = zipped(
    {
        "ratings.csv": csv(RATINGS, f"{CLEO},4.5"),
        "diary.csv": csv(DIARY, f"{CLEO},4,,,2024-02-29", f"{CLEO},4,Yes,,2024-03-05"),
        "watched.csv": csv(PLAIN, CLEO),
        "watchlist.csv": csv(PLAIN, CLEO),
        "likes/films.csv": csv(PLAIN, CLEO),
    }
)


def listed(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/users/me/import/pending").json()["data"]
    return found


def rating_of(user: User) -> int | None:
    found = Interaction.objects.filter(user=user, kind=Kind.RATING).first()
    return found.half_stars if found else None


# --- kept


def test_rows_of_unknown_films_are_kept(viewer: Client) -> None:
    report = imported(viewer, EXPORT)
    assert (report["kept_for_later"], report["unknown_count"], report["matched"]) == (6, 6, 0)
    kinds = ["rating", "viewing", "viewing", "seen", "watchlist", "like"]
    assert sorted(each["kind"] for each in listed(viewer)) == sorted(kinds)
    [rating] = [each for each in listed(viewer) if each["kind"] == "rating"]
    assert (rating["title"], rating["year"], rating["stars"]) == (TITLE, 1962, 4.5)
    assert not Interaction.objects.exists()


def test_repeating_the_file_keeps_nothing_twice(viewer: Client) -> None:
    first = imported(viewer, EXPORT)
    before = list(PendingImport.objects.order_by("pk").values())
    assert imported(viewer, EXPORT) == first
    assert list(PendingImport.objects.order_by("pk").values()) == before


def test_a_dry_run_keeps_nothing_and_says_the_same(viewer: Client) -> None:
    told = imported(viewer, EXPORT, dry_run="true")
    assert not PendingImport.objects.exists()
    assert told == imported(viewer, EXPORT) | {"dry_run": True}


def test_the_later_rating_is_kept_and_a_dated_one_goes_before(viewer: Client) -> None:
    film = f"{TITLE},1962"
    for file, half_stars in (
        (csv("Title,Year,Rating10", f"{film},3"), 3),
        (csv("Title,Year,Rating10", f"{film},4"), 4),
        (csv(RATINGS, f"2023-01-01,{film},x,3"), 6),
        (csv("Title,Year,Rating10", f"{film},1"), 6),
        (csv(RATINGS, f"2022-01-01,{film},x,1"), 6),
        (csv(RATINGS, f"2024-01-01,{film},x,5"), 10),
    ):
        imported(viewer, file)
        assert PendingImport.objects.get().half_stars == half_stars


def test_the_ids_are_kept_too(viewer: Client) -> None:
    row = cells(
        TRAKT_RATINGS, rated_at="2018-08-24T13:48:52Z", type="movie", title=TITLE, year=1962,
        rating=9, tmdb_id=499, imdb_id="tt0055852",
    )  # fmt: skip
    imported(viewer, csv(TRAKT_RATINGS, row))
    [kept] = listed(viewer)
    assert (kept["tmdb_id"], kept["imdb_id"]) == (499, "tt0055852")


def test_pending_rows_are_limited(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "MAX_PENDING", 2)
    file = csv(RATINGS, *(f"2024-01-01,Film {n},1990,x,4" for n in range(3)))
    for _ in range(2):
        report = imported(viewer, file)
        assert (report["kept_for_later"], report["refused_count"]) == (2, 1)
        assert "no room" in report["refused"][0]["reason"]
    assert PendingImport.objects.count() == 2


def test_a_row_that_fits_two_films_waits_for_a_decision(viewer: Client) -> None:
    first = make_movie(name="Hamlet", release_year=1990)
    second = make_movie(name="Hamlet", release_year=1990, start_date=date(2020, 1, 1))
    report = imported(viewer, csv(RATINGS, "2024-01-01,Hamlet,1990,x,4"))
    assert (report["ambiguous_count"], report["kept_for_later"]) == (1, 1)
    assert match_pending() == 0
    second.name = "Hamlet, the opera"
    second.save()
    assert match_pending() == 1
    assert Interaction.objects.get().movie == first


# --- carried out


def by_post(staff: Client) -> None:
    film = {"name": TITLE, "protagonists": ["X"], "start_date": "2026-12-03", "release_year": 1962}
    assert staff.post("/movies", film).status_code == 201


def by_import(staff: Client) -> None:
    film = {"name": TITLE, "protagonists": ["X"], "start_date": "2026-12-03", "release_year": 1962}
    assert staff.post("/movies/import", {"movies": [film]}).json()["created"] == 1


def by_file(staff: Client) -> None:
    film = {"name": TITLE, "protagonists": ["X"], "start_date": "2026-12-03", "release_year": 1962}
    import_rows([validated(1, film)])


def by_renaming(staff: Client) -> None:
    film = make_movie(name="Working title", release_year=1962)
    Movie.objects.filter(pk=film.pk).update(updated_at=timezone.now() - timedelta(days=1))
    assert staff.patch(f"/movies/{film.pk}", {"name": TITLE}).status_code == 200


@pytest.mark.parametrize("add", [by_post, by_import, by_file, by_renaming])
def test_a_new_film_receives_the_pending_rows(
    viewer: Client, staff: Client, add: Callable[[Client], None]
) -> None:
    imported(viewer, EXPORT)
    add(staff)
    match_pending_imports()
    film = Movie.objects.get(name=TITLE)
    assert rating_of(viewer.user) == 9
    rating = Interaction.objects.get(kind=Kind.RATING)
    assert (rating.movie, rating.updated_at) == (film, at(date(2024, 3, 1), 12))
    assert Interaction.objects.filter(kind=Kind.LIKE, movie=film).exists()
    days = [at(date(2024, 2, 29), 12), at(date(2024, 3, 5), 12)]
    assert list(Viewing.objects.order_by("watched_at").values_list("watched_at", flat=True)) == days
    assert PlaylistEntry.objects.get(playlist__name="Watchlist").movie == film
    assert not PendingImport.objects.exists()
    assert viewer.get(f"/movies/{film.pk}").json()["rating_count"] == 1


def test_films_imported_from_movielens_are_matched(viewer: Client, tmp_path: Path) -> None:
    from django.core.management import call_command

    imported(viewer, csv(RATINGS, "2024-01-01,The Matrix,1999,x,4"))
    (tmp_path / "movies.csv").write_text('movieId,title,genres\n1,"Matrix, The (1999)",Action\n')
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n")
    call_command("import_movielens", str(tmp_path), verbosity=0)
    match_pending_imports()
    assert rating_of(viewer.user) == 8


def test_a_pending_film_is_matched_by_its_tmdb_id_first(viewer: Client) -> None:
    make_pending(viewer.user, title="Another title", tmdb_id=499)
    make_movie(name="Another title", tmdb_id=7)
    assert match_pending() == 0
    make_cleo(tmdb_id=499)
    assert match_pending() == 1


def test_beat_sends_it_each_minute_and_for_all_films_each_hour(settings: Settings) -> None:
    sent = [
        each
        for each in settings.CELERY_BEAT_SCHEDULE.values()
        if each["task"] == match_pending_imports.name
    ]
    assert [each["schedule"] for each in sent] == [60, crontab(minute="50")]
    assert match_pending_imports.name in app.tasks
    for each in sent:
        match_pending_imports(**each.get("kwargs", {}))


def test_a_film_that_was_added_while_the_worker_was_away_is_found_by_the_hour(
    viewer: Client,
) -> None:
    imported(viewer, csv(RATINGS, f"{CLEO},4"))
    film = make_cleo()
    Movie.objects.filter(pk=film.pk).update(updated_at=timezone.now() - timedelta(days=1))
    match_pending_imports()
    assert rating_of(viewer.user) is None
    match_pending_imports(all_films=True)
    assert rating_of(viewer.user) == 8


def test_a_withdrawn_film_gets_nothing(viewer: Client) -> None:
    imported(viewer, csv(RATINGS, f"{CLEO},4"))
    film = make_cleo()
    Movie.objects.filter(pk=film.pk).update(withdrawn_at=timezone.now())
    assert match_pending() == 0
    assert PendingImport.objects.count() == 1


def test_a_verdict_given_here_is_kept(viewer: Client) -> None:
    imported(viewer, csv(RATINGS, f"{CLEO},4"))
    interact(viewer.user, make_cleo(), "rating", half_stars=1)
    assert match_pending() == 1
    assert rating_of(viewer.user) == 1
    assert not PendingImport.objects.exists()


def test_a_repeated_matching_does_nothing(viewer: Client) -> None:
    imported(viewer, EXPORT)
    film = make_cleo()
    match_pending()
    version = viewer.user.taste_version
    assert viewer.delete(f"/movies/{film.pk}/rating").status_code == 204
    assert match_pending() == 0
    assert rating_of(viewer.user) is None
    assert viewer.user.taste_version == version + 1


def test_a_repeated_import_finds_every_row_known(viewer: Client) -> None:
    imported(viewer, EXPORT)
    make_cleo()
    match_pending()
    assert counts(imported(viewer, EXPORT))[:2] == (0, 0)


def test_rows_beyond_the_limit_wait(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    imported(viewer, EXPORT)
    make_cleo()
    monkeypatch.setattr("recommendations.importing.plan.MAX_FILMS", 0)
    assert match_pending() == 5
    assert PendingImport.objects.get().kind == PendingImport.Kind.WATCHLIST
    monkeypatch.undo()
    assert match_pending() == 1
    assert PlaylistEntry.objects.count() == 1


def test_without_anything_pending_no_film_is_read(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    make_cleo()
    with django_assert_num_queries(1):
        assert match_pending() == 0


def test_the_films_of_others_are_not_read(
    viewer: Client, django_assert_max_num_queries: Any
) -> None:
    imported(viewer, csv(RATINGS, *(f"2024-01-01,Film {n},1990,x,4" for n in range(50))))
    for n in range(30):
        make_movie(name=f"Another {n}")
    with django_assert_max_num_queries(4):
        assert match_pending() == 0


def test_many_films_and_viewers_take_few_queries_each(
    django_assert_max_num_queries: Any,
) -> None:
    viewers = [Client(make_user()) for _ in range(3)]
    rows = [f"2024-01-01,Film number {n},2001,x,4" for n in range(60)]
    for client in viewers:
        imported(client, csv(RATINGS, *rows))
    for n in range(60):
        make_movie(name=f"Film number {n}", release_year=2001)
    with django_assert_max_num_queries(6 + 3 * 25):
        assert match_pending() == 180
    assert Interaction.objects.count() == 180


# --- the viewer's own


def test_pending_rows_belong_to_their_viewer(viewer: Client) -> None:
    imported(viewer, csv(RATINGS, f"{CLEO},4"))
    other = Client(make_user())
    assert listed(other) == []
    [kept] = listed(viewer)
    assert other.delete(f"/users/me/import/pending/{kept['id']}").status_code == 404
    assert other.delete("/users/me/import/pending").status_code == 204
    assert listed(viewer) == [kept]


def test_a_pending_row_can_be_deleted(viewer: Client) -> None:
    imported(viewer, EXPORT)
    kept = listed(viewer)
    path = f"/users/me/import/pending/{kept[0]['id']}"
    assert [viewer.delete(path).status_code for _ in range(2)] == [204, 404]
    assert len(listed(viewer)) == len(kept) - 1
    assert [viewer.delete("/users/me/import/pending").status_code for _ in range(2)] == [204, 204]
    assert listed(viewer) == []


def test_pending_rows_are_exported_and_erased(viewer: Client) -> None:
    imported(viewer, EXPORT)
    export = orjson.loads(viewer.get("/users/me/export").getvalue())
    assert {row["title"] for row in export["pending_imports"]} == {TITLE}
    assert {row["kind"] for row in export["pending_imports"]} >= {"rating", "viewing"}
    assert "title_keys" not in export["pending_imports"][0]
    erase(user_id=viewer.user.pk)
    make_cleo()
    assert (PendingImport.objects.count(), match_pending()) == (0, 0)


@pytest.mark.parametrize("title", ["'; DROP TABLE users_user; --", "a\tb\\N\\.", "=1+1", "﷽" * 300])
def test_a_title_is_text(viewer: Client, title: str) -> None:
    row = cells(RATINGS, Date="2024-01-01", Name=title, Year=1999, Rating=4)
    assert imported(viewer, csv(RATINGS, row))["kept_for_later"] == 1
    assert listed(viewer)[0]["title"] == " ".join(title.split())
    make_movie(name=title[:200], release_year=1999)
    match_pending()


# --- at once


@pytest.mark.django_db(transaction=True)
def test_the_same_file_twice_at_once_is_kept_once(viewer: Client) -> None:
    reports = at_once([lambda: imported(viewer, EXPORT)] * 4)
    assert {report["kept_for_later"] for report in reports} == {6}
    assert PendingImport.objects.count() == 6


@pytest.mark.django_db(transaction=True)
def test_matching_twice_and_importing_at_once_doubles_nothing(viewer: Client) -> None:
    imported(viewer, EXPORT)
    make_cleo()
    calls: list[Callable[[], object]] = [match_pending, match_pending]
    at_once([*calls, lambda: imported(viewer, EXPORT)])
    match_pending()
    assert Interaction.objects.filter(kind=Kind.RATING).count() == 1
    assert (Viewing.objects.count(), PlaylistEntry.objects.count()) == (2, 1)
    assert Playlist.objects.count() == 1
    assert not PendingImport.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_an_account_that_is_erased_meanwhile_leaves_nothing() -> None:
    rows = [f"2024-01-01,Film number {n},2001,x,4" for n in range(200)]
    viewer = Client(make_user())
    user_id = viewer.user.pk
    imported(viewer, csv(RATINGS, *rows))
    for n in range(0, 200, 2):
        make_movie(name=f"Film number {n}", release_year=2001)
    calls: list[Callable[[], Any]] = [
        match_pending,
        partial(erase, user_id=user_id),
        partial(send, viewer, csv(RATINGS, *rows)),
    ]
    answer = at_once(calls)[-1]
    assert answer.status_code in (200, 401)
    assert not PendingImport.objects.exists()
    assert not Interaction.objects.exists()


def test_the_database_refuses_what_makes_no_sense(viewer: Client) -> None:
    from django.db import IntegrityError, transaction

    for fields in ({"kind": 1, "half_stars": 0}, {"kind": 2, "half_stars": 3}, {"kind": 6}):
        with pytest.raises(IntegrityError), transaction.atomic():
            make_pending(viewer.user, **fields)
    make_pending(viewer.user, film=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_pending(viewer.user, film=1)
    assert connection.is_usable()
