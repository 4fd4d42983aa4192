from __future__ import annotations

import gzip
import os
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from tqdm import tqdm

from movies.importing.files import count_films, csv_lines, json_lines

STDOUT = "-"
SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}


class Command(BaseCommand):
    help = "Write all films to a file that `import_movies` reads."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file",
            nargs="?",
            default=STDOUT,
            help="packed if it ends in .gz; default: standard output",
        )
        parser.add_argument(
            "--format", choices=("jsonl", "csv"), help="default: csv for a file called so"
        )
        parser.add_argument(
            "--separator", choices=SEPARATORS, default="comma", help="between the cells of a CSV"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name: str = options["file"]
        default = "csv" if name.removesuffix(".gz").endswith(".csv") else "jsonl"
        is_csv = (options["format"] or default) == "csv"
        is_shown = options["verbosity"] > 0 and name != STDOUT
        try:
            # Outside a transaction the server would materialise the whole result first.
            with transaction.atomic(), self._target(name) as file, _packing(file, name) as target:
                lines = csv_lines(SEPARATORS[options["separator"]]) if is_csv else json_lines()
                bar = tqdm(
                    lines,
                    desc="films",
                    total=count_films() + is_csv,
                    leave=False,
                    disable=None if is_shown else True,
                )
                for line in bar:
                    target.write(line)
        except BrokenPipeError:
            # The reader has closed the pipe. Python would complain again when it closes its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stdout().fileno())
        except OSError as error:
            raise CommandError(f"{name} cannot be written: {error.strerror}.") from error

    def _stdout(self) -> BinaryIO:
        return cast("BinaryIO", self.stdout.buffer)

    @contextmanager
    def _target(self, name: str) -> Iterator[BinaryIO]:
        """Write to a temporary file that replaces the target when it is complete."""
        path = Path(name).resolve()
        if name == STDOUT:
            yield self._stdout()
            self._stdout().flush()
        elif path.exists() and not path.is_file():  # a pipe, or /dev/null
            with path.open("wb") as file:
                yield file
        else:
            part = path.with_name(f"{path.name}.part")
            try:
                with part.open("wb") as file:
                    yield file
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)


def _packing(file: BinaryIO, name: str) -> AbstractContextManager[BinaryIO]:
    if not name.endswith(".gz"):
        return nullcontext(file)
    # Without a name and a time the same films give the same bytes.
    return cast("AbstractContextManager[BinaryIO]", gzip.GzipFile("", "wb", fileobj=file, mtime=0))
