"""`make run` in a fresh copy of the working tree: the first time, and again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import IO
from urllib.request import urlopen

from bench.data import DataSets
from bench.homes import OWN_SERVERS, REPOSITORY, Home, free_port
from bench.load import HOST
from bench.reporting import Report, Target
from cinema.processes import wait_for

COLD_AT_MOST_S, WARM_AT_MOST_S, STOP_AT_MOST_S = 60, 8, 5
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
    return Report(
        name="startup",
        figures=[
            {"what": "cold: tools, packages, demonstration, training", "seconds": cold_s},
            {"what": "warm", "seconds": median(warm)},
            {"what": "stop", "seconds": median(stops)},
        ],
        targets=[
            Target("cold, seconds to ready", cold_s, "at most", COLD_AT_MOST_S),
            Target("warm, seconds to ready", median(warm), "at most", WARM_AT_MOST_S),
            Target("slowest stop, seconds", max(stops), "at most", STOP_AT_MOST_S),
        ],
        rounds={"cold": [cold_s], "warm": warm, "stop": stops},
    )


@contextmanager
def _copy(target: Path) -> Iterator[Path]:
    """What a clone with today's changes would hold: no environments and no data."""
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


def _start_and_stop(copy: Path) -> tuple[float, float]:
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
        started_at = time.perf_counter()
        make.terminate()
        make.wait(GIVEN_UP_AFTER_S)
        return start_s, time.perf_counter() - started_at


@contextmanager
def _make_run(copy: Path, port: int, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """As on a machine that has never seen it: what pip and Poetry keep is not used either."""
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


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://{HOST}:{port}/health/ready", timeout=5) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:  # refused, or 503
        return False
