"""`make run`: one command that starts everything, keeps it running, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cinema.development.embedded_servers import PUBLIC_PLACE
from cinema.development.processes import wait_for
from cinema.home import socket_paths
from tests.running import ROOT, RunningCinema, command_of, filled_home

pytestmark = pytest.mark.every_python
HEALS_WITHIN_S = 300
#: The 2 s of `ready`, and more for a busy machine.
READY_WITHIN_S = 30


@pytest.fixture(scope="module")
def cinema() -> Iterator[RunningCinema]:
    running = RunningCinema().start()
    yield running
    running.stop()


def ready(cinema: RunningCinema) -> dict[str, dict[str, object]]:
    """The components of /health/ready, whatever its status."""
    try:
        answer = cinema.get("/health/ready")
    except urllib.error.HTTPError as error:
        answer = json.load(error)
    except OSError:
        return {}
    components: dict[str, dict[str, object]] = answer["components"]
    return components


def heals(cinema: RunningCinema) -> bool:
    """Wait until ten answers in turn are good: each web process has its own view of the rest."""

    def is_fit() -> bool:
        answers = (ready(cinema) for _ in range(10))
        return all(
            components and all(c["state"] == "ok" for c in components.values())
            for components in answers
        )

    return wait_for(is_fit, timeout_s=HEALS_WITHIN_S, every_s=0.2)


def test_the_output_names_the_address_and_the_sign_ins(cinema: RunningCinema) -> None:
    said = cinema.said()
    for part in (cinema.url, "/api/v1/docs", "staff@cinema.example", "viewer@cinema.example"):
        assert part in said
    assert said.count("curl '") == 2


def test_the_curl_lines_that_it_prints_work(cinema: RunningCinema) -> None:
    lines = [line for line in cinema.said().splitlines() if line.strip().startswith("curl ")]
    for line in lines:
        done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=300)
        assert json.loads(done.stdout).keys() & {"days", "items"}, done


def test_readiness_lists_each_component(cinema: RunningCinema) -> None:
    expected = {"database", "cache", "broker", "migrations", "workers", "training", "release"}

    def are_all_told() -> bool:
        components = ready(cinema)
        return (
            components.keys() == expected
            and all(isinstance(c.get("latency_ms"), float) for c in components.values())
            and isinstance(components["release"].get("age_s"), int)
        )

    # A web process may still be loading the release, or be held up while it asks a server.
    assert wait_for(are_all_told, timeout_s=HEALS_WITHIN_S, every_s=0.2), ready(cinema)


def test_a_second_start_names_the_running_one(cinema: RunningCinema) -> None:
    second = RunningCinema(cinema.home, port=cinema.port)
    done = subprocess.run(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=second.environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode != 0
    assert f"running already, at {cinema.url}" in done.stderr


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = RunningCinema(port=taken.getsockname()[1])
        assert other.launch().wait(timeout=300) != 0
    assert f"Port {other.port}" in other.said()
    assert other.processes() == []


def test_a_command_in_another_terminal_uses_the_servers_that_run(cinema: RunningCinema) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "fill_demonstration"],
        cwd=ROOT,
        env=cinema.environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (0, "It was there already.\n")


@pytest.mark.parametrize("victim", ["granian", "worker@", "beat", "valkey-server", "postgres -D"])
def test_a_killed_process_comes_back(cinema: RunningCinema, victim: str) -> None:
    killed = cinema.processes(victim)
    assert killed
    for process in killed:
        process.kill()
    psutil.wait_procs(killed, timeout=5)
    assert wait_for(lambda: bool(cinema.processes(victim)), timeout_s=HEALS_WITHIN_S)
    assert heals(cinema), ready(cinema)
    assert cinema.get("/api/v1/programme")["days"]


def test_a_killed_web_worker_is_replaced_while_the_other_serves(cinema: RunningCinema) -> None:
    workers = [p for p in cinema.processes("granian") if "granian" in _parent(p)]
    assert len(workers) == 2
    workers[0].kill()
    assert heals(cinema)

    def both_are_there() -> bool:
        now = [p for p in cinema.processes("granian") if "granian" in _parent(p)]
        return len(now) == 2 and workers[0] not in now

    assert wait_for(both_are_there, timeout_s=HEALS_WITHIN_S)


def _parent(process: psutil.Process) -> str:
    return " ".join(command_of(process.parent()))


def test_the_programme_is_served_while_valkey_is_away(cinema: RunningCinema) -> None:
    [valkey] = cinema.processes("valkey-server")
    valkey.suspend()
    try:
        assert cinema.get("/api/v1/programme")["days"]
        assert ready(cinema)["cache"]["state"] == "away"
    finally:
        valkey.resume()
    assert heals(cinema)


def test_health_answers_while_postgres_hangs(cinema: RunningCinema) -> None:
    [postmaster] = cinema.processes("postgres -D")
    web = [p for p in cinema.processes("granian") if "granian" in _parent(p)]
    threads: list[int] = []
    postmaster.suspend()  # first: it then starts no other process
    hanging = postmaster.children()
    try:
        for process in hanging:
            with suppress(psutil.NoSuchProcess):  # an autovacuum worker that has just ended
                process.suspend()
        for _ in range(10):
            began_at = time.monotonic()
            assert ready(cinema)["database"]["state"] == "away"
            assert time.monotonic() - began_at < READY_WITHIN_S
            assert cinema.get("/health/live") == {"status": "ok"}
            threads.append(sum(process.num_threads() for process in web))
    finally:
        for process in [*hanging, postmaster]:
            with suppress(psutil.NoSuchProcess):
                process.resume()
    # In each web process four threads answer health requests, and the check waits in one more,
    # however often it is asked for.
    assert threads[-1] - threads[0] <= 2 * (4 + 1)
    assert heals(cinema), ready(cinema)


def test_an_idle_cinema_is_small(cinema: RunningCinema) -> None:
    """After all that the tests have done to it; `bench startup` measures one that is left alone."""
    for _ in range(20):  # both web processes have served
        ready(cinema)
        cinema.get("/api/v1/programme")
    used: dict[str, float] = {}
    for process in cinema.tree():
        with suppress(psutil.NoSuchProcess):  # one of PostgreSQL's that has just ended
            used[f"{process.pid} {' '.join(process.cmdline())[:60]}"] = _memory_mb(process)
    # The worker has NumPy for matches: 23 MB. Under coverage each program is some MB larger. The
    # counters of the metrics take some 5 MB in each web process.
    assert sum(used.values()) < 680, used
    [beat] = cinema.processes("beat")
    assert _memory_mb(beat) < 75, used


def _memory_mb(process: psutil.Process) -> float:
    """The proportional memory: processes share the parts that they have in common."""
    return float(process.memory_full_info().pss) / 1e6


def test_a_signal_ends_all_processes() -> None:
    """`bench/startup.py` measures the time that this takes."""
    cinema = RunningCinema(arguments=["--empty"]).start()
    try:
        assert cinema.get("/api/v1/movies")["pagination"]["total"] == 0
        assert cinema.signal(signal.SIGINT) == 0
        assert cinema.processes() == []
        assert not socket_paths(cinema.home).directory.exists()
    finally:
        cinema.stop()


def test_after_a_kill_of_the_supervisor_it_starts_again_with_its_data() -> None:
    cinema = RunningCinema(filled_home()).start()
    movies = cinema.get("/api/v1/movies")["pagination"]["total"]
    cinema.signal(signal.SIGKILL)
    try:
        cinema.start()
        assert cinema.get("/api/v1/movies")["pagination"]["total"] == movies == 120
    finally:
        cinema.stop()
    assert cinema.processes() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account for PostgreSQL")
def test_root_may_start_it_from_a_place_that_only_root_can_reach(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    cinema = RunningCinema(private / "home", arguments=["--empty"]).start()
    data = (cinema.home / "postgres").resolve()
    try:
        assert data.is_relative_to(PUBLIC_PLACE)
        assert cinema.get("/api/v1/movies")["data"] == []
        assert private.stat().st_mode & 0o777 == 0o700
    finally:
        cinema.stop()
        shutil.rmtree(data)
