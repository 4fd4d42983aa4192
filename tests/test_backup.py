"""`manage.py backup` and `restore`: the same rows, files and secret, whatever happens meanwhile."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from cinema.backup.archive import Archive, BackupRefused
from cinema.backup.backups import back_up, last_backup
from cinema.development.processes import wait_for
from cinema.home import unfinished_restore
from cinema.locks import single_run
from movies.models import Movie
from recommendations.models import Interaction, Release
from tests.audience import rate
from tests.builders import Client, make_impression, make_movie
from tests.concurrency import and_disconnect
from tests.restoring import Bar, Restored, backup_of_this_test, contents, empty_place, schema
from tests.tastes import publish_release, two_camps
from tests.uploads import uploaded_poster

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("home", "media"),
]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A place for a backup, beside the home."""
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups/cinema.zip"


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restored]:
    with empty_place(tmp_path_factory.mktemp("restored") / "home") as found:
        yield found


def fill(staff: Client) -> Movie:
    """Films, viewers with ratings, a poster, a release, and rows in two partitions."""
    camps = two_camps(n_viewers=6, n_films=8)
    for days in (0, 4000):
        shown_at = timezone.now() + timedelta(days=days)
        make_impression(camps.viewers[0], camps.films[0], shown_at=shown_at)
    publish_release()
    movie = make_movie(name="Tab\there, back\\slash, line\nbreak and 愛")
    uploaded_poster(staff, movie)
    return movie


def test_a_restored_cinema_has_the_same_rows_files_and_secret(
    staff: Client, archive: Path, place: Restored, home: Path, settings: Settings
) -> None:
    movie = fill(staff)
    release = Release.objects.get()
    backup_of_this_test(archive)
    code, said = place.run("restore", str(archive))
    assert code == 0, said
    before = contents(connection)
    with place.connect() as restored:
        assert contents(restored) == before
        assert schema(restored) == schema(connection)
        cursor = restored.execute(
            "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'O'"
        )
        assert cursor.fetchone() == (0,)
        # Sequences continue, and a trigger counts the new row.
        restored.execute(
            "INSERT INTO recommendations_interaction"
            " (user_id, movie_id, kind, half_stars, created_at, updated_at)"
            " SELECT id, %s, 1, 8, now(), now() FROM users_user ORDER BY id LIMIT 1",
            [movie.pk],
        )
        newest = restored.execute("SELECT max(id) FROM recommendations_interaction").fetchone()
        assert newest == (max(Interaction.objects.values_list("pk", flat=True)) + 1,)
        counted = restored.execute(
            "SELECT rating_count FROM movies_movie WHERE id = %s", [movie.pk]
        ).fetchone()
        assert counted == (1,)
    for folder in ("releases", "media"):
        copies = {p.relative_to(place.home): p for p in (place.home / folder).rglob("*.*")}
        assert copies
        for name, copy in copies.items():
            assert copy.is_dir() or copy.read_bytes() == (home / name).read_bytes()
    assert (place.home / "releases" / release.directory / "manifest.json").exists()
    assert not unfinished_restore(place.home).exists()
    content = Archive(archive).chunks("secret-key", lambda size: None)
    assert b"".join(content).decode() == settings.SECRET_KEY


def test_a_backup_during_load_restores_the_rows_of_its_moment(
    archive: Path, place: Restored
) -> None:
    camps = two_camps(n_viewers=4, n_films=8)
    ended = Event()
    written = [0] * len(camps.viewers)
    of_the_moment: dict[str, list[bytes]] = {}

    def write(n: int) -> None:
        client = Client(camps.viewers[n])
        while not ended.is_set():
            for film in camps.films:
                # Nine values: with as many as films each film would get the same value again.
                response = rate(client, film, 0.5 + 0.5 * ((n + written[n]) % 9))
                assert response.status_code in (200, 201)
                written[n] += 1

    def is_going_on() -> bool:
        before = [*written]
        return wait_for(
            lambda: all(n > m for n, m in zip(written, before, strict=True)), timeout_s=60
        )

    def read_the_moment() -> None:
        """Read the contents in the transaction of the backup, while viewers go on."""
        of_the_moment.update(contents(connection))
        assert is_going_on()

    with ThreadPoolExecutor(len(written)) as pool:
        writing = [pool.submit(and_disconnect, partial(write, n)) for n in range(len(written))]
        try:
            assert is_going_on()
            back_up(archive, Bar(read_the_moment))
            assert is_going_on()
        finally:
            ended.set()
        for each in writing:
            each.result(timeout=60)
    code, said = place.run("restore", str(archive))
    assert code == 0, said
    with place.connect() as restored:
        assert contents(restored) == of_the_moment
    assert contents(connection) != of_the_moment


def test_the_file_is_for_its_owner_and_is_noted(archive: Path) -> None:
    assert last_backup() is None
    backup_of_this_test(archive)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert last_backup() is not None


def test_an_interrupted_backup_leaves_nothing(archive: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(archive, Bar(interrupt))
    assert list(archive.parent.iterdir()) == []
    assert last_backup() is None


def test_a_backup_that_is_stopped_leaves_nothing(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `docker stop` and systemd stop it, once the secret is in the file."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with monkeypatch.context() as patch:
            patch.setattr("cinema.backup.backups.tables.copy_out", stopped)
            with pytest.raises(SystemExit) as end:
                call_command("backup", str(archive), verbosity=0)
        assert end.value.code == 143
        assert list(archive.parent.iterdir()) == []
        os.kill(os.getpid(), signal.SIGTERM)  # the former handler is back
    finally:
        signal.signal(signal.SIGTERM, before)
    assert last_backup() is None


def stopped(*args: object) -> Iterator[bytes]:
    os.kill(os.getpid(), signal.SIGTERM)
    yield b""


def test_a_backup_deletes_what_killed_ones_have_left(archive: Path) -> None:
    long_ago = time.time() - 2 * 3600
    for name, written_at in (
        (".cinema-monday.zip.unfinished", long_ago),
        (".of-another-cinema-now.zip.unfinished", time.time()),
        ("notes.unfinished", long_ago),
        ("cinema-sunday.zip", long_ago),
    ):
        (archive.parent / name).touch()
        os.utime(archive.parent / name, (written_at, written_at))
    backup_of_this_test(archive)
    assert {file.name for file in archive.parent.iterdir()} == {
        ".of-another-cinema-now.zip.unfinished",
        "notes.unfinished",
        "cinema-sunday.zip",
        archive.name,
    }


def test_a_backup_replaces_no_file_and_one_is_made_at_a_time(archive: Path) -> None:
    archive.write_text("an earlier backup")
    with pytest.raises(BackupRefused, match="exists already"):
        back_up(archive, Bar())
    assert archive.read_text() == "an earlier backup"
    archive.unlink()
    with single_run("cinema.backup"), pytest.raises(BackupRefused, match="Another"):
        back_up(archive, Bar())


def test_a_disk_that_is_full_is_named_and_leaves_nothing(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python would cut off the bytecode of a module that is imported meanwhile, for good.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # The kernel refuses to write more, as on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
        with pytest.raises(CommandError, match=r"cinema.zip cannot be written: File too large"):
            call_command("backup", str(archive), verbosity=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(archive.parent.iterdir()) == []


def test_a_release_that_a_training_deletes_meanwhile_is_left_out(archive: Path) -> None:
    two_camps(n_viewers=4, n_films=8)
    deleted, kept = publish_release(), publish_release()

    def delete() -> None:
        if deleted.path.exists():
            shutil.rmtree(deleted.path)
            Release.objects.filter(pk=deleted.pk).update(directory="")

    with ThreadPoolExecutor(1) as pool:
        manifest = back_up(archive, Bar(lambda: pool.submit(and_disconnect, delete).result()))
    assert manifest.missing == []
    found = {name.split("/")[1] for name in manifest.parts if name.startswith("releases/")}
    assert found == {kept.directory}


def test_a_file_that_is_lost_is_named_and_stops_no_backup(
    archive: Path, staff: Client, media: Path
) -> None:
    movie = make_movie()
    uploaded_poster(staff, movie)
    movie.refresh_from_db()
    shutil.rmtree(media)
    manifest = back_up(archive, Bar())
    assert manifest.missing
    assert all(name.startswith(f"media/{movie.poster_upload}") for name in manifest.missing)


def test_uploads_in_a_bucket_are_named(archive: Path, staff: Client, settings: Settings) -> None:
    movie = make_movie()
    uploaded_poster(staff, movie)
    movie.refresh_from_db()
    settings.MEDIA_BUCKET = "films"
    manifest = back_up(archive, Bar())
    assert manifest.elsewhere
    assert all(name.startswith(movie.poster_upload) for name in manifest.elsewhere)
    assert manifest.count("media/") == 0


def test_a_restore_is_refused_where_there_are_data(
    archive: Path, place: Restored, staff: Client
) -> None:
    fill(staff)
    backup_of_this_test(archive)
    (place.home / "releases/other").mkdir(parents=True)
    code, said = place.run("restore", str(archive))
    assert code == 1
    assert "releases has files" in said
    shutil.rmtree(place.home / "releases")
    with place.connect() as database:
        assert database.execute("SELECT to_regclass('users_user')").fetchone() == (None,)
    assert place.run("prepare")[0] == 0
    with place.connect() as database:
        database.execute("INSERT INTO movies_genre (slug, name) VALUES ('noir', 'Noir')")
    code, said = place.run("restore", str(archive))
    assert code == 1
    # Its trigger has raised the version.
    assert "The database has data: movies_catalogueversion, movies_genre" in said
    assert not (place.home / "media").exists()


def has_no_other_session(database: psycopg.Connection[Any]) -> bool:
    [others] = database.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    ).fetchone() or [0]
    return bool(others == 0)


def test_a_restore_that_was_killed_is_repeated(
    archive: Path, place: Restored, staff: Client
) -> None:
    fill(staff)
    backup_of_this_test(archive)
    assert place.run("prepare")[0] == 0
    marker = unfinished_restore(place.home)
    with place.connect() as database:
        # The restore can read the table, and waits when it empties it.
        database.execute("LOCK TABLE movies_movie IN SHARE MODE")
        process = place.command("restore", str(archive))
        written = place.home / "media/posters"
        has_begun = wait_for(lambda: marker.exists() and written.is_dir(), timeout_s=60)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert has_begun
    with place.connect() as database:
        database.autocommit = True
        # Postgres frees the locks of a killed process when it notices its end.
        assert wait_for(lambda: has_no_other_session(database), timeout_s=60)
    code, said = place.run("restore", str(archive))
    assert code == 0, said
    with place.connect() as restored:
        assert contents(restored) == contents(connection)
    # Killed after it filled the tables: the next one only ends the work.
    marker.write_text(str(Archive(archive).manifest.id))
    code, said = place.run("restore", str(archive))
    assert (code, marker.exists()) == (0, False), said


def test_nothing_is_prepared_in_the_home_of_an_interrupted_restore(home: Path) -> None:
    unfinished_restore(home).touch()
    with pytest.raises(CommandError, match="A restore was interrupted"):
        call_command("prepare", demonstrate=True)
    assert not Movie.objects.exists()
