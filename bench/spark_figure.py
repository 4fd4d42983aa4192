"""`python -m bench.spark_figure`: `docs/images/spark.svg` from `results/spark.json`.

It shows runs with one sweep of ALS, of each size and number of workers the last one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.homes import REPOSITORY
from bench.line_figure import line_panel
from bench.quality_figure import figure

RESULTS = Path(__file__).parent / "results" / "spark.json"
FIGURE = REPOSITORY / "docs" / "images" / "spark.svg"
#: Interactions of the panel that compares numbers of workers, and workers of the others.
RATINGS, WORKERS = 10_000_000, 2
ALS, PRODUCTS, MATCHES = "ALS, a sweep", "EASE's products", "matches"
FITTED, CPU = "ALS, a sweep, and EASE's products", "Steps with matches of 20,000 viewers"
Run = Mapping[str, float]


def draw(rows: Sequence[Mapping[str, Any]], path: Path = FIGURE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_svg(rows))


def as_svg(rows: Sequence[Mapping[str, Any]]) -> str:
    runs = {
        (row["workers"], row["ratings"]): _seconds(row)
        for row in rows
        if row["sweeps"] == 1 and not row.get("killed")
    }
    return figure(
        "Seconds of training steps on Spark and in one process, by workers and by interactions",
        [
            _by_workers(runs),
            _by_ratings(runs, FITTED, "seconds"),
            _by_ratings(runs, CPU, "seconds of CPU, of all processes"),
        ],
    )


def _seconds(row: Mapping[str, Any]) -> Run:
    """The seconds of a run with one sweep, by what the panels show."""
    found = {ALS: row["ALS"], PRODUCTS: row["EASE's products"]}
    found[FITTED] = sum(found.values())
    if "matches" in row:
        found |= {MATCHES: row["matches"], CPU: row["CPU s"] + row.get("workers' CPU s", 0)}
    return found


def _by_workers(runs: Mapping[tuple[int, int], Run]) -> Iterator[str]:
    measured = sorted(workers for workers, ratings in runs if ratings == RATINGS)
    return line_panel(
        f"{RATINGS // 1_000_000} million interactions",
        "workers",
        "seconds",
        {
            step: [(workers, runs[workers, RATINGS][step]) for workers in measured]
            for step in (ALS, PRODUCTS, MATCHES)
        },
        {workers: f"{workers}" if workers else "one process" for workers in measured},
    )


def _by_ratings(runs: Mapping[tuple[int, int], Run], what: str, y_title: str) -> Iterator[str]:
    return line_panel(
        what,
        "million interactions",
        y_title,
        {
            title: sorted(
                (ratings / 1e6, run[what])
                for (count, ratings), run in runs.items()
                if count == workers and what in run
            )
            for title, workers in ((f"Spark, {WORKERS} workers", WORKERS), ("one process", 0))
        },
    )


if __name__ == "__main__":
    draw(json.loads(RESULTS.read_text()))
