"""Functions that a task calls in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from celery.exceptions import TimeLimitExceeded

from cinema import task_process
from cinema.celery import SERVER_AWAY
from cinema.development.processes import wait_for
from cinema.task_process import ProcessFailed, ProcessLost
from tests.running import command_of

ROOT = Path(__file__).resolve().parent.parent
AUTOGROUP = Path("/proc/self/autogroup")


def run(function: str, *arguments: object, time_limit_s: float = 120) -> object:
    return task_process._run(function, arguments, time_limit_s)


def test_the_result_comes_back_whatever_is_printed() -> None:
    assert run("operator.add", [1, None], ["é"]) == [1, None, "é"]
    assert run("builtins.print", "in the way") is None


def test_the_process_has_a_low_priority_and_one_thread_of_blas() -> None:
    assert run("os.nice", 0) == max(10, os.nice(0))
    assert run("os.getenv", "OPENBLAS_NUM_THREADS") == "1"


def test_an_error_comes_back_with_its_message() -> None:
    with pytest.raises(ProcessFailed, match="ZeroDivisionError: division by zero"):
        run("operator.truediv", 1, 0)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("socket.create_connection", [["127.0.0.1", 1]], "ConnectionRefusedError"),
        ("os.abort", [], "killed by signal 6"),
    ],
)
def test_a_lost_process_is_tried_again(
    function: str, arguments: list[object], message: str
) -> None:
    with pytest.raises(ProcessLost, match=message) as raised:
        run(function, *arguments)
    assert isinstance(raised.value, SERVER_AWAY)


@pytest.mark.parametrize("status", [0, 1, 3])
def test_a_process_that_ends_without_an_answer_has_failed(status: int) -> None:
    with pytest.raises(ProcessFailed, match=f"ended with status {status}"):
        run("os._exit", status)


def test_a_process_that_takes_too_long_is_killed() -> None:
    began_at = time.monotonic()
    with pytest.raises(TimeLimitExceeded):
        run("time.sleep", 300, time_limit_s=2)
    assert time.monotonic() - began_at < 60
    assert not children_of(psutil.Process())


def test_the_process_ends_with_the_one_that_started_it() -> None:
    code = "from cinema import task_process; task_process._run('time.sleep', (300,), 300)"
    parent = psutil.Popen(
        [sys.executable, "-c", f"import django; django.setup(); {code}"],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "cinema.settings"},
    )
    try:
        assert wait_for(lambda: bool(children_of(parent)), timeout_s=60)
        [child] = children_of(parent)
    finally:
        # The child may have only begun to start.
        parent.kill()
        parent.wait()
    psutil.wait_procs([child], timeout=60)
    assert not child.is_running()


def children_of(process: psutil.Process) -> list[psutil.Process]:
    return [c for c in process.children() if "cinema.task_process" in command_of(c)]


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel has no autogroups")
def test_only_the_leader_of_a_session_changes_the_priority_of_the_session() -> None:
    before = AUTOGROUP.read_text()
    code = (
        "import cinema.celery as c; c.lower_priority(); print(open('/proc/self/autogroup').read())"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            start_new_session=is_leader,
        ).stdout.strip()
        for is_leader in (False, True)
    ]
    assert said[0] == before.strip() == AUTOGROUP.read_text().strip()
    assert said[1].endswith("nice 10")
