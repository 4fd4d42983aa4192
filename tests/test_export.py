"""The export of everything that is kept about a viewer."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import BinaryField
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from movies.models import Movie
from tests.belongings import EMAIL, LIST, NAME, columns, make_known_viewer, personal_tables, rows
from tests.builders import Client, interact, make_movie, make_user
from tests.concurrency import and_disconnect, somebody_waits
from users import personal_data
from users.export import _json
from users.models import Favourite, Playlist, PlaylistEntry, PlaylistFollow, User, Viewing
from users.personal_data import personal_data_sources

pytestmark = pytest.mark.django_db

#: Tables without a foreign key to the viewer, and the keepers that export them.
KEPT = {
    "audit_auditentry": "audit_log",
    "django_session": "office_sessions",
    "django_celery_results_taskresult": "tasks",
}


def exported(client: Client) -> dict[str, Any]:
    answer = client.get("/users/me/export")
    assert answer.status_code == 200, answer
    found: dict[str, Any] = json.loads(answer.getvalue())
    return found


def with_parts(tables: Sequence[personal_data.PersonalTable]) -> Iterator[Any]:
    for table in tables:
        yield table
        yield from with_parts(table.parts)


def covered() -> set[str]:
    """The tables whose rows are in an export."""
    walked = {table.model._meta.db_table for table in with_parts(personal_data.personal_tables())}
    return {"users_user"} | walked | KEPT.keys()


# --- nothing is forgotten


def test_every_table_with_something_of_a_viewer_is_in_the_export() -> None:
    """A new table with a viewer's id or address fails here, unless it is exported."""
    assert personal_tables() - covered() == set()
    assert set(KEPT.values()) <= {keeper.name for keeper in personal_data_sources()}


@pytest.mark.parametrize(
    "definition",
    [
        "reminder (id bigint, whom bigint REFERENCES users_user)",
        "remark (id bigint, list bigint REFERENCES users_playlist)",
        "reminder (user_id bigint)",
        "reminder (invited_by_id bigint)",
        "newsletter (email text)",
        "visit (ip inet)",
    ],
)
def test_a_new_table_without_an_export_would_be_found(definition: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE new_{definition}")
    assert personal_tables() - covered() == {f"new_{definition.partition(' ')[0]}"}


def test_every_column_is_in_the_export_or_left_out_with_a_reason() -> None:
    for table in with_parts(personal_data.personal_tables()):
        meta = table.model._meta
        told = {field.column for field in table.fields} | {field.column for field in table.owners}
        left_out = {
            field.column
            for field in meta.concrete_fields
            if f"{meta.label}.{field.name}" in personal_data.LEFT_OUT
        }
        assert columns(meta.db_table) == told | left_out, meta.db_table
    assert all(reason.endswith(".") for reason in personal_data.LEFT_OUT.values())


def test_the_export_holds_everything_about_a_viewer() -> None:
    viewer = make_known_viewer()
    found = exported(viewer)
    head = ("format", "version", "cinema")
    assert [found[key] for key in head] == ["cinema-personal-data", 1, "Cinema"]
    assert found["left_out"] == personal_data.LEFT_OUT
    sections = [key for key in found if isinstance(found[key], list)]
    # A new table without a row in `make_known_viewer` would be tested here by nothing.
    assert [key for key in sections if not found[key]] == []
    assert len(sections) == len(personal_data.personal_tables()) + len(personal_data_sources())
    assert (found["account"]["email"], found["account"]["name"]) == (EMAIL, f"{NAME} ")


def test_the_export_names_films_and_kinds_in_words() -> None:
    """Films are named, kinds are words, and parts stand within what they are parts of."""
    found = exported(make_known_viewer())
    film = found["favourites"][0]["movie"]
    assert film == {"id": film["id"], "name": "Vagabond", "release_year": 1962}
    [rating] = found["interactions"]
    assert (rating["movie"], rating["kind"], rating["half_stars"]) == (film, "rating", 9)
    [viewing] = found["viewings"]
    assert viewing["screening"]["hall"] == "Rex"
    [playlist] = found["playlists"]
    assert [entry["movie"]["name"] for entry in playlist["entries"]] == ["Vagabond", "Jacquot"]
    assert found["followed"][0]["playlist"]["name"] == "Winter"
    [preferences] = found["preferences"]
    assert [each["genre"]["name"] for each in preferences["genres"]] == ["Drama"]
    assert {len(each["refresh_tokens"]) for each in found["sessions"]} == {0, 1}
    by_staff = [entry["by_you"] for entry in found["audit_log"]]
    assert by_staff == [False] * len(by_staff)


def test_nested_rows_belong_to_their_parent_row(viewer: Client) -> None:
    films = [make_movie() for _ in range(3)]
    for size in (0, 3, 0, 1, 2, 0):
        playlist = Playlist.objects.create(user=viewer.user, name=str(size))
        for position, film in enumerate(films[:size]):
            PlaylistEntry.objects.create(playlist=playlist, movie=film, position=position)
    sizes = [(each["name"], len(each["entries"])) for each in exported(viewer)["playlists"]]
    assert sizes == [("0", 0), ("3", 3), ("0", 0), ("1", 1), ("2", 2), ("0", 0)]


# --- and nothing too much


def test_the_export_holds_no_secret() -> None:
    viewer = make_known_viewer()
    text = json.dumps(exported(viewer))
    hashes = rows("SELECT encode(token_hash, 'hex') FROM users_refreshtoken")
    keys = rows("SELECT session_key FROM django_session")
    secrets = [viewer.user.password, *(value for (value,) in [*hashes, *keys])]
    assert len(secrets) >= 3
    assert [secret for secret in secrets if secret in text] == []
    assert "argon2" not in text


def test_the_export_holds_no_bytes() -> None:
    """They are hashes, salts and keys, and no text that says anything about a viewer."""
    exported_bytes = [
        f"{table.model._meta.label}.{field.name}"
        for table in with_parts(personal_data.personal_tables())
        for field in table.fields
        if isinstance(field, BinaryField)
    ]
    assert exported_bytes == []


def test_a_value_of_bytes_is_not_exported_as_text() -> None:
    with pytest.raises(TypeError, match="not JSON serializable: bytes"):
        _json({"salt": b"of the next token"})


def test_the_export_holds_no_data_of_others(viewer: Client) -> None:
    known = make_known_viewer()
    other = make_user(email="jacques@example.org", name="Jacques")
    interact(other, Movie.objects.all()[0], "like")
    words = ("jacques", EMAIL, NAME, LIST, "Vagabond")
    found = [json.dumps(exported(client), ensure_ascii=False) for client in (viewer, known)]
    assert [[word for word in words if word in text] for text in found] == [[], list(words[1:])]


def test_a_list_that_was_made_private_since_is_not_named(viewer: Client) -> None:
    other = Playlist.objects.create(user=make_user(), name="My secret", is_public=True)
    PlaylistFollow.objects.create(playlist=other, user=viewer.user)
    assert exported(viewer)["followed"][0]["playlist"] == {"id": other.pk, "name": "My secret"}
    Playlist.objects.update(is_public=False)
    assert exported(viewer)["followed"][0]["playlist"] == {"id": other.pk, "name": None}


def test_the_export_does_not_name_the_staff_who_changed_an_account() -> None:
    viewer = make_known_viewer()
    [boss] = User.objects.filter(is_staff=True)
    found = exported(viewer)["audit_log"]
    assert {
        "before",
        "after",
        "at",
        "by_you",
        "what",
        "action",
        "via",
        "path",
        "request_id",
    } == set(found[0])
    assert boss.email not in json.dumps(found)


def test_the_export_needs_a_token(anonymous: Client) -> None:
    assert anonymous.get("/users/me/export").status_code == 401


# --- as it is sent


def test_the_export_is_a_file_that_is_not_cached(viewer: Client) -> None:
    answer = viewer.get("/users/me/export")
    assert answer.streaming
    assert answer["Content-Type"] == "application/json"
    assert answer["Content-Disposition"] == 'attachment; filename="cinema-export.json"'
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "ETag" not in answer
    assert len(answer.getvalue()) == int(answer["Content-Length"])


def test_a_head_request_and_a_conditional_one_are_whole_answers(viewer: Client) -> None:
    again = viewer.send("GET", "/users/me/export", headers={"If-None-Match": "*"})
    assert (again.status_code, bool(again.getvalue())) == (200, True)
    head = viewer.send("HEAD", "/users/me/export")
    assert (head.status_code, head.getvalue()) == (200, b"")
    assert int(head["Content-Length"]) > 0


def test_the_number_of_queries_does_not_depend_on_the_number_of_rows() -> None:
    viewer = make_known_viewer()
    with CaptureQueriesContext(connection) as few:
        exported(viewer)
    for _ in range(5):
        film = make_movie()
        interact(viewer.user, film, "like")
        playlist = Playlist.objects.create(user=viewer.user, name="More")
        PlaylistEntry.objects.create(playlist=playlist, movie=film, position=1)
    with CaptureQueriesContext(connection) as more:
        exported(viewer)
    assert len(more) == len(few) <= len(covered()) + len(personal_data_sources()) + 5


def test_memory_does_not_grow_with_the_rows(viewer: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO users_viewing (user_id, movie_id, checked_in, watched_at, created_at)"
            " SELECT %s, %s, false, now() - n * interval '1 minute', now()"
            " FROM generate_series(1, 30000) n",
            [viewer.user.pk, make_movie().pk],
        )
    tracemalloc.start()
    try:
        answer = viewer.get("/users/me/export")
        lines = sum(block.count(b"\n") for block in answer)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lines > 30_000
    assert int(answer["Content-Length"]) > 5_000_000
    assert peak_bytes < 2_500_000


@pytest.mark.django_db(transaction=True)
def test_the_export_shows_one_snapshot(viewer: Client) -> None:
    """It has begun and waits for a table. What is in there when it gets to it, came later."""
    user, film = viewer.user, make_movie()
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE users_viewing IN ACCESS EXCLUSIVE MODE")
            exporting = pool.submit(and_disconnect, partial(exported, viewer))
            while not somebody_waits():
                assert not exporting.done()
            Viewing.objects.create(user=user, movie=film, watched_at=timezone.now())
            Favourite.objects.create(user=user, movie=film)
        found = exporting.result(timeout=120)
    assert (found["viewings"], found["favourites"]) == ([], [])
    assert [len(exported(viewer)[name]) for name in ("viewings", "favourites")] == [1, 1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("impatient_pool")
def test_without_the_database_the_export_is_an_error_and_not_half_a_document(
    viewer: Client,
) -> None:
    """The account is found, and then a table is away."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE users_viewing RENAME TO elsewhere")
    try:
        answer = viewer.get("/users/me/export")
        assert (answer.status_code, answer.json()["status"]) == (500, 500)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO users_viewing")
    assert exported(viewer)["viewings"] == []
