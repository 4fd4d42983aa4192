"""`GET /programme` beside a bare view in a bare project: what the cinema's own code costs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.data import PROGRAMME, DataSets
from bench.homes import REPOSITORY, Home, fetch, free_port, serving
from bench.load import Job, Load, apply_load, get, median_load
from bench.reporting import Report, Target, alternate, median_ratio
from cinema.development.processes import Child

CONNECTIONS = 32
PATH = "/api/v1/programme"
BARE_PATH = "/bench/programme"
BARE_APPLICATION = "bench.bare:application"

OURS, OURS_304, BARE = "GET /programme", "GET /programme, 304", "bare view, bare project"


@contextmanager
def bare_web(home: Home, port: int, workers: int | None = None) -> Iterator[int]:
    """The port of a bare view that returns the bytes of the programme at the other port."""
    body, _ = fetch(port, PATH)
    (home.path / "programme.json").write_bytes(body)
    with home.web(BARE_APPLICATION, workers=workers) as bare_port:
        assert fetch(bare_port, BARE_PATH)[0] == body, "the bare view returns other bytes"
        yield bare_port


def run(data: DataSets) -> Report:
    with data.opened(PROGRAMME) as home, home.web() as port, bare_web(home, port) as bare_port:
        body, headers = fetch(port, PATH)
        found = _measure(data, port, bare_port, {"If-None-Match": headers["etag"]})
        limit = _generator_limit(data, home, len(body))
    return _report(found, limit, len(body))


def _measure(
    data: DataSets, port: int, bare_port: int, known: dict[str, str]
) -> dict[str, list[Load]]:
    def ask(port: int, request: str, expected: int = 200) -> Load:
        job = Job(port, [request], CONNECTIONS, data.scale.seconds)
        return apply_load(job, expected=expected)

    return alternate(
        {
            OURS: lambda: ask(port, get(PATH)),
            OURS_304: lambda: ask(port, get(PATH, known), 304),
            BARE: lambda: ask(bare_port, get(BARE_PATH)),
        },
        rounds=data.scale.rounds,
    )


def _generator_limit(data: DataSets, home: Home, body_bytes: int) -> Load:
    """The load of the generator on a server that does not even parse the request."""
    port = free_port()
    command = [sys.executable, "-m", "bench.load", str(port), str(body_bytes)]
    with serving(Child("trivial", command, home.path, directory=REPOSITORY), port):
        return apply_load(Job(port, [get(PATH)], CONNECTIONS, data.scale.seconds))


def _report(found: dict[str, list[Load]], limit: Load, body_bytes: int) -> Report:
    def ratio(of: str, beside: str) -> float:
        return median_ratio(_throughputs(found[of]), _throughputs(found[beside]))

    loads = {**found, "the generator's own limit": [limit]}
    return Report(
        name="programme",
        figures=[{"what": name, **median_load(rounds)} for name, rounds in loads.items()],
        ratios={
            f"{OURS} / {BARE}": ratio(OURS, BARE),
            f"{OURS_304} / {OURS}": ratio(OURS_304, OURS),
        },
        targets=[
            Target(f"throughput beside the {BARE}", ratio(OURS, BARE), "at least", 0.7),
            Target("throughput of 304 beside 200", ratio(OURS_304, OURS), "at least", 1.0),
        ],
        rounds=found,
        notes=[f"{CONNECTIONS} connections, {body_bytes:,} bytes a body."],
    )


def _throughputs(loads: Sequence[Load]) -> list[float]:
    return [load.per_second for load in loads]
