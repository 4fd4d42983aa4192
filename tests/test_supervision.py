"""Children that run and do not answer, with real processes that are stopped."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from io import StringIO
from pathlib import Path

import pytest
from django.core.management.base import OutputWrapper
from pytest_django.fixtures import Settings

from cinema.development import supervisor
from cinema.development.embedded_servers import Servers
from cinema.development.processes import Child, stop, wait_for
from cinema.development.supervisor import (
    LOOKS,
    LOOKS_AT_START,
    HangDetector,
    Supervisor,
    ask_health,
)
from tests.running import free_port, new_home

SLEEPING = "import time; time.sleep(600)"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web that runs has answered in the end, also on a busy machine."""
    monkeypatch.setattr(supervisor, "ANSWER_WITHIN_S", 60.0)


@contextmanager
def stopped(child: Child) -> Iterator[None]:
    """Stop a child that then never answers, so the looks at it need not take long."""
    child.signal(signal.SIGSTOP)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(supervisor, "ANSWER_WITHIN_S", 1.0)
            yield
    finally:
        child.signal(signal.SIGCONT)


@pytest.fixture
def no_servers() -> Servers:
    return Servers(new_home(), postgres=False, valkey=False)


class Web:
    """A web server in a process of its own, whose health is a file."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self._health = directory / "health" / "ready"
        self._health.parent.mkdir()
        self.says({"database": "ok", "broker": "ok", "workers": "ok"})
        command = [sys.executable, "-m", "http.server", "--bind=127.0.0.1", str(port)]
        self.child = Child("web", command, home=directory, directory=directory)

    def says(self, states: dict[str, str]) -> None:
        components = {name: {"state": state} for name, state in states.items()}
        self._health.write_text(json.dumps({"components": components}))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    web = Web(tmp_path)
    web.child.start()
    assert wait_for(lambda: ask_health(web.address) is not None, timeout_s=120)
    yield web
    web.child.kill()


def sleeping(name: str, home: Path) -> Child:
    child = Child(name, [sys.executable, "-c", SLEEPING], home=home)
    child.start()
    return child


def hung_after(watch: HangDetector, *, at_most: int) -> int | None:
    """The number of the look that finds a child hung."""
    return next((look for look in range(1, at_most + 1) if watch.hung()), None)


def test_a_web_that_is_stopped_hangs_after_several_looks(web: Web, no_servers: Servers) -> None:
    failures, among = LOOKS["web"]
    watch = HangDetector(web.address, [web.child], no_servers, every_s=0)
    assert watch.hung() == []
    with stopped(web.child):
        assert hung_after(watch, at_most=failures - 1) is None
    assert wait_for(lambda: ask_health(web.address) is not None, timeout_s=120)
    assert hung_after(watch, at_most=among) is None
    with stopped(web.child):
        assert hung_after(watch, at_most=failures) == failures


def test_one_hanging_process_of_the_web_is_found(web: Web, no_servers: Servers) -> None:
    watch = HangDetector(web.address, [web.child], no_servers, every_s=0)
    found = []
    for look in range(LOOKS["web"][1]):
        with stopped(web.child) if look % 2 else nullcontext():
            found += watch.hung()
    assert web.child in found


def test_a_restarted_child_has_time_to_start(web: Web, no_servers: Servers) -> None:
    watch = HangDetector(web.address, [web.child], no_servers, every_s=0)
    watch.hung()
    web.child.kill()
    web.child.command = [sys.executable, "-c", SLEEPING]
    web.child.start()
    assert hung_after(watch, at_most=LOOKS_AT_START) == LOOKS_AT_START


def test_a_worker_is_judged_only_while_the_broker_is_there(
    web: Web, no_servers: Servers, tmp_path: Path
) -> None:
    worker = sleeping("worker", tmp_path)
    try:
        watch = HangDetector(web.address, [web.child, worker], no_servers, every_s=0)
        watch.hung()
        web.says({"broker": "away", "workers": "unknown"})
        assert hung_after(watch, at_most=2 * LOOKS["worker"][0]) is None
        web.says({"broker": "ok", "workers": "missing"})
        assert hung_after(watch, at_most=LOOKS["worker"][0]) == LOOKS["worker"][0]
        # A worker that trains answers, and what else is not well is not its fault.
        web.says({"broker": "ok", "workers": "ok", "training": "waiting", "database": "away"})
        assert hung_after(watch, at_most=2 * LOOKS["worker"][0]) is None
    finally:
        worker.kill()


def test_beat_hangs_when_it_saves_its_schedule_no_more(
    web: Web, no_servers: Servers, tmp_path: Path, settings: Settings
) -> None:
    settings.CELERY_BEAT_SCHEDULE_FILENAME = str(tmp_path / "beat-schedule")
    schedule = tmp_path / "beat-schedule.dat"
    beat = sleeping("beat", tmp_path)
    try:
        watch = HangDetector(web.address, [web.child, beat], no_servers, every_s=0)
        schedule.write_text("1")
        assert hung_after(watch, at_most=LOOKS["beat"][0]) is None
        schedule.write_text("2")
        assert hung_after(watch, at_most=LOOKS["beat"][0]) is None
        assert watch.hung() == [beat]
    finally:
        beat.kill()


def test_a_server_that_is_stopped_hangs(web: Web) -> None:
    servers = Servers(new_home(), postgres=False, valkey=True)
    servers.start()
    [valkey] = servers.children
    try:
        watch = HangDetector(web.address, [web.child], servers, every_s=0)
        # One that runs may have been too slow for a look.
        assert wait_for(
            lambda: watch.hung() == [] and valkey.pid in watch._have_answered, timeout_s=60
        )
        valkey.signal(signal.SIGSTOP)
        assert hung_after(watch, at_most=LOOKS["valkey"][0]) == LOOKS["valkey"][0]
        valkey.kill()
        valkey.start()
        servers.wait_until_ready(valkey)
        assert watch.hung() == []
    finally:
        servers.stop()


def test_no_check_is_made_before_its_time(web: Web, no_servers: Servers) -> None:
    watch = HangDetector(web.address, [web.child], no_servers, every_s=600)
    stop([web.child], timeout_s=5)
    assert hung_after(watch, at_most=100) is None


@pytest.mark.parametrize("hosts", [["cinema.example"], [".cinema.example"], ["*"]])
def test_health_is_asked_by_a_name_that_the_web_answers_to(
    web: Web, settings: Settings, hosts: list[str]
) -> None:
    settings.ALLOWED_HOSTS = hosts
    assert ask_health(web.address) == {
        "components": {name: {"state": "ok"} for name in ("database", "broker", "workers")}
    }


class GoneTerminal(StringIO):
    def flush(self) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_terminal_that_is_gone_ends_nothing() -> None:
    terminal = GoneTerminal()
    Supervisor(OutputWrapper(terminal))._print("web ended and is started again.")
    assert terminal.getvalue() == "web ended and is started again.\n"
