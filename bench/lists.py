"""Every list of films: each filter with each order and each query, on a large catalogue."""

from __future__ import annotations

from statistics import median
from typing import Any

from bench.data import CATALOGUE, DataSets
from bench.reporting import Cell, Report, Target

AT_MOST_MS = 20


def run(data: DataSets) -> Report:
    with data.opened(CATALOGUE) as home:
        found = home.call("lists.measure_lists", rounds=data.scale.list_rounds)
    for each in found:
        each["median"] = median(each["ms"])
    worst = max(found, key=lambda each: each["median"])
    return Report(
        name="lists",
        figures=_figures(found),
        targets=[
            Target("the slowest combination, ms", worst["median"], "at most", AT_MOST_MS),
            Target(
                "the median combination, ms",
                median(each["median"] for each in found),
                "at most",
                AT_MOST_MS,
            ),
            Target(
                "combinations that read a table to its end",
                sum(each["reads_table"] for each in found),
                "at most",
                0,
            ),
        ],
        rounds={_name(each): {k: each[k] for k in ("ms", "queries", "plans")} for each in found},
        notes=[
            f"The slowest: {_name(worst)}.",
            "GET /api/v1/movies within the process, 20 films a page, no kept answers. The columns "
            "are orders, in ms; `last` is the last page; `rounds` has what the plans read.",
        ],
    )


def _figures(found: list[dict[str, Any]]) -> list[dict[str, Cell]]:
    """A row for each filter and query, a column for each order."""
    rows: dict[tuple[str, str, str], dict[str, Cell]] = {}
    for each in found:
        key = (each["filter"], each["q"], each["page"])
        row = rows.setdefault(
            key,
            {
                "filter": each["filter"],
                "q": each["q"],
                "page": each["page"],
                "films": each["total"],
                "queries": each["queries"],
            },
        )
        row[each["sort"]] = each["median"]
    return list(rows.values())


def _name(each: dict[str, Any]) -> str:
    return ", ".join(str(each[name]) for name in ("filter", "q", "page", "sort") if each[name])
