"""Training from the database to the published release, beside `implicit` alone."""

from __future__ import annotations

from statistics import median
from typing import Any

from bench.data import MOVIELENS, RATINGS, DataSets
from bench.reporting import Cell, Report, Target, median_ratio

AT_MOST_TIMES = 1.25


def run(data: DataSets) -> Report:
    found = {name: _measure(data, name) for name in RATINGS}
    figures: list[dict[str, Cell]] = []
    for name, of in found.items():
        phases = [
            {"data": name, "what": f"  {phase}", "seconds": median(p[phase] for p in of["phases"])}
            for phase in of["phases"][0]
        ]
        figures += [
            {"data": name, "what": "training", "seconds": median(of["training"])},
            *phases,
            {"data": name, "what": "bare fit", "seconds": median(of["bare fit"])},
        ]
    ratios = {name: median_ratio(of["training"], of["bare fit"]) for name, of in found.items()}
    return Report(
        name="training",
        figures=figures,
        ratios={f"{name}: training / bare fit": ratio for name, ratio in ratios.items()},
        targets=[
            Target(f"{name}: training beside a bare fit", ratio, "at most", AT_MOST_TIMES)
            for name, ratio in ratios.items()
        ],
        rounds=found,
        notes=[
            f"{name}: {of['interactions']:,} interactions, fitted with {of['settings']}."
            for name, of in found.items()
        ],
    )


def _measure(data: DataSets, name: str) -> dict[str, Any]:
    scale = data.scale
    rounds = scale.rounds if name == MOVIELENS else scale.long_rounds
    with data.opened(name) as home:
        found: dict[str, Any] = home.call("training.measure_training", rounds=rounds)
        return found
