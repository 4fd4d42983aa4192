"""What it costs to take note of what viewers are shown and open."""

from __future__ import annotations

from statistics import median

from bench.data import MOVIELENS, DataSets
from bench.reporting import Cell, Report, Target, median_ratio

#: By the issue.
NOTED_AT_MOST_MS = 0.3


def run(data: DataSets) -> Report:
    with data.opened(MOVIELENS) as home:
        home.manage("train", "--verbosity=0")
        asked = home.call("impressions.measure_requests", rounds=data.scale.rounds)
        stored = home.call("impressions.measure_storing", rounds=data.scale.rounds)
    return _report(asked, stored)


def _report(asked: dict[str, list[float]], stored: list[float]) -> Report:
    medians = {what: median(rounds) for what, rounds in asked.items()}
    figures: list[dict[str, Cell]] = [
        {"what": what, "median ms": found} for what, found in medians.items()
    ]
    return Report(
        name="impressions",
        figures=[*figures, {"what": "stored by the task", "a second": median(stored)}],
        ratios={
            "a new list, noted / not noted": median_ratio(
                asked["a new list, noted"], asked["a new list, not noted"]
            )
        },
        targets=[
            Target("to note a batch of 20, ms", medians["a batch"], "at most", NOTED_AT_MOST_MS),
            Target("to note a click, ms", medians["a click"], "at most", NOTED_AT_MOST_MS),
        ],
        rounds={**asked, "stored a second": stored},
        notes=["Within one process, without HTTP, with Valkey and Postgres on the same machine."],
    )
