"""A program of the supervisor and what it has started end together."""

from __future__ import annotations

from pathlib import Path

import psutil

from cinema.development.processes import Child, wait_for


def test_a_stopped_process_in_a_session_of_its_own_is_ended_too(tmp_path: Path) -> None:
    child = Child(name="server", command=["sh", "-c", "setsid sleep 300 & wait"], home=tmp_path)
    child.start()
    try:
        leader = psutil.Process(child.pid)
        assert wait_for(lambda: "sleep" in [p.name() for p in leader.children()], timeout_s=120)
        [started] = leader.children()
        started.suspend()
        leader.suspend()
    finally:
        child.kill()
    assert wait_for(lambda: not _runs(started), timeout_s=120)
    assert not child.is_running()


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
