from __future__ import annotations

import gzip
from argparse import ArgumentParser
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO, cast

from django.core.management.base import BaseCommand
from django.db import transaction
from tqdm import tqdm

from cinema.command_output import STDOUT, opened_output
from movies.importing.files import csv_lines, json_lines
from movies.models import Movie

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
            "--format", choices=("jsonl", "csv"), help="default: csv for a file named *.csv"
        )
        parser.add_argument(
            "--separator", choices=SEPARATORS, default="comma", help="between the cells of a CSV"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name: str = options["file"]
        default = "csv" if name.removesuffix(".gz").endswith(".csv") else "jsonl"
        is_csv = (options["format"] or default) == "csv"
        is_shown = options["verbosity"] > 0 and name != STDOUT
        # Outside a transaction the server would materialise the whole result first.
        with (
            transaction.atomic(),
            opened_output(name, self.stdout) as file,
            _packing(file, name) as target,
        ):
            lines = csv_lines(SEPARATORS[options["separator"]]) if is_csv else json_lines()
            bar = tqdm(
                lines,
                desc="films",
                total=Movie.objects.published().count() + is_csv,
                leave=False,
                disable=None if is_shown else True,
            )
            for line in bar:
                target.write(line)


def _packing(file: BinaryIO, name: str) -> AbstractContextManager[BinaryIO]:
    if not name.endswith(".gz"):
        return nullcontext(file)
    # The archive has no name and no time, so that the same films give the same bytes.
    return cast("AbstractContextManager[BinaryIO]", gzip.GzipFile("", "wb", fileobj=file, mtime=0))
