from __future__ import annotations

import csv
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError
from tqdm import tqdm

from cinema.audit.recording import recording_as
from movies.importing.files import STDIN, InputFile, guarded, opened
from movies.importing.schemas import RefusedMovieRow, Result
from movies.importing.services import import_all
from movies.importing.tables import UnusableFile

#: The number of rows of each outcome that are printed; `--verbosity 2` prints all.
MAX_PRINTED = 100
VALUE_LENGTH = 60
REPORT_COLUMNS = ("line", "field", "message", "movie_id")

Report = Callable[[RefusedMovieRow], None]


class Command(BaseCommand):
    help = "Import the films of a file: JSON Lines or CSV. Can be repeated."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help=f"may be packed by gzip; {STDIN} is standard input")
        parser.add_argument(
            "--dry-run", action="store_true", help="write nothing, and print what would change"
        )
        parser.add_argument(
            "--report", type=Path, metavar="FILE", help="list the refused rows there, as CSV"
        )
        parser.add_argument(
            "--ignore-unknown",
            action="store_true",
            help="leave out columns that are not fields of a film",
        )
        parser.add_argument(
            "--clear-empty",
            action="store_true",
            help="an empty cell of a CSV empties the field; by default the field stays",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._options = options
        #: The number of rows by outcome.
        self._count: Counter[str] = Counter()
        self._left_out: list[str] = []
        try:
            with (
                opened(options["file"]) as file,
                _opened_report(options["report"], options["file"]) as report,
                recording_as(via="command", path="import_movies"),
            ):
                self._import(file, report)
        except UnusableFile as error:
            raise CommandError(f"{options['file']} {error}{self._so_far()}") from error
        except KeyboardInterrupt:
            reason = f"Interrupted: the same command goes on from here.{self._so_far()}"
            raise CommandError(reason) from None
        except OperationalError as error:
            reason = f"The database failed: {error}. The same command goes on from here."
            raise CommandError(reason + self._so_far()) from error
        if options["verbosity"] > 0:
            self.stdout.write(self._summary())
        if refused := self._count["refused"]:
            raise CommandError(f"Rows refused: {refused:,}.")

    def _import(self, file: InputFile, report: Report) -> None:
        options = self._options
        rows = file.rows(
            ignore_unknown=options["ignore_unknown"], clear_empty=options["clear_empty"]
        )
        bar = tqdm(
            desc="films",
            total=file.size_bytes,
            unit="B",
            unit_scale=True,
            leave=False,
            # With None the bar is shown on terminals only.
            disable=None if options["verbosity"] > 0 else True,
        )
        with bar, closing(rows):
            for result in import_all(rows, dry_run=options["dry_run"]):
                outcome = "refused" if isinstance(result, RefusedMovieRow) else result.outcome
                self._count[outcome] += 1
                if isinstance(result, RefusedMovieRow):
                    report(result)
                for line in self._lines(result, outcome, file.name):
                    with bar.external_write_mode():
                        out = self.stderr if outcome == "refused" else self.stdout
                        out.write(line)
                bar.update(file.position_bytes - bar.n)
        self._left_out = file.left_out

    def _lines(self, result: Result, outcome: str, name: str) -> Iterator[str]:
        """Yield the lines that are printed for a row."""
        verbosity, dry_run = self._options["verbosity"], self._options["dry_run"]
        verbose = verbosity > 1
        is_change_printed = verbose or (dry_run and verbosity > 0)
        if outcome == "unchanged" or (outcome != "refused" and not is_change_printed):
            return
        if verbose or self._count[outcome] <= MAX_PRINTED:
            yield f"{name}:{result.row}: {_described(result)}"
        elif self._count[outcome] == MAX_PRINTED + 1:
            yield f"... more rows {outcome}: --verbosity 2 tells of all"

    def _so_far(self) -> str:
        return f" {self._summary()}" if self._count else ""

    def _summary(self) -> str:
        count = self._count
        left_out = ", ".join(repr(name[:40]) for name in self._left_out)
        return (
            f"{'Dry run: nothing is written. ' if self._options['dry_run'] else ''}"
            f"Films: {count['created']:,} created, {count['updated']:,} updated, "
            f"{count['unchanged']:,} unchanged. Rows refused: {count['refused']:,}."
            f"{f' Left out: {left_out}.' if left_out else ''}"
        )


@contextmanager
def _opened_report(path: Path | None, source: str) -> Iterator[Report]:
    """Yield a function that writes refused rows; without a path it writes nothing."""
    if path is None:
        yield lambda refused: None
        return
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise CommandError("The report would overwrite the films.")
    try:
        file = path.open("w", encoding="utf-8-sig", newline="")
    except OSError as error:
        raise CommandError(f"The report {path} cannot be written: {error.strerror}.") from error
    with file:
        writer = csv.writer(file)
        writer.writerow(REPORT_COLUMNS)

        def write(refused: RefusedMovieRow) -> None:
            for error in refused.errors:
                row = (refused.row, error.field, error.message, refused.movie_id or "")
                writer.writerow([guarded(str(cell)) for cell in row])

        yield write


def _described(result: Result) -> str:
    if isinstance(result, RefusedMovieRow):
        return result.reason
    movie = result.movie
    if result.outcome == "created":
        return f"create {_shown(result.name)}, {movie.start_date}"
    changes = (
        f"{name} {_shown(old)} → {_shown(new)}" for name, (old, new) in result.changes.items()
    )
    which = f"movie {movie.pk}" if movie.pk else "the one to create"
    return f"change {which}, {_shown(result.name)}: {'; '.join(changes)}"


def _shown(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= VALUE_LENGTH else f"{text[:VALUE_LENGTH]}…"
