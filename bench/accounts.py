"""Signing in beside a bare check of the password's hash; signed-in requests beside others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.data import PROGRAMME, DataSets
from bench.homes import Home
from bench.load import Job, Load, apply_load, get, median_load, post
from bench.reporting import Cell, Report, Target, median_ratio
from bench.scale import Scale

SIGN_IN, SIGNED_IN, ANONYMOUS = "POST /auth/login", "GET /users/me", "GET /genres"
#: Connections, or threads of a bare check: 16 are all that `make run` has for requests.
ALONE, MANY = 1, 16
VIEWERS = 64
#: Before what counts; a sign-in takes as long as a hundred other requests.
IGNORED = {SIGN_IN: 8, SIGNED_IN: 200, ANONYMOUS: 200}
#: By the issue: signature and claims.
TOKEN_AT_MOST_MS = 0.2


@dataclass(frozen=True)
class _Found:
    """What was measured, round by round.

    Attributes:
        loads: By what was asked for, and over how many connections.
        hashes: Bare checks of a hash a second, by how many threads made them.
        checks: Milliseconds of a token's check, without and with the query for its session.
    """

    loads: Mapping[tuple[str, int], Sequence[Load]]
    hashes: Mapping[int, Sequence[float]]
    checks: Mapping[str, Sequence[float]]


def run(data: DataSets) -> Report:
    scale = data.scale
    with data.opened(PROGRAMME) as home:
        accounts = home.call("accounts.open_accounts", viewers=VIEWERS)
        checks = home.call("accounts.check_tokens", rounds=scale.rounds)
        with home.web() as port:
            rounds = [_measure(home, port, accounts, scale) for _ in range(scale.rounds)]
    found = _Found(
        {case: [loads[case] for loads, _ in rounds] for case in rounds[0][0]},
        {threads: [hashes[threads] for _, hashes in rounds] for threads in (ALONE, MANY)},
        checks,
    )
    return _report(found, accounts["hash"])


def _measure(
    home: Home, port: int, accounts: Mapping[str, Any], scale: Scale
) -> tuple[dict[tuple[str, int], Load], dict[int, float]]:
    """One round: everything in turn, so that a bare check stands beside each sign-in."""
    requests = {
        SIGN_IN: [post("/api/v1/auth/login", payload) for payload in accounts["sign_ins"]],
        SIGNED_IN: [
            get("/api/v1/users/me", {"Authorization": f"Bearer {token}"})
            for token in accounts["tokens"]
        ],
        ANONYMOUS: [get("/api/v1/genres")],
    }
    loads, hashes = {}, {}
    for parallel in (ALONE, MANY):
        hashes[parallel] = home.call(
            "accounts.verify_passwords", seconds=scale.seconds, threads=parallel
        )
        for what, sent in requests.items():
            job = Job(port, sent, parallel, scale.seconds, ignored=IGNORED[what])
            loads[what, parallel] = apply_load(job)
    return loads, hashes


def _report(found: _Found, parameters: str) -> Report:
    token_ms = median(found.checks["token"])
    return Report(
        name="accounts",
        figures=_rows(found),
        ratios=_ratios(found),
        targets=[Target("check of a token, median ms", token_ms, "at most", TOKEN_AT_MOST_MS)],
        rounds={
            **{f"{what}, {parallel}": loads for (what, parallel), loads in found.loads.items()},
            **{f"bare checks a second, {n}": rates for n, rates in found.hashes.items()},
            **{f"check of a {what}, ms": rounds for what, rounds in found.checks.items()},
        },
        notes=[
            f"The hash: {parameters} (memory in KiB, for each check that is under way).",
            "The limits are so high that they refuse nobody; what they cost is measured.",
        ],
    )


def _rows(found: _Found) -> list[dict[str, Cell]]:
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


def _ratios(found: _Found) -> dict[str, float]:
    def per_second(what: str, parallel: int) -> list[float]:
        return [load.per_second for load in found.loads[what, parallel]]

    ratios = {}
    for parallel in (ALONE, MANY):
        ratios[f"sign-ins / bare checks, {parallel} at once"] = median_ratio(
            per_second(SIGN_IN, parallel), found.hashes[parallel]
        )
        ratios[f"{SIGNED_IN} / {ANONYMOUS}, {parallel} at once"] = median_ratio(
            per_second(SIGNED_IN, parallel), per_second(ANONYMOUS, parallel)
        )
    return ratios
