"""The audit log: every write of staff with who, how, before and after; of viewers nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, cast

import pytest
from django.db import connection, transaction
from django.db.backends.signals import connection_created
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from cinema import tracing
from cinema.audit import recording
from cinema.audit.models import AuditEntry
from cinema.audit.recording import recording_as
from cinema.triggers import Audit
from movies import scheduled_updates
from movies.models import Genre, Hall, Movie, Screening
from movies.screenings.services import delete_screening
from movies.tmdb.models import SyncReport, TmdbGenre
from movies.tmdb.tasks import resume_syncs
from tests.admin_pages import fill_in, page
from tests.builders import Client, at, change_movie, make_movie, make_screening, make_user
from tests.catalogue import posted, posted_screening, show
from tests.experimenting import make_experiment
from users.models import User

pytestmark = pytest.mark.django_db


def entries(**filters: Any) -> list[AuditEntry]:
    """The entries in the order in which they were written."""
    return list(AuditEntry.objects.filter(**filters).order_by("id"))


def only(**filters: Any) -> AuditEntry:
    [entry] = entries(**filters)
    return entry


# --- what comes through the API


@pytest.mark.django_db(transaction=True)
def test_a_request_that_opens_the_connection_leaves_no_author_to_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tracing adds its wrapper to a connection as it is opened, here within the request."""
    monkeypatch.setattr(tracing, "_trace_statement", lambda execute, *args: execute(*args))
    client = Client(make_user(is_staff=True))
    connection.execute_wrappers.clear()
    connection.close()
    connection_created.connect(tracing._trace_statements)
    try:
        posted(client)
        assert tracing._trace_statement in connection.execute_wrappers
        wrappers = map(type, connection.execute_wrappers)
        assert recording._AuthorSetter not in wrappers
    finally:
        connection_created.disconnect(tracing._trace_statements)
        connection.execute_wrappers.clear()


@pytest.mark.real_clock
def test_a_posted_film_is_recorded_with_who_how_and_what(staff: Client) -> None:
    before = timezone.now()
    movie = posted(staff, name="Cléo", genres=["drama", "music"])
    entry = only(model="movie", action="create")
    assert (entry.object_id, entry.movie_id) == (movie["id"], movie["id"])
    assert (entry.user_id, entry.via) == (staff.user.pk, "api")
    assert entry.path == "POST /api/v1/movies"
    assert before <= entry.at <= timezone.now()
    assert entry.before is None
    assert entry.after is not None
    assert entry.after["name"] == "Cléo"
    assert entry.after["start_date"] == "2026-12-03"
    genres = only(model="movie", action="update", object_id=movie["id"])
    assert (genres.before, genres.after) == ({"genres": []}, {"genres": ["drama", "music"]})
    assert [each.after for each in entries(model="genre")] == [
        {"name": "Drama", "slug": "drama"},
        {"name": "Music", "slug": "music"},
    ]


def test_a_change_tells_the_changed_columns_alone_before_and_after(staff: Client) -> None:
    movie = make_movie(name="Cleo", overview="The same", genres=["drama"])
    staff.patch(f"/movies/{movie.pk}", {"name": "Cléo", "overview": "The same"})
    staff.patch(f"/movies/{movie.pk}", {"genres": ["music"]})
    renamed, without, others = entries(model="movie")
    assert (renamed.before, renamed.after) == ({"name": "Cleo"}, {"name": "Cléo"})
    assert (without.before, without.after) == ({"genres": ["drama"]}, {"genres": []})
    assert (others.before, others.after) == ({"genres": []}, {"genres": ["music"]})


def test_a_request_that_changes_nothing_leaves_no_entry(staff: Client) -> None:
    movie = make_movie(name="Cléo")
    assert staff.patch(f"/movies/{movie.pk}", {"name": "Cléo"}).status_code == 200
    assert entries(model="movie") == []


def test_a_refused_write_leaves_no_entry(staff: Client) -> None:
    posted(staff)
    AuditEntry.objects.all().delete()
    assert staff.post("/movies", {"name": "Cléo"}).status_code == 422
    movie = make_movie()
    assert staff.send("POST", "/movies", b"{").status_code == 422
    taken = {"name": "Cléo", "protagonists": ["A"], "start_date": "2026-12-03"}
    assert staff.post("/movies", taken).status_code == 409
    posted_screening(staff, movie)
    AuditEntry.objects.all().delete()
    assert staff.post("/screenings", show(movie)).status_code == 409
    assert entries() == []


def test_a_write_that_succeeds_after_a_refused_attempt_is_recorded(staff: Client) -> None:
    """The slug is taken, so the first attempt is rolled back, and with it what it was told."""
    make_movie(name="Cléo")
    movie = posted(staff, name="Cléo", start_date="2027-01-01")
    assert only(model="movie", object_id=movie["id"]).user_id == staff.user.pk


def test_a_screening_is_recorded_from_its_posting_to_its_deletion(staff: Client) -> None:
    movie = make_movie()
    screening = posted_screening(staff, movie, tags=["35mm"])
    path = f"/screenings/{screening['id']}"
    assert staff.patch(path, {"state": "cancelled"}).status_code == 200
    assert staff.delete(path).status_code == 204
    created, cancelled, deleted = entries(model="screening")
    assert created.after is not None
    assert created.after["tags"] == ["35mm"]
    assert (cancelled.before, cancelled.after) == ({"state": "scheduled"}, {"state": "cancelled"})
    assert deleted.after is None
    assert deleted.before is not None
    assert deleted.before["state"] == "cancelled"
    assert {entry.movie_id for entry in (created, cancelled, deleted)} == {movie.pk}
    assert only(model="hall").after == {"name": "Hall 1"}


def test_a_withdrawn_film_and_its_cancelled_screenings_are_recorded(staff: Client) -> None:
    screening = make_screening()
    movie = screening.movie
    assert staff.delete(f"/movies/{movie.pk}", force="true").status_code == 204
    withdrawn = only(model="movie")
    assert withdrawn.before is not None
    assert withdrawn.before["withdrawn_at"] is None
    assert only(model="screening").after == {"state": "cancelled"}


def test_the_request_is_found_again_by_its_id(staff: Client) -> None:
    movie = make_movie()
    headers = {"X-Request-ID": "from-the-admin-site-1"}
    staff.send("PATCH", f"/movies/{movie.pk}", {"name": "New"}, headers=headers)
    assert only(model="movie").request_id == "from-the-admin-site-1"


@pytest.mark.parametrize("path", ["/movies/1%00%ED%A0%80", "/movies/" + "9" * 5000, "/mövies/'x'"])
def test_a_hostile_path_does_no_harm(staff: Client, path: str) -> None:
    assert staff.patch(path, {"name": "New"}).status_code in (404, 422)


def test_many_at_once_are_recorded_one_by_one(staff: Client) -> None:
    rows = [{"name": f"Film {n}", "protagonists": ["A"], "start_date": "2026-12-03"} for n in "ab"]
    assert staff.post("/movies/import", {"movies": rows}).status_code == 200
    created = entries(model="movie", action="create")
    assert {entry.path for entry in created} == {"POST /api/v1/movies/import"}
    assert [entry.after and entry.after["name"] for entry in created] == ["Film a", "Film b"]
    make_screening(starts_at=at(date(2026, 12, 3), 20))
    order = {"from": "2026-12-03", "to": "2026-12-10"}
    assert staff.post("/screenings/copy", order).status_code in (200, 201)
    assert only(model="screening").user_id == staff.user.pk


def test_a_training_and_a_release_that_staff_choose_are_recorded(staff: Client) -> None:
    from recommendations.models import Release
    from recommendations.releases import make_current

    assert staff.post("/releases/train").status_code == 202
    assert only(model="training-run").after == {"state": "queued"}
    numbers = {"users": 1, "items": 1, "interactions": 1, "training_s": 1, "fingerprint": "x"}
    old = Release.objects.create(directory="a", is_current=True, **numbers)
    new = Release.objects.create(directory="b", **numbers)
    with recording_as(via="command", path="activate"):
        make_current(new)
    assert [(e.object_id, e.after) for e in entries(model="release")] == [
        (old.pk, {"is_current": False}),
        (new.pk, {"is_current": True}),
    ]


# --- what is nobody's business


def test_writes_of_viewers_and_of_the_clock_leave_no_entry(viewer: Client, staff: Client) -> None:
    movie = make_movie(start_date=timezone.localdate() + timedelta(days=1))
    AuditEntry.objects.all().delete()
    assert viewer.put(f"/movies/{movie.pk}/rating", {"stars": 4}).status_code == 200
    assert staff.put(f"/movies/{movie.pk}/rating", {"stars": 5}).status_code == 200
    scheduled_updates.tick_ranking()
    scheduled_updates.advance_statuses(today=timezone.localdate() + timedelta(days=2))
    account = {"email": "new@example.org", "password": "cleo from 5 to 7"}
    assert viewer.post("/auth/register", account).status_code == 201
    assert viewer.post("/auth/login", account).status_code == 200
    assert entries() == []


def test_the_database_learns_the_author_for_staff_only(viewer: Client, staff: Client) -> None:
    movie = make_movie()

    def told(client: Client, payload: dict[str, Any], method: str, path: str) -> list[str]:
        with CaptureQueriesContext(connection) as queries:
            assert client.send(method, path, payload).status_code == 200
        return [query["sql"] for query in queries if "cinema.audit" in query["sql"]]

    assert told(viewer, {"stars": 4}, "PUT", f"/movies/{movie.pk}/rating") == []
    assert told(staff, {"name": "New"}, "PATCH", f"/movies/{movie.pk}")


@pytest.mark.django_db(transaction=True)
def test_a_write_is_recorded_in_a_transaction_that_begins_with_a_copy() -> None:
    """COPY goes past Django, so the beginning of the transaction is not seen."""
    with recording_as(via="command", path="import_movies"):
        movie = make_movie()
        with transaction.atomic(), connection.cursor() as cursor:
            with cursor.copy("COPY movies_genre (slug, name) FROM STDIN") as copy:
                copy.write_row(("drama", "Drama"))
            Movie.objects.filter(pk=movie.pk).update(overview="New")
    assert [(e.model, e.action) for e in entries()] == [("movie", "create"), ("movie", "update")]


def test_a_change_after_a_request_is_not_attributed_to_it(staff: Client) -> None:
    posted(staff)
    AuditEntry.objects.all().delete()
    make_movie()
    assert entries() == []


# --- other ways


def test_a_command_is_recorded_without_a_user(db: None) -> None:
    with recording_as(via="command", path="import_movies"):
        movie = make_movie()
    entry = only(model="movie")
    assert (entry.user_id, entry.via, entry.path) == (None, "command", "import_movies")
    assert entry.object_id == movie.pk


def test_the_outer_author_counts_in_nested_recordings(db: None) -> None:
    user = make_user()
    with recording_as(via="admin", path="refresh", user_id=user.pk):
        with recording_as(via="task", path="tmdb.refresh"):
            movie = make_movie()
        change_movie(movie, name="New")
    assert {(e.user_id, e.via) for e in entries(model="movie")} == {(user.pk, "admin")}


def test_changes_of_a_sync_are_recorded_with_its_number(
    home: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("movies.tmdb.tasks.sync.start_missing_syncs", lambda: None)
    monkeypatch.setattr("movies.tmdb.tasks.sync.carry_out", lambda report: not make_movie())
    report = SyncReport.objects.create(kind="films", fetched_before=timezone.now())
    resume_syncs()
    entry = only(model="movie")
    assert (entry.user_id, entry.via, entry.path) == (None, "task", f"tmdb.sync {report.pk}")


def test_a_genre_of_tmdb_that_staff_map_is_recorded(admin_client: Browser) -> None:
    genre = Genre.objects.create(slug="chanson", name="Chanson")
    row = TmdbGenre.objects.create(tmdb_id=10402, name="Music", fetched_at=timezone.now())
    assert fill_in(admin_client, page(TmdbGenre, "change", row.pk), genre=genre.pk) == ""
    entry = only(model="tmdb-genre")
    assert (entry.object_id, entry.via) == (10402, "admin")
    assert (entry.before, entry.after) == ({"genre_id": None}, {"genre_id": genre.pk})


@pytest.mark.django_db(transaction=True)
def test_each_transaction_of_a_recording_gets_its_author() -> None:
    with recording_as(via="command", path="import_movies"):
        movies = [make_movie(), make_movie()]
        Movie.objects.filter(pk=movies[0].pk).update(overview="By no transaction of ours")
        Hall.objects.bulk_create([Hall(name="One"), Hall(name="Two")])
    make_movie()
    assert [(e.model, e.action) for e in entries()] == [
        ("movie", "create"),
        ("movie", "create"),
        ("movie", "update"),
        ("hall", "create"),
        ("hall", "create"),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_goes_back_to_the_pool_tells_nothing() -> None:
    screening = make_screening()
    with recording_as(via="command", path="import_movies"):
        delete_screening(screening_id=screening.pk)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('cinema.audit', true)")
        assert cursor.fetchone() in [("",), (None,)]


@pytest.mark.django_db(transaction=True)
def test_a_new_connection_records_nothing_without_an_author() -> None:
    """There `cinema.audit` is NULL. After its first transaction with an author it is empty."""

    def renew_connection() -> None:
        connection.close()
        cast("Any", connection).close_pool()

    writes: list[Callable[[], object]] = [
        lambda: make_user(name="Agnès"),
        lambda: User.objects.update(name="Cléo", email="cleo@example.org"),
        lambda: Genre.objects.create(slug="drama", name="Drama"),
        lambda: Genre.objects.update(name="Dramas"),
        lambda: Hall.objects.create(name="Salle 1"),
        lambda: make_screening(make_movie(genres=["drama"])),
        make_experiment,
        lambda: Movie.objects.update(name="Cléo de 5 à 7", genre_ids=[]),
        lambda: Screening.objects.update(language="fr"),
        lambda: [model.objects.all().delete() for model in (Screening, Movie, Hall, Genre, User)],
    ]
    for write in writes:
        renew_connection()
        write()
    assert entries() == []


def test_rows_written_by_raw_sql_are_recorded_too(db: None) -> None:
    genre = Genre.objects.create(slug="drama", name="Drama")
    movies = [make_movie(), make_movie()]
    with recording_as(via="command", path="psql"), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO movies_movie_genres (movie_id, genre_id) VALUES (%s, %s)",
            [(movie.pk, genre.pk) for movie in movies],
        )
        cursor.execute("DELETE FROM movies_movie_genres")
    added, removed = entries(model="movie")[:2], entries(model="movie")[2:]
    assert [e.object_id for e in added] == [m.pk for m in movies]
    assert sorted(e.object_id for e in removed) == [m.pk for m in movies]  # one statement


def test_every_column_is_audited_or_exempt() -> None:
    """A new column of a film or a screening must be put on one side."""
    untold = {
        "movies_movie": {
            "id", "ranking", "ranked_at", "rating_count", "rating_sum", "rating_average",
            "community_score", "created_at", "updated_at", "name_key", "genre_ids", "poster_widths",
            "tmdb_fields", "tmdb_fetched_at",
        },
        "movies_screening": {"id", "uid", "sequence", "created_at", "updated_at"},
    }  # fmt: skip
    for model in (Movie, Screening):
        [audit] = [trigger for trigger in model._meta.triggers if isinstance(trigger, Audit)]  # type: ignore[union-attr]
        columns = {field.column for field in model._meta.concrete_fields}
        assert {*audit.columns} - {"genres"} == columns - untold[model._meta.db_table]
