"""Signing in beside a bare check of the password's hash; signed-in requests beside others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from bench.data import MOVIELENS, PROGRAMME, SYNTHETIC, DataSets, Scale
from bench.homes import Home, fetch
from bench.load import Job, Load, apply_load, get, median_load, post
from bench.reporting import Cell, Report, Target, alternate, median_ratio

SIGN_IN, ME, ANONYMOUS = "POST /auth/login", "GET /users/me", "GET /genres"
#: Connections, or threads of a bare check: 16 are all that `make run` has for requests.
ALONE, MANY = 1, 16
VIEWERS = 64
#: Requests before the measurement; a sign-in takes as long as a hundred other requests.
IGNORED = {SIGN_IN: 8, ME: 200, ANONYMOUS: 200}
#: By the issue: signature and claims.
TOKEN_AT_MOST_MS = 0.2


@dataclass(frozen=True)
class _AccountsFound:
    """The measurements of all rounds.

    Attributes:
        loads: Keys: the name of the request and the number of connections.
        hashes: Bare checks of a hash a second, by the number of threads.
        checks: Milliseconds of a token's check, without and with the query for its session.
    """

    loads: Mapping[tuple[str, int], Sequence[Load]]
    hashes: Mapping[int, Sequence[float]]
    checks: Mapping[str, Sequence[float]]


def run_accounts(data: DataSets) -> Report:
    scale = data.scale
    with data.opened(PROGRAMME) as home:
        accounts = home.call("viewers.open_accounts", viewers=VIEWERS)
        checks = home.call("viewers.check_tokens", rounds=scale.rounds)
        with home.web() as port:
            rounds = [_measure_accounts(home, port, accounts, scale) for _ in range(scale.rounds)]
    found = _AccountsFound(
        {case: [loads[case] for loads, _ in rounds] for case in rounds[0][0]},
        {threads: [hashes[threads] for _, hashes in rounds] for threads in (ALONE, MANY)},
        checks,
    )
    return _report_accounts(found, accounts["hash"])


def _measure_accounts(
    home: Home, port: int, accounts: Mapping[str, Any], scale: Scale
) -> tuple[dict[tuple[str, int], Load], dict[int, float]]:
    """Measure everything in turn, so that each sign-in has a bare check beside it."""
    requests = {
        SIGN_IN: [post("/api/v1/auth/login", payload) for payload in accounts["sign_ins"]],
        ME: [
            get("/api/v1/users/me", {"Authorization": f"Bearer {token}"})
            for token in accounts["tokens"]
        ],
        ANONYMOUS: [get("/api/v1/genres")],
    }
    loads, hashes = {}, {}
    for parallel in (ALONE, MANY):
        hashes[parallel] = home.call(
            "viewers.verify_passwords", seconds=scale.seconds, threads=parallel
        )
        for what, sent in requests.items():
            job = Job(port, sent, parallel, scale.seconds, ignored=IGNORED[what])
            loads[what, parallel] = apply_load(job)
    return loads, hashes


def _report_accounts(found: _AccountsFound, parameters: str) -> Report:
    token_ms = median(found.checks["token"])
    return Report(
        name="accounts",
        figures=_account_rows(found),
        ratios=_account_ratios(found),
        targets=[Target("check of a token, median ms", token_ms, "at most", TOKEN_AT_MOST_MS)],
        rounds={
            **{f"{what}, {parallel}": loads for (what, parallel), loads in found.loads.items()},
            **{f"bare checks a second, {n}": rates for n, rates in found.hashes.items()},
            **{f"check of a {what}, ms": rounds for what, rounds in found.checks.items()},
        },
        notes=[
            f"The hash: {parameters} (memory in KiB, for each check that is under way).",
            "The limits are too high to refuse anybody; their cost is measured.",
        ],
    )


def _account_rows(found: _AccountsFound) -> list[dict[str, Cell]]:
    rows: list[dict[str, Cell]] = [
        {"what": what, "at once": parallel, **median_load(loads)}
        for (what, parallel), loads in found.loads.items()
    ]
    for threads, rates in found.hashes.items():
        took_ms = median(1000 * threads / rate for rate in rates)
        rows.append(
            {
                "what": "bare check of a hash",
                "at once": threads,
                "requests/s": median(rates),
                "median ms": took_ms,
            }
        )
    for what, rounds in found.checks.items():
        rows.append({"what": f"check of a {what}", "at once": ALONE, "median ms": median(rounds)})
    return rows


def _account_ratios(found: _AccountsFound) -> dict[str, float]:
    def per_second(what: str, parallel: int) -> list[float]:
        return [load.per_second for load in found.loads[what, parallel]]

    ratios = {}
    for parallel in (ALONE, MANY):
        ratios[f"sign-ins / bare checks, {parallel} at once"] = median_ratio(
            per_second(SIGN_IN, parallel), found.hashes[parallel]
        )
        ratios[f"{ME} / {ANONYMOUS}, {parallel} at once"] = median_ratio(
            per_second(ME, parallel), per_second(ANONYMOUS, parallel)
        )
    return ratios


LIST = "/api/v1/recommendations"
UNCACHED, CACHED, SIGNED_IN = "uncached", "cached", "signed in only"
#: Every request reads the viewer from the database; the last one does nothing else.
PATHS = {UNCACHED: f"{LIST}?refresh=true", CACHED: LIST, SIGNED_IN: "/api/v1/users/me"}
CONNECTIONS = (1, 32)
MEDIAN_AT_MOST_MS = {
    (MOVIELENS, UNCACHED): 6.0,
    (SYNTHETIC, UNCACHED): 12.0,
    (MOVIELENS, CACHED): 1.5,
    (SYNTHETIC, CACHED): 1.5,
}

#: Keys: the name in PATHS and the number of connections.
Loads = Mapping[tuple[str, int], Sequence[Load]]


def run_recommendations(data: DataSets) -> Report:
    found: dict[str, Loads] = {}
    notes = []
    for name in data.rated:
        with data.opened(name) as home:
            home.manage("train", "--verbosity=0")
            tokens = home.call("viewers.issue_tokens", at_most=data.scale.tokens)
            viewers = [{"Authorization": f"Bearer {token}"} for token in tokens]
            with home.web() as port:
                sources = _sources(port, viewers[0])
                notes.append(f"{name}: {len(viewers):,} viewers in turn, lists from {sources}.")
                found[name] = _measure_recommendations(port, viewers, data.scale)
    return _report_recommendations(found, notes)


def _sources(port: int, viewer: Mapping[str, str]) -> str:
    """Name the models that a list comes from: a list of fallbacks alone would be fast."""
    body, _ = fetch(port, LIST, viewer)
    counts = Counter(item["source"] for item in json.loads(body)["items"])
    return ", ".join(f"{source} ({count})" for source, count in counts.items())


def _measure_recommendations(
    port: int, viewers: Sequence[Mapping[str, str]], scale: Scale
) -> Loads:
    def ask(path: str, connections: int, *, ignored: int = Job.ignored) -> Load:
        requests = [get(path, viewer) for viewer in viewers]
        return apply_load(Job(port, requests, connections, scale.seconds, ignored=ignored))

    ask(LIST, max(CONNECTIONS), ignored=len(viewers))  # after that every list is in the cache
    cases = {
        (what, connections): partial(ask, path, connections)
        for connections in CONNECTIONS
        for what, path in PATHS.items()
    }
    return alternate(cases, rounds=scale.rounds)


def _report_recommendations(found: Mapping[str, Loads], notes: Sequence[str]) -> Report:
    medians = {
        (name, *case): median_load(rounds)
        for name, loads in found.items()
        for case, rounds in loads.items()
    }
    return Report(
        name="recommendations",
        figures=[
            {"data": name, "list": what, "connections": connections, **row}
            for (name, what, connections), row in medians.items()
        ],
        ratios={
            f"{name}, {UNCACHED} / {CACHED}, time": median_ratio(
                [load.median_ms for load in loads[UNCACHED, 1]],
                [load.median_ms for load in loads[CACHED, 1]],
            )
            for name, loads in found.items()
        },
        targets=[
            Target(
                f"{name}: median ms, {what}, 1 connection",
                medians[name, what, 1]["median ms"],
                "at most",
                limit,
                "time",
            )
            for (name, what), limit in MEDIAN_AT_MOST_MS.items()
            if name in found
        ],
        rounds={
            f"{name}, {what}, {connections}": rounds
            for name, loads in found.items()
            for (what, connections), rounds in loads.items()
        },
        notes=notes,
    )
