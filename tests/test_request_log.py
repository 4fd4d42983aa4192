"""One line for each request: what it was and what it took, and nothing of who sent it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from cinema import request_log
from cinema.celery import app
from cinema.logs import NO_REQUEST, current_request_id, request_id_variable
from cinema.request_log import viewer_code
from tests.builders import Client, make_movie, make_user
from tests.running import ROOT
from tests.workers import working

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no request count as slow: on a busy machine any request can be."""
    monkeypatch.setattr(request_log, "SLOW_REQUEST_S", 1e9)


def lines(capfd: pytest.CaptureFixture[str]) -> list[Any]:
    """The lines of requests."""
    every = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    return [line for line in every if line["logger"] == "cinema.requests"]


def test_a_request_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    viewer, movie = make_user(), make_movie()
    client = Client(viewer)
    capfd.readouterr()
    headers = {"X-Request-ID": "of-the-proxy"}
    answer = client.send("PUT", f"/movies/{movie.pk}/rating", {"stars": 4}, headers=headers)
    assert answer.status_code == 200
    [line] = lines(capfd)
    assert line.pop("ms") > 0
    assert line.pop("queries") > 1
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "cinema.requests",
        "request_id": "of-the-proxy",
        "message": "request",
        "method": "PUT",
        "route": "api/v1/movies/<int:movie_id>/rating",
        "status": 200,
        "viewer": viewer_code(viewer.pk),
    }


def test_statements_are_counted_for_each_request(capfd: pytest.CaptureFixture[str]) -> None:
    client = Client()
    client.get("/genres")
    client.get("/genres")
    first, second = lines(capfd)
    assert first["queries"] > second["queries"]  # the response was kept


def test_a_line_has_no_query_string_and_no_address(capfd: pytest.CaptureFixture[str]) -> None:
    anonymous = Client()
    anonymous.get("/movies", search="agnes@example.org")
    anonymous.get("/nothing/agnes@example.org")
    [found, missing] = lines(capfd)
    assert (found["route"], found["viewer"]) == ("api/v1/movies", None)
    assert (missing["route"], missing["status"]) == (None, 404)
    assert "agnes" not in str([found, missing])
    assert "127.0.0.1" not in str([found, missing])


def test_the_code_of_a_viewer_needs_the_secret(settings: Settings) -> None:
    first = viewer_code(7)
    assert len({first, viewer_code(8)}) == 2
    viewer_code.cache_clear()
    settings.SECRET_KEY = "another"
    assert viewer_code(7) != first
    viewer_code.cache_clear()


def test_an_unknown_method_is_not_repeated(capfd: pytest.CaptureFixture[str]) -> None:
    Client().send("AGNES", "/genres")
    assert [line["method"] for line in lines(capfd)] == ["other"]


def test_the_log_of_requests_can_be_off(
    settings: Settings, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REQUEST_LOG = False
    client = Client()
    client.get("/genres")
    assert lines(capfd) == []
    monkeypatch.setattr(request_log, "SLOW_REQUEST_S", 0.0)
    client.get("/genres")
    [line] = lines(capfd)
    assert (line["level"], line["message"]) == ("WARNING", "slow request")
    assert line["route"] == "api/v1/genres"


def test_programs_that_ask_for_health_fill_no_log(capfd: pytest.CaptureFixture[str]) -> None:
    Client().get("/health/ready")
    Client().get("/api/v1/health/ready")
    assert lines(capfd) == []


def test_a_slow_statement_is_named_without_its_values(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    Client().get("/genres")  # by this thread, which serves requests from now on
    caplog.clear()
    monkeypatch.setattr(request_log, "SLOW_STATEMENT_S", 0.05)
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s,\n  pg_sleep(0.1)", ["agnes@example.org"])
    [record] = [r for r in caplog.records if r.name == "cinema.request_log"]
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("slow statement, ")
    assert record.getMessage().endswith(" ms: SELECT %s, pg_sleep(0.1)")


@pytest.mark.django_db(transaction=True)
def test_a_slow_statement_of_a_command_or_task_is_not_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "SLOW_STATEMENT_S", 0.0)

    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.close()

    thread = threading.Thread(target=run)  # it serves no requests
    thread.start()
    thread.join()
    assert [r for r in caplog.records if r.name == "cinema.request_log"] == []


def test_a_full_disk_fails_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "wb") as full:
        monkeypatch.setattr(request_log, "STANDARD_ERROR", full.fileno())
        assert Client().get("/genres").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_request_id_follows_into_tasks() -> None:
    seen: list[str] = []

    @app.task(name="tests.note_request_id")
    def note_request_id() -> None:
        seen.append(current_request_id())

    with working(app.conf.task_default_queue):
        Client().send("GET", "/genres", headers={"X-Request-ID": "a-click"})
        note_request_id.delay().get(timeout=60)  # as from a view: this thread answered the request
        reset = request_id_variable.set(NO_REQUEST)
        of_beat = note_request_id.delay()
        of_beat.get(timeout=60)
        request_id_variable.reset(reset)
    assert seen == ["a-click", of_beat.id]


def test_a_line_is_for_people_on_a_terminal() -> None:
    code = (
        "import django, logging; django.setup();"
        "from cinema.request_log import write_request_line;"
        "logging.getLogger('cinema').warning('a\\x1b[2Jb');"
        "write_request_line('GET', 200, route='api/v1/genres', seconds=0.0123, queries=2)"
    )
    master, slave = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "cinema.settings"},
        stderr=slave,
        check=True,
        timeout=60,
    )
    os.close(slave)
    shown = os.read(master, 10_000).decode().splitlines()
    os.close(master)
    assert shown[0].endswith(" WARNING cinema [-] a\\x1b[2Jb")
    assert shown[1].endswith(
        " INFO cinema.requests [-] request method=GET route=api/v1/genres status=200 ms=12.3"
        " queries=2 viewer=None"
    )


BATCHES = """
import sys, threading, time, django
django.setup()
from cinema import request_log
from cinema.request_log import batch_lines, write_request_line
batch_lines()
def write(thread):
    for n in range(500):
        write_request_line("GET", 200, route=f"{sys.argv[1]} {thread} {n}", seconds=0.01)
threads = [threading.Thread(target=write, args=[n]) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
if sys.argv[2] == "killed":
    while request_log._waiting:
        time.sleep(0.01)
    with request_log._writing:  # the last batch is written
        os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("end", ["ended", "killed"])
def test_processes_that_write_in_batches_to_one_pipe_lose_and_tear_no_line(end: str) -> None:
    readable, writable = os.pipe()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", f"import os{BATCHES}", str(number), end],
            cwd=ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "cinema.settings"},
            stderr=writable,
        )
        for number in range(2)
    ]
    os.close(writable)
    try:
        with os.fdopen(readable, "rb") as pipe:
            routes = [json.loads(line)["route"] for line in pipe]
        for process in processes:
            process.wait(timeout=60)
    finally:
        for process in processes:
            process.kill()
    expected = [f"{p} {thread} {n}" for p in range(2) for thread in range(4) for n in range(500)]
    assert sorted(routes) == sorted(expected)
