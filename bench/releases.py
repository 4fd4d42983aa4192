"""What training a release costs: one million ratings, and twenty million."""

from __future__ import annotations

from typing import Any

from bench.data import DataSets
from bench.homes import Home
from bench.reporting import Cell, Report, Target

WITHIN_S = {"1 million": 60.0, "20 million": 600.0}
WITHIN_GB = {"20 million": 8.0}


def run(data: DataSets) -> Report:
    home = Home(data.root / "releases")
    home.path.mkdir()
    found: dict[str, Any] = {}
    for size, viewers, films, ratings in data.scale.peer_sizes:
        print(f"Training a release on {size} ratings ...", flush=True)
        found[size] = home.call(
            "releases.measure_release",
            viewers=viewers,
            films=films,
            ratings=ratings,
        )
    figures: list[dict[str, Cell]] = []
    for size, of in found.items():
        whole = {"data": size, "what": "release", "seconds": of["seconds"]}
        figures.append({**whole, "peak MB": of["peak bytes"] / 1e6})
        figures += [
            {"data": size, "what": f"  {phase}", "seconds": seconds}
            for phase, seconds in of["phases"].items()
        ]
    return Report(
        name="releases",
        figures=figures,
        ratios={},
        targets=[
            *(
                Target(f"{size}: seconds of a training", found[size]["seconds"], "at most", limit)
                for size, limit in WITHIN_S.items()
                if size in found
            ),
            *(
                Target(f"{size}: GB at most", found[size]["peak bytes"] / 1e9, "at most", limit)
                for size, limit in WITHIN_GB.items()
                if size in found
            ),
        ],
        rounds=found,
        notes=[
            f"{size}: left out {name}: {reason}"
            for size, of in found.items()
            for name, reason in of["left out"].items()
        ],
    )
