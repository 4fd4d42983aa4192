"""`GET /programme` beside a view that does nothing: what the cinema's own code costs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench.data import PROGRAMME, DataSets
from bench.homes import REPOSITORY, Home, fetch, free_port, serving
from bench.load import Job, Load, apply_load, get, median_load
from bench.reporting import Report, Target, alternate, median_ratio
from cinema.development.processes import Child

CONNECTIONS = 32
PATH = "/api/v1/programme"
BARE_PATH = "/bench/programme"

OURS, OURS_304 = "GET /programme", "GET /programme, 304"
BARE, BARE_PROJECT = "bare view, our middleware", "bare view, bare project"


def run(data: DataSets) -> Report:
    with (
        data.opened(PROGRAMME) as home,
        home.web(settings="bench.settings") as port,
    ):
        body, headers = fetch(port, PATH)
        (home.path / "programme.json").write_bytes(body)
        with home.web("bench.bare:application") as bare_port:
            for peer in (port, bare_port):
                assert fetch(peer, BARE_PATH)[0] == body, "a bare view returns other bytes"
            known = {"If-None-Match": headers["etag"]}
            found = _measure(data, port, bare_port, known)
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
            BARE: lambda: ask(port, get(BARE_PATH)),
            OURS_304: lambda: ask(port, get(PATH, known), 304),
            BARE_PROJECT: lambda: ask(bare_port, get(BARE_PATH)),
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
            f"{OURS} / {BARE_PROJECT}": ratio(OURS, BARE_PROJECT),
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
