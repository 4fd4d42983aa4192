"""`GET /recommendations`: made anew for each request, and from the cache."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from bench.data import MOVIELENS, RATINGS, SYNTHETIC, DataSets
from bench.homes import fetch
from bench.load import Job, Load, apply_load, get, median_load
from bench.reporting import Report, Target, alternate, median_ratio
from bench.scale import Scale

LIST = "/api/v1/recommendations"
UNCACHED, CACHED, SIGNED_IN = "uncached", "cached", "signed in only"
#: Every request reads the viewer from the database; the last one does nothing else.
PATHS = {UNCACHED: f"{LIST}?refresh=true", CACHED: LIST, SIGNED_IN: "/api/v1/users/me"}
CONNECTIONS = (1, 32)
MEDIAN_AT_MOST_MS = {MOVIELENS: 5.0, SYNTHETIC: 15.0}

#: By what of PATHS is asked for, and over how many connections.
Loads = Mapping[tuple[str, int], Sequence[Load]]


def run(data: DataSets) -> Report:
    found: dict[str, Loads] = {}
    notes = []
    for name in RATINGS:
        with data.opened(name) as home:
            home.manage("train", "--verbosity=0")
            tokens = home.call("viewers.issue_tokens", at_most=data.scale.tokens)
            viewers = [{"Authorization": f"Bearer {token}"} for token in tokens]
            with home.web() as port:
                sources = _sources(port, viewers[0])
                notes.append(f"{name}: {len(viewers):,} viewers in turn, lists from {sources}.")
                found[name] = _measure(port, viewers, data.scale)
    return _report(found, notes)


def _sources(port: int, viewer: Mapping[str, str]) -> str:
    """Which models a list comes from; one of fallbacks alone would be fast and say little."""
    body, _ = fetch(port, LIST, viewer)
    counts = Counter(item["source"] for item in json.loads(body)["items"])
    return ", ".join(f"{source} ({count})" for source, count in counts.items())


def _measure(port: int, viewers: Sequence[Mapping[str, str]], scale: Scale) -> Loads:
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


def _report(found: Mapping[str, Loads], notes: Sequence[str]) -> Report:
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
                f"{name}: median ms, {UNCACHED}, 1 connection",
                medians[name, UNCACHED, 1]["median ms"],
                "at most",
                MEDIAN_AT_MOST_MS[name],
            )
            for name in found
        ],
        rounds={
            f"{name}, {what}, {connections}": rounds
            for name, loads in found.items()
            for (what, connections), rounds in loads.items()
        },
        notes=notes,
    )
