"""`manage.py doctor`: what is wrong or unwise, in plain words."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from pytest_django.fixtures import Settings

from cinema import __version__, doctor
from cinema.doctor import Finding
from cinema.home import ADDRESS_FILE, unfinished_restore
from cinema.metrics.exposition import metrics_token
from recommendations.models import Release, TrainingRun
from tests.builders import interact, make_movie, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]
Check = Callable[[], Iterable[Finding]]


@pytest.fixture
def cinema_home(tmp_path: Path) -> Path:
    """The home of the test, which no other user can read."""
    (tmp_path / "heartbeats").mkdir()
    return tmp_path


def said(check: Check) -> list[str]:
    return [finding.what for finding in check()]


def beats(home: Path, name: str, *, version: str = __version__, age_s: float = 0) -> None:
    file = home / "heartbeats" / name
    file.write_text(version)
    os.utime(file, (time.time() - age_s,) * 2)


def make_release(**fields: object) -> Release:
    given = {"users": 1, "items": 1, "interactions": 1, "training_s": 1, "directory": "a"}
    return Release.objects.create(is_current=True, **{**given, **fields})


def test_the_doctor_reports_problems_with_advice_and_fails(
    cinema_home: Path, settings: Settings
) -> None:
    output = StringIO()
    with pytest.raises(CommandError, match="things are wrong"):
        call_command("doctor", stdout=output, no_color=True)
    lines = output.getvalue().splitlines()
    assert "Wrong: Beat has sent nothing for 60 s: no scheduled task runs." in lines
    for queue in settings.CELERY_TASK_QUEUES:  # on shared servers they have names of their own
        assert f"Wrong: No worker serves the queue {queue.name}: its tasks wait." in lines
    assert "Wrong: SECRET_KEY is short: sign-ins can be forged." in lines
    assert "Unwise: No backup was made from this home." in lines
    assert all(line.startswith("    ") for line in lines[1::2])


def test_servers_that_are_away_are_named_and_stop_no_other_check(
    settings: Settings, without_cache: None, cinema_home: Path
) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    found = [finding.what for finding in doctor.examine([])]
    assert found[0] == "Valkey does not answer; checks that need it are left out."
    assert "No backup was made from this home." in found


def test_a_missing_beat_and_a_program_of_another_version(cinema_home: Path) -> None:
    beats(cinema_home, "beat@here")
    beats(cinema_home, "worker@here")
    beats(cinema_home, "worker@gone", version="0.0.1", age_s=3600)
    assert said(doctor.check_programs) == []
    beats(cinema_home, "beat@here", age_s=61)
    beats(cinema_home, "worker@here", version="")
    assert said(doctor.check_programs) == [
        "Beat has sent nothing for 60 s: no scheduled task runs.",
        f"worker@here runs version before 0.2.0, and {__version__} is installed.",
    ]


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, f'cinema_info{{version="{__version__}"}} 1.0', []),
        (200, 'x 1\ncinema_info{version="0.1.9"} 1.0', ["The web runs version 0.1.9, and "]),
        (404, "", ["The web runs version before 0.2.0, and "]),
        (401, "", ["has another SECRET_KEY than this command."]),
    ],
)
def test_a_web_of_another_version_or_secret_is_reported(
    home: Path, status: int, body: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "WEB_ANSWERS_WITHIN_S", 60)

    class Web(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_asked = self.headers["Authorization"] == f"Bearer {metrics_token()}"
            self.send_response(status if self.path == "/metrics" and is_asked else 500)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Web) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        (home / ADDRESS_FILE).write_text(address)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(server.handle_request)
            for what, expected in zip(said(doctor.check_web), found, strict=True):
                assert expected in what
    [away] = said(doctor.check_web)
    assert away == f"The web does not answer at {address} (ConnectionRefusedError)."


def test_background_jobs_that_are_off_are_unwise(settings: Settings) -> None:
    settings.ENABLE_BACKGROUND_JOBS = False
    [finding] = doctor.check_programs()
    assert (finding.is_fault, finding.what[:23]) == (False, "Background jobs are off")


def test_migrations_that_are_missing_or_of_a_newer_version() -> None:
    assert said(doctor.check_migrations) == []
    recorder = MigrationRecorder(connection)
    recorder.record_applied("movies", "0999_future")
    recorder.record_unapplied("recommendations", "0004_release_hold")
    assert said(doctor.check_migrations) == [
        f"The database has 1 migrations of a newer version than {__version__}.",
        f"1 migrations of version {__version__} are not applied.",
    ]


def test_an_algorithm_that_is_off_is_named_with_its_reason_and_a_hold_is_told(
    cinema_home: Path,
) -> None:
    left_out = {"als": "it was worse than popularity", "neural": "PyTorch is not installed."}
    release = make_release(left_out=left_out, is_held=True)
    assert said(doctor.check_release) == [
        f"The files of {release} are missing or damaged.",
        f"{release} is held: newer trainings are not published.",
        "The algorithm als is off: it was worse than popularity.",
        "The algorithm neural is off: PyTorch is not installed.",
    ]


def test_a_stale_release_and_a_failed_training(cinema_home: Path) -> None:
    interact(make_user(), make_movie())
    assert said(doctor.check_release) == ["No models are trained: lists are sorted by date."]
    release = make_release(created_at=timezone.now() - 9 * doctor.RELEASE_TOO_OLD / 7)
    assert f"{release} is 9 days old, and viewers have acted since." in said(doctor.check_release)
    TrainingRun.objects.create(state=TrainingRun.State.FAILED, message="killed 3 times")
    [found] = said(doctor.check_training)
    assert found.endswith("failed: killed 3 times")


@pytest.mark.real_clock
def test_clocks_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: Iterator[Check] = iter([doctor.check_database_clock, doctor.check_cache_clock])
    for check, name in zip(checks, ("Postgres", "Valkey"), strict=True):
        assert said(check) == []
        with monkeypatch.context() as patch:
            now = time.time
            patch.setattr("cinema.doctor.time.time", lambda now=now: now() + 90)
            [found] = said(check)
        [off_s] = re.findall(rf"The clock of {name} and .* differ by (\d+) s", found)
        assert 60 <= int(off_s) <= 90


def test_no_space_is_a_fault_and_little_is_unwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(doctor.check_space) == []
    monkeypatch.setattr(doctor, "LITTLE_SPACE_BYTES", 2**60)
    assert {finding.is_fault for finding in doctor.check_space()} == {False}
    monkeypatch.setattr(doctor, "NO_SPACE_BYTES", 2**60)
    assert {finding.is_fault for finding in doctor.check_space()} == {True}


@pytest.mark.parametrize(
    ("host", "header", "count"),
    [
        ("127.0.0.1", None, 0),
        ("localhost", None, 0),
        ("::1", None, 0),
        ("192.0.2.1", None, 1),
        ("cinema.example", None, 1),
        ("192.0.2.1", ("HTTP_X_FORWARDED_PROTO", "https"), 0),
    ],
)
def test_a_public_port_without_tls_is_reported(
    settings: Settings, host: str, header: object, count: int
) -> None:
    settings.HOST, settings.SECURE_PROXY_SSL_HEADER = host, header
    assert len(said(doctor.check_public_port)) == count


def test_secrets_and_accounts_that_everybody_knows(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SECRET_KEY = "x" * 50
    settings.CELERY_BROKER_URL = settings.REDIS_URL = "redis://cache.internal:6379/0"
    settings.BASE_DIR = Path("/nowhere")
    assert said(doctor.check_secrets) == []
    settings.SECRET_KEY = "short"
    assert said(doctor.check_secrets) == ["SECRET_KEY is short: sign-ins can be forged."]
    settings.SECRET_KEY = "x" * 50
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", "postgres")
    settings.REDIS_URL = "redis://:changeme@cache.internal:6379/0"
    settings.CELERY_BROKER_URL = "amqp://guest:guest@broker.internal:5672//"
    assert said(doctor.check_secrets) == [
        f"The password of the {name} is well known." for name in ("database", "cache", "broker")
    ]
    make_user(email="staff@cinema.example", password="projector room", is_staff=True)
    known = [("staff@cinema.example", "projector room"), ("staff@cinema.example", "another one")]
    [local] = doctor.check_accounts(known)
    settings.PUBLIC_URL = "https://cinema.example"
    [public] = doctor.check_accounts(known)
    assert (local.is_fault, public.is_fault) == (False, True)


def test_files_that_others_can_read_and_an_interrupted_restore(cinema_home: Path) -> None:
    (cinema_home / "secret-key").touch(mode=0o600)
    beats(cinema_home, "beat@here")
    (cinema_home / "heartbeats/beat@here").chmod(0o600)
    assert said(doctor.check_modes) == []
    (cinema_home / "secret-key").chmod(0o644)
    unfinished_restore(cinema_home).touch(mode=0o600)
    assert said(doctor.check_modes) == [
        f"Others may read {cinema_home}/secret-key.",
        "A restore was interrupted.",
    ]


def test_an_old_backup_is_reported(cinema_home: Path) -> None:
    note = cinema_home / "last-backup"
    note.touch()
    assert said(doctor.check_backup) == []
    os.utime(note, (time.time() - 9 * 86_400,) * 2)
    [found] = said(doctor.check_backup)
    assert found.startswith("Backup: ")


def test_debug_in_a_deployment_is_found_by_the_checks_of_django(settings: Settings) -> None:
    settings.DEBUG = True
    assert any("DEBUG" in found for found in said(doctor.check_settings))
