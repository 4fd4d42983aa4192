"""ENABLE_BACKGROUND_JOBS=false: the web alone, and a clear answer to what only a job can do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client as Browser
from pytest_django.fixtures import Settings

from cinema.celery import app
from cinema.development.supervisor import program_children
from movies.tmdb.models import SyncReport
from recommendations.models import TrainingRun
from tests.admin_pages import choose
from tests.builders import Client, make_movie, make_user
from tests.running import ROOT
from users.mails import deliver_waiting_mails
from users.models import MailRequest

if TYPE_CHECKING:
    from pytest_django import DjangoCaptureOnCommitCallbacks

    from tests.tmdb_server import TmdbServer

pytestmark = pytest.mark.django_db

ADDRESS = "agnes@example.org"


@pytest.fixture
def without_jobs(settings: Settings) -> None:
    settings.ENABLE_BACKGROUND_JOBS = False


def n_messages() -> int:
    """The number of messages that wait for the worker."""
    queue = app.amqp.queues[app.conf.task_default_queue]
    with app.connection_for_write() as broker:
        declared: Any = queue(broker.default_channel).queue_declare()
        return int(declared.message_count)


def test_the_supervisor_starts_all_programs_or_the_web_alone(settings: Settings) -> None:
    assert [child.name for child in program_children()] == ["web", "worker", "beat"]
    settings.ENABLE_BACKGROUND_JOBS = False
    assert [child.name for child in program_children()] == ["web"]


@pytest.mark.parametrize("name", ["worker", "beat"])
def test_a_container_without_work_waits_and_is_healthy(name: str, tmp_path: Path) -> None:
    """One that ended would be started again and again."""
    environment = {**os.environ, "CINEMA_HOME": str(tmp_path), "ENABLE_BACKGROUND_JOBS": "false"}
    check = [sys.executable, "-IS", "cinema/healthcheck.py", name]
    assert subprocess.run(check, cwd=ROOT, env=environment).returncode == 0
    del environment["ENABLE_BACKGROUND_JOBS"]
    assert subprocess.run(check, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL).returncode
    with subprocess.Popen(
        [sys.executable, "-m", "cinema.programs", name],
        cwd=ROOT,
        env={**environment, "ENABLE_BACKGROUND_JOBS": "false"},
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            assert program.stderr
            assert "ENABLE_BACKGROUND_JOBS is false" in program.stderr.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                program.wait(timeout=1)
            program.terminate()
            assert program.wait(timeout=120) == -signal.SIGTERM
        finally:
            program.kill()


@pytest.mark.usefixtures("without_jobs")
def test_a_training_is_refused_with_the_command_that_trains(staff: Client) -> None:
    answer = staff.post("/releases/train")
    assert answer.status_code == 409
    assert answer.json()["detail"] == (
        "Background jobs are disabled (ENABLE_BACKGROUND_JOBS). Train by `manage.py train`."
    )
    assert not TrainingRun.objects.exists()


@pytest.mark.usefixtures("without_jobs")
def test_a_sync_with_tmdb_is_refused(staff: Client, tmdb: TmdbServer) -> None:
    answer = staff.post("/tmdb/syncs", {"kind": "genres"})
    assert answer.status_code == 409
    assert "ENABLE_BACKGROUND_JOBS" in answer.json()["detail"]
    assert not SyncReport.objects.exists()


@pytest.mark.usefixtures("without_jobs")
def test_the_admin_says_why_no_movie_is_refreshed(client: Browser, tmdb: TmdbServer) -> None:
    movie = make_movie(tmdb_id=1)
    boss = make_user(is_staff=True, is_superuser=True)
    client.force_login(boss, backend="django.contrib.auth.backends.ModelBackend")
    said = choose(client, "/admin/movies/movie/", "refresh_from_tmdb", movie)
    assert "Background jobs are disabled" in said
    assert not SyncReport.objects.exists()


def test_a_mail_waits_in_the_database_until_jobs_are_enabled(
    settings: Settings,
    anonymous: Client,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    make_user(email=ADDRESS)
    settings.ENABLE_BACKGROUND_JOBS = False
    before = n_messages()
    with django_capture_on_commit_callbacks(execute=True):
        answer = anonymous.post("/auth/password/forgot", {"email": ADDRESS})
    assert answer.status_code == 202
    assert n_messages() == before
    request = MailRequest.objects.get()
    settings.ENABLE_BACKGROUND_JOBS = True
    MailRequest.objects.update(due_at=request.created_at.replace(year=2020))
    assert deliver_waiting_mails() == 1
    assert n_messages() == before + 1
