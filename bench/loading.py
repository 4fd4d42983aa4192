"""From Postgres to the matrix: how fast, beside the ORM, and how much memory it takes."""

from __future__ import annotations

from statistics import median
from typing import Any

from bench.data import RATINGS, SYNTHETIC, DataSets
from bench.reporting import Report, Target, median_ratio

PER_SECOND_AT_LEAST = 1_000_000
BEYOND_AT_MOST_BYTES = 24

OURS, ORM = "load_dataset", "the ORM"


def run(data: DataSets) -> Report:
    found = {name: _measure(data, name) for name in RATINGS}
    figures = [
        {
            "data": name,
            "interactions": int(of["resident"]["interactions"]),
            "load_dataset/s": median(of["rates"][OURS]),
            "ORM/s": median(of["rates"][ORM]),
            "features, s": median(of["rates"]["features, s"]),
            "matrices, B each": of["resident"]["matrices_bytes"],
            "beyond, B each (resident)": of["resident"]["beyond_bytes"],
            "beyond, B each (allocated)": of["allocated"]["beyond_bytes"],
        }
        for name, of in found.items()
    ]
    rates = {name: median(of["rates"][OURS]) for name, of in found.items()}
    # On a small table the blocks in which it is read, of a fixed size, would be most of it.
    large = found[SYNTHETIC]["resident"]["beyond_bytes"]
    return Report(
        name="loading",
        figures=figures,
        ratios={
            f"{name}: {OURS} / {ORM}": median_ratio(of["rates"][OURS], of["rates"][ORM])
            for name, of in found.items()
        },
        targets=[
            *(
                Target(f"{name}: interactions/s", rate, "at least", PER_SECOND_AT_LEAST)
                for name, rate in rates.items()
            ),
            Target(
                f"{SYNTHETIC}: bytes beyond the matrices, each",
                large,
                "at most",
                BEYOND_AT_MOST_BYTES,
            ),
        ],
        rounds=found,
    )


def _measure(data: DataSets, name: str) -> dict[str, Any]:
    scale = data.scale
    with data.opened(name) as home:
        return {
            "rates": home.call(
                "loading.measure_rates", rounds=scale.rounds, orm_rows=scale.orm_rows
            ),
            "resident": home.call("loading.measure_resident_memory"),
            "allocated": home.call("loading.measure_allocations"),
        }
