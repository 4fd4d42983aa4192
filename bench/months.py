"""Impressions in months beside one plain table, at three sizes."""

from __future__ import annotations

from bench.data import DataSets
from bench.homes import Home
from bench.reporting import Report

#: Impressions of one viewer in the time that they are kept.
EACH = 100


def run(data: DataSets) -> Report:
    found = []
    for rows in data.scale.impressions:
        home = Home(data.root / f"months-{rows}")
        try:
            with home.running():
                home.manage("migrate", "--verbosity=0")
                found += home.call("months.measure", rows=rows, viewers=rows // EACH)
        finally:
            home.remove()
    return Report(
        name="months",
        figures=found,
        targets=[],
        notes=[
            "Old rows: a month is dropped; of the plain table at most a million rows are deleted, "
            "10,000 at a time, and their room is made free by VACUUM."
        ],
    )
