"""The step from the last version to this code: additive migrations, and data that it can serve."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import NOT_PROVIDED
from django.db.transaction import atomic

from cinema import __version__
from cinema.development import STAFF, VIEWER
from recommendations.models import Release
from tests.concurrency import and_disconnect
from tests.running import ROOT, RunningCinema, new_home

APPS = ("audit", "movies", "tmdb", "users", "recommendations")
#: The migrations of version 0.1.0. Those of a release that is out are added here.
RELEASED = {
    "audit.0001_squashed", "movies.0001_squashed", "movies.0002_triggers", "tmdb.0001_squashed",
    "users.0001_squashed", "users.0002_triggers", "recommendations.0001_squashed",
    "recommendations.0002_triggers", "recommendations.0003_counts_in_three_statements",
}  # fmt: skip
#: The running version would miss what these take away, or write what they refuse.
BREAKING = (
    operations.RemoveField,
    operations.RenameField,
    operations.DeleteModel,
    operations.RenameModel,
    operations.AlterModelTable,
)


def test_the_version_is_that_of_the_project() -> None:
    assert f'\nversion = "{__version__}"\n' in (ROOT / "pyproject.toml").read_text()
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def breaks(operation: operations.base.Operation) -> bool:
    if isinstance(operation, operations.AddField):
        field = operation.field
        return not (field.null or field.many_to_many or field.db_default is not NOT_PROVIDED)
    return isinstance(operation, BREAKING)


def test_no_migration_breaks_the_version_that_still_serves() -> None:
    """A column or table is removed in the version after the last one that uses it."""
    loader = MigrationLoader(None)
    found = {
        f"{app}.{name}": [each for each in migration.operations if breaks(each)]
        for (app, name), migration in loader.graph.nodes.items()
        if app in APPS and f"{app}.{name}" not in RELEASED
    }
    assert found.keys() >= {"recommendations.0004_release_hold"}
    assert {name: bad for name, bad in found.items() if bad} == {}


@pytest.mark.usefixtures("without_the_last_migration")
@pytest.mark.django_db(transaction=True)
def test_prepare_gives_way_to_a_transaction_of_the_running_version(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cinema.management.commands.prepare.LOCK_TIMEOUT_S", "0.1")
    recorder = MigrationRecorder(connection)
    last = ("recommendations", "0004_release_hold")
    with ThreadPoolExecutor(2) as pool:
        with atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE recommendations_release IN ROW EXCLUSIVE MODE")  # as a write
            preparing = pool.submit(and_disconnect, lambda: call_command("prepare"))
            sleep(2)  # it has given up and tried again
            # A migration that waited without a limit would keep this reader out.
            pool.submit(and_disconnect, Release.objects.count).result(timeout=60)
            assert last not in recorder.applied_migrations()
        preparing.result(timeout=120)
    assert last in recorder.applied_migrations()
    assert not Release.objects.exists()


def last_version() -> str:
    """The newest tag of another version, or else the last commit before the version changed."""
    for command in (
        ["describe", "--tags", "--abbrev=0", f"--exclude=v{__version__}"],
        ["log", "-1", "--format=%P", f'-Sversion = "{__version__}"', "--", "pyproject.toml"],
    ):
        done = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True)
        if found := done.stdout.strip():
            return found
    return ""


def code_of(commit: str, directory: Path) -> Path:
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True)
    directory.mkdir()
    subprocess.run(["tar", "-x"], cwd=directory, input=archive.stdout, check=True)
    return directory


@pytest.mark.skipif(not last_version(), reason="this clone has neither tags nor history")
def test_the_data_of_the_last_version_are_migrated_while_it_serves_and_then_served() -> None:
    home = new_home()
    old = RunningCinema(home, code=code_of(last_version(), home.with_name("old")))
    try:
        old.start()
        viewer = {"email": VIEWER.email, "password": VIEWER.password}
        liked = old.get("/api/v1/movies")["data"][0]["id"]
        done = subprocess.run(
            [sys.executable, "manage.py", "prepare"],
            cwd=ROOT,
            env=old.environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        # The old version goes on: it reads, writes and signs in.
        token = old.post("/api/v1/auth/login", viewer)["access"]
        old.post("/api/v1/interactions", {"movie_id": liked, "kind": "like"}, token)
        assert old.get("/api/v1/recommendations", token)["items"]
        staff = old.post("/api/v1/auth/login", {"email": STAFF.email, "password": STAFF.password})[
            "access"
        ]
        [release, *_] = old.get("/api/v1/releases", staff)["data"]
        old.post(f"/api/v1/releases/{release['id']}/activate", None, staff)
        old.signal(signal.SIGTERM)
        new = RunningCinema(home, port=old.port).start()
        try:
            assert new.get("/api/v1/movies")["pagination"]["total"] == 120
            token = new.post("/api/v1/auth/login", viewer)["access"]
            assert new.get("/api/v1/recommendations", token)["release"] == release["id"]
            again = new.post("/api/v1/interactions", {"movie_id": liked, "kind": "like"}, token)
            assert again["new_matches"] == []
        finally:
            new.signal(signal.SIGTERM)
    finally:
        old.stop()
