"""`make run` in a fresh copy of the working tree: its first and second start, and idle memory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import IO
from urllib.request import urlopen

import psutil

from bench.data import DataSets
from bench.homes import OWN_SERVERS, REPOSITORY, Home, fetch, free_port
from bench.load import HOST
from bench.reporting import Cell, Report, Target
from cinema.development.processes import wait_for

COLD_AT_MOST_S, WARM_AT_MOST_S, STOP_AT_MOST_S = 60, 8, 5
IDLE_AT_MOST_MB, TASK_PROCESS_AT_MOST_S = 550, 1.5
#: The wait after the last request.
IDLE_S = 30
#: Both web processes answer some of so many.
REQUESTS = 20
GIVEN_UP_AFTER_S = 300
WARM_STARTS = 3


def run(data: DataSets) -> Report:
    with _copy(data.root / "copy") as copy:
        cold_s, *stops = _start_and_stop(copy)
        warm = []
        for _ in range(WARM_STARTS):
            warm_s, stop_s = _start_and_stop(copy)
            warm.append(warm_s)
            stops.append(stop_s)
        memory_mb: dict[str, float] = {}
        _start_and_stop(copy, meanwhile=lambda port: memory_mb.update(_memory_mb(copy, port)))
        cpu_s = [_task_process_cpu_s(copy) for _ in range(WARM_STARTS)]
    idle: list[Mapping[str, Cell]] = [
        {"what": f"idle, {name}", "megabytes": megabytes} for name, megabytes in memory_mb.items()
    ]
    return Report(
        name="startup",
        figures=[
            {"what": "cold: tools, packages, demonstration, training", "seconds": cold_s},
            {"what": "warm", "seconds": median(warm)},
            {"what": "stop", "seconds": median(stops)},
            {
                "what": "CPU until the process of a training has imported all",
                "seconds": median(cpu_s),
            },
            *idle,
        ],
        targets=[
            Target("cold, seconds to ready", cold_s, "at most", COLD_AT_MOST_S),
            Target("warm, seconds to ready", median(warm), "at most", WARM_AT_MOST_S),
            Target("slowest stop, seconds", max(stops), "at most", STOP_AT_MOST_S),
            Target(
                "start of a training's process, seconds of CPU",
                median(cpu_s),
                "at most",
                TASK_PROCESS_AT_MOST_S,
            ),
            Target("idle, MB", sum(memory_mb.values()), "at most", IDLE_AT_MOST_MB),
        ],
        rounds={"cold": [cold_s], "warm": warm, "stop": stops, "training's process": cpu_s},
    )


@contextmanager
def _copy(target: Path) -> Iterator[Path]:
    """A copy of the tracked files with today's changes, without environments and data."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (source := REPOSITORY / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    try:
        yield target
    finally:
        Home(target / ".cinema").remove()
        shutil.rmtree(target)


def _start_and_stop(
    copy: Path, *, meanwhile: Callable[[int], object] = lambda port: None
) -> tuple[float, float]:
    """Seconds from `make run` to the first 200 of /health/ready, and from SIGTERM to the end."""
    port = free_port()
    started_at = time.perf_counter()
    with (copy / "make.log").open("ab") as log, _make_run(copy, port, log) as make:
        wait_for(
            lambda: make.poll() is not None or _is_ready(port),
            timeout_s=GIVEN_UP_AFTER_S,
            every_s=0.05,
        )
        start_s = time.perf_counter() - started_at
        if not _is_ready(port):
            raise RuntimeError(f"`make run` did not work:\n{(copy / 'make.log').read_text()}")
        meanwhile(port)
        started_at = time.perf_counter()
        make.terminate()
        make.wait(GIVEN_UP_AFTER_S)
        return start_s, time.perf_counter() - started_at


@contextmanager
def _make_run(copy: Path, port: int, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Run it as on a new machine, with empty caches of pip and Poetry."""
    environment = {
        **os.environ,
        **OWN_SERVERS,
        "CINEMA_HOME": str(copy / ".cinema"),
        "PORT": str(port),
        "PIP_CACHE_DIR": str(copy / ".cache" / "pip"),
        "POETRY_CACHE_DIR": str(copy / ".cache" / "poetry"),
    }
    make = subprocess.Popen(
        ["make", "run"],  # noqa: S607
        cwd=copy,
        env=environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield make
    finally:
        if make.poll() is None:
            make.terminate()
            try:
                make.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(make.pid, signal.SIGKILL)
                make.wait()


def _memory_mb(copy: Path, port: int) -> dict[str, float]:
    """The proportional memory of all processes, by program."""
    for _ in range(REQUESTS):
        fetch(port, "/health/ready")
        fetch(port, "/api/v1/programme")
    time.sleep(IDLE_S)
    found: dict[str, float] = defaultdict(float)
    supervisor = _supervisor(copy)
    for process in [supervisor, *supervisor.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # such as one of PostgreSQL's that has just ended
            found[_program(process)] += process.memory_full_info().pss / 1e6
    return dict(found)


def _supervisor(copy: Path) -> psutil.Process:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            is_of_copy = process.environ().get("CINEMA_HOME") == str(copy / ".cinema")
            if is_of_copy and process.cmdline()[-2:] == ["manage.py", "up"]:
                return process
    raise RuntimeError("The supervisor is not running.")


def _program(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    names = ("granian", "hostname=worker", "hostname=trainer", "beat", "manage.py", "valkey")
    known = [name for name in names if name in command]
    return known[0] if known else process.name()


def _task_process_cpu_s(copy: Path) -> float:
    command = ["-m", "cinema.task_process", "bench.inside.startup.seconds_of_cpu", "[]"]
    done = subprocess.run(
        [sys.executable, *command, str(os.getpid())],
        cwd=REPOSITORY,
        env=Home(copy / ".cinema").environment,
        capture_output=True,
        check=True,
    )
    return float(json.loads(done.stdout)["result"])


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://{HOST}:{port}/health/ready", timeout=5) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:  # refused, or 503
        return False
