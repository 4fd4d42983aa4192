"""10,000 films from a file into the catalogue, and out of it again."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from bench.data import DataSets
from bench.homes import Home
from bench.reporting import Report, Target, alternate, median_ratio

FILMS = 10_000
AT_MOST_S = 20
IMPORT, AGAIN = "import_movies", "import_movies again, nothing to change"
CHANGE = "import_movies, all with another overview"
SHEET, EXPORT = "import_movies, from a spreadsheet", "export_movies"
COPY = "COPY of the same rows"


def run(data: DataSets) -> Report:
    home = Home(data.root / "importing")
    with home.running():
        home.manage("migrate", "--verbosity=0")
        home.call("catalogue.fill_catalogue", films=FILMS, screenings=FILMS)
        measures = _Measures(home)
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
            Target(f"{FILMS:,} films, seconds", median(found[IMPORT]), "at most", AT_MOST_S),
        ],
        rounds=found,
        notes=[
            "The commands from their start to their end, Python's and Django's included. COPY is "
            "one transaction in a process that runs already: it checks nothing, names no row "
            "that is wrong, and leaves what films are found by to a task."
        ],
    )


class _Measures:
    """Each returns seconds; those that need an empty catalogue empty it first."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lines, self._changed, self._sheet = (
            home.path / name for name in ("films.jsonl", "changed.jsonl", "films.csv")
        )
        for path in (self._lines, self._sheet):
            home.manage("export_movies", str(path), "--verbosity=0")
        home.call("importing.write_changed", source=str(self._lines), target=str(self._changed))
        home.call("importing.save_tables", folder=str(home.path))

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
        seconds: float = self._home.call("importing.measure_copy", folder=str(self._home.path))
        return seconds

    def _import(self, path: Path, *, empty: bool = False) -> float:
        if empty:
            self._home.call("importing.empty_catalogue")
        return self._manage("import_movies", str(path))

    def _manage(self, *arguments: str) -> float:
        started_at = time.perf_counter()
        self._home.manage(*arguments, "--verbosity=0")
        return time.perf_counter() - started_at
