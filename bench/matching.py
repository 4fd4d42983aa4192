"""Viewers of similar taste: all at night, and the one who acts at once."""

from __future__ import annotations

from statistics import median
from typing import Any

from bench.data import MOVIELENS, RATINGS, SYNTHETIC, DataSets
from bench.reporting import Cell, Report, Target

NIGHT_AT_MOST_S = 600
#: With the data of 100,000 viewers and ten million interactions.
MEMORY_AT_MOST_GB = 2.0
NEW_MATCHES_AT_MOST_MS = {MOVIELENS: 5.0, SYNTHETIC: 15.0}


def run(data: DataSets) -> Report:
    found = {name: _measure(data, name) for name in RATINGS}
    figures: list[dict[str, Cell]] = []
    targets = []
    for name, of in found.items():
        at_once = {what: median(ms) for what, ms in of["ms"].items()}
        figures += [{"data": name, "what": what, "ms": ms} for what, ms in at_once.items()]
        figures.append({
            "data": name,
            "what": "all viewers",
            "seconds": of["seconds"],
            "peak GB": of["peak_bytes"] / 1e9,
        })  # fmt: skip
        targets += [
            Target(f"{name}: all viewers, s", of["seconds"], "at most", NIGHT_AT_MOST_S),
            Target(f"{name}: peak, GB", of["peak_bytes"] / 1e9, "at most", MEMORY_AT_MOST_GB),
            Target(
                f"{name}: new matches of a word, ms",
                at_once["new matches"],
                "at most",
                NEW_MATCHES_AT_MOST_MS[name],
            ),
        ]
    return Report(
        name="matching",
        figures=figures,
        targets=targets,
        rounds=found,
        notes=[
            f"{name}: {of['viewers']:,} viewers, of whom {of['matched']:,} match somebody; "
            f"{of['rows']:,} rows of neighbours."
            for name, of in found.items()
        ]
        + ["The time of all viewers is from reading the data to the last row written."],
    )


def _measure(data: DataSets, name: str) -> dict[str, Any]:
    with data.opened(name) as home:
        home.call("matching.agree")
        night: dict[str, Any] = home.call("matching.match_viewers")
        home.call("matching.publish")
        return {**night, **home.call("matching.measure_at_once", viewers=200)}
