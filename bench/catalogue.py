"""Every list of films and screenings: each filter with each order and query, at scale."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.data import CATALOGUE, DataSets
from bench.homes import Home
from bench.reporting import Cell, Report, Target, alternate, median_ratio

LIST_AT_MOST_MS = 20


def run_lists(data: DataSets) -> Report:
    with data.opened(CATALOGUE) as home:
        found = home.call("endpoints.measure_lists", rounds=data.scale.list_rounds)
    for each in found:
        each["median"] = median(each["ms"])
    worst = max(found, key=lambda each: each["median"])
    return Report(
        name="lists",
        figures=_figures(found),
        targets=[
            Target(
                "the slowest combination, ms", worst["median"], "at most", LIST_AT_MOST_MS, "time"
            ),
            Target(
                "the median combination, ms",
                median(each["median"] for each in found),
                "at most",
                LIST_AT_MOST_MS,
                "time",
            ),
            Target(
                "combinations that read a table to its end",
                sum(each["reads_table"] for each in found),
                "at most",
                0,
            ),
        ],
        rounds={_name(each): {k: each[k] for k in ("ms", "first ms", "plans")} for each in found},
        notes=[
            f"The slowest: {_name(worst)}.",
            "GET /api/v1/movies and /screenings within the process, 20 a page, no kept answers. "
            "The columns are orders, in ms; `rounds` has what the plans read. `first ms` is the "
            "longest of the requests after a change of the catalogue, which count the rows anew; "
            "others know the number.",
        ],
    )


def _figures(found: list[dict[str, Any]]) -> list[dict[str, Cell]]:
    """A row for each filter and query, a column for each order."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for each in found:
        key = (each["filter"], each["q"], each["page"])
        row = rows.setdefault(
            key,
            {
                "filter": each["filter"],
                "q": each["q"],
                "page": each["page"],
                "rows": each["total"],
                "queries": each["queries"],
                "first ms": 0.0,
            },
        )
        row[each["sort"]] = each["median"]
        row["first ms"] = max(row["first ms"], each["first ms"])
    return list(rows.values())


def _name(each: dict[str, Any]) -> str:
    return ", ".join(str(each[name]) for name in ("filter", "q", "page", "sort") if each[name])


#: Milliseconds of a newly built answer, by the issue.
ENDPOINT_TARGETS = {"/programme": 30.0, "/movies/trending": 4.0, "/movies": 20.0}


def run_endpoints(data: DataSets) -> Report:
    with data.opened(CATALOGUE) as home:
        found = home.call("endpoints.measure_endpoints", rounds=data.scale.list_rounds)
    anew = {each["GET"]: median(each["anew"]) for each in found}
    return Report(
        name="endpoints",
        figures=[
            {
                "GET": each["GET"],
                "ms anew": median(each["anew"]),
                "ms kept": median(each["kept"]),
                "queries anew": each["queries_anew"],
                "queries kept": each["queries_kept"],
                "bytes": each["bytes"],
            }
            for each in found
        ],
        targets=[
            Target(f"{path} made anew, median ms", anew[path], "at most", limit, "time")
            for path, limit in ENDPOINT_TARGETS.items()
        ],
        rounds={each["GET"]: {"anew": each["anew"], "kept": each["kept"]} for each in found},
        notes=[
            "Within one process, through all middleware, without HTTP. `anew`: nothing is kept, in "
            "memory or in Valkey, as after a change. Queries count the look at the catalogue's "
            "version."
        ],
    )


FILMS = 10_000
IMPORT_AT_MOST_S = 20
IMPORT, AGAIN = "import_movies", "import_movies again, nothing to change"
CHANGE = "import_movies, all with another overview"
SHEET, EXPORT = "import_movies, from a spreadsheet", "export_movies"
COPY = "COPY of the same rows"


def run_importing(data: DataSets) -> Report:
    home = Home(data.root / "importing")
    with home.running():
        home.manage("migrate", "--verbosity=0")
        home.call("catalogue.fill_catalogue", films=FILMS, screenings=FILMS)
        measures = _ImportMeasures(home)
        found = alternate(
            {
                IMPORT: measures.import_all,
                AGAIN: measures.import_again,
                EXPORT: measures.export,
                CHANGE: measures.change_all,
                SHEET: measures.import_sheet,
                COPY: measures.copy,
            },
            rounds=data.scale.rounds,
        )
    return Report(
        name="importing",
        figures=[
            {
                "what": what,
                "films": FILMS,
                "seconds": median(seconds),
                "films/s": FILMS / median(seconds),
            }
            for what, seconds in found.items()
        ],
        ratios={f"{IMPORT} / {COPY}": median_ratio(found[IMPORT], found[COPY])},
        targets=[
            Target(f"{FILMS:,} films, seconds", median(found[IMPORT]), "at most", IMPORT_AT_MOST_S),
        ],
        rounds=found,
        notes=[
            "The commands from their start to their end, Python's and Django's included. COPY is "
            "one transaction in a process that runs already: it checks nothing, names no row "
            "that is wrong, and leaves what films are found by to a task."
        ],
    )


class _ImportMeasures:
    """Each returns seconds; those that need an empty catalogue empty it first."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lines, self._changed, self._sheet = (
            home.path / name for name in ("films.jsonl", "changed.jsonl", "films.csv")
        )
        for path in (self._lines, self._sheet):
            home.manage("export_movies", str(path), "--verbosity=0")
        home.call("catalogue.write_changed", source=str(self._lines), target=str(self._changed))
        home.call("catalogue.save_tables", folder=str(home.path))

    def import_all(self) -> float:
        return self._import(self._lines, empty=True)

    def import_again(self) -> float:
        return self._import(self._lines)

    def change_all(self) -> float:
        return self._import(self._changed)

    def import_sheet(self) -> float:
        return self._import(self._sheet, empty=True)

    def export(self) -> float:
        return self._manage("export_movies", str(self._home.path / "again.jsonl"))

    def copy(self) -> float:
        seconds: float = self._home.call("catalogue.measure_copy", folder=str(self._home.path))
        return seconds

    def _import(self, path: Path, *, empty: bool = False) -> float:
        if empty:
            self._home.call("catalogue.empty_catalogue")
        return self._manage("import_movies", str(path))

    def _manage(self, *arguments: str) -> float:
        started_at = time.perf_counter()
        self._home.manage(*arguments, "--verbosity=0")
        return time.perf_counter() - started_at
