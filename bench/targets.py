"""The targets of all benchmarks of a run in one table, beside a bare view measured meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

from bench.data import PROGRAMME, DataSets
from bench.homes import Home
from bench.load import Job, apply_load, get
from bench.programme import BARE, BARE_APPLICATION, BARE_PATH, CONNECTIONS, bare_web
from bench.reporting import Cell, Report

#: Answers of the bare view when the limits of issue 14 were set.
BARE_PER_SECOND = 7_993


def bare_per_second(data: DataSets) -> float:
    """Answers of a bare view in a bare project, with the options of `make run`."""
    home = Home(data.root / PROGRAMME)
    if not (home.path / "programme.json").exists():
        with data.opened(PROGRAMME), home.web() as port, bare_web(home, port):
            pass
    with home.web(BARE_APPLICATION) as port:
        job = Job(port, [get(BARE_PATH)], CONNECTIONS, data.scale.seconds)
        return apply_load(job).per_second


def summary(reports: Sequence[Report], bare: Sequence[float]) -> Report:
    """All targets of the reports.

    Args:
        bare: Answers a second of the bare view before the first report and after each.
    """
    rows: list[dict[str, Cell]] = []
    for report, around in zip(reports, pairwise(bare), strict=True):
        speed = fmean(around) / BARE_PER_SECOND
        for target in report.targets:
            scaled = replace(target, limit=target.limit_at(speed))
            rows.append(
                {
                    "target": f"{report.name}: {target.what}",
                    "measured": target.measured,
                    "": target.bound,
                    "limit": target.limit,
                    "machine": speed,
                    "limit there": scaled.limit,
                    " ": "met" if scaled.met else "MISSED",
                }
            )
    return Report(
        name="targets",
        figures=rows,
        targets=[],
        rounds={f"{BARE}, answers/s": bare},
        notes=[
            f"`machine` is the speed of the {BARE} before and after each benchmark, as a part of "
            f"the {BARE_PER_SECOND:,} answers a second of the machine that the limits are from. "
            "`limit there` scales the limits of times and rates with it, and decides."
        ],
    )
