from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from cinema.locks import single_run
from recommendations.movielens.files import Folder, NotMovieLens, open_folder
from recommendations.movielens.services import import_folder

#: Two imports at once would create the same films.
LOCK = "recommendations.import_movielens"


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a count")
    return int(text)


class Command(BaseCommand):
    help = "Import the films, viewers and ratings of a MovieLens folder. Can be repeated."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path, help="such as ml-latest-small, ml-32m or ml-100k")
        parser.add_argument(
            "--limit", type=_count, help="read only this many ratings from the start of the file"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            folder = open_folder(options["path"])
        except NotMovieLens as error:
            raise CommandError(str(error)) from error
        is_shown = options["verbosity"] > 0
        with single_run(LOCK) as acquired:
            if not acquired:
                raise CommandError("Another import is running. Wait until it ends.")
            try:
                summary = self._import(folder, options["limit"], is_shown=is_shown)
            except KeyboardInterrupt:
                raise CommandError("Interrupted. The same command goes on from here.") from None
        if is_shown:
            self.stdout.write(summary)

    def _import(self, folder: Folder, limit: int | None, *, is_shown: bool) -> str:
        in_bytes = {"total": folder.ratings.stat().st_size, "unit": "B", "unit_scale": True}
        in_lines = {"total": limit, "unit": " ratings"}
        measure: dict[str, Any] = in_bytes if limit is None else in_lines
        with tqdm(desc="ratings", disable=not is_shown, leave=False, **measure) as bar:

            def tell(text: str) -> None:
                with bar.external_write_mode():
                    self.stderr.write(text)

            def on_progress(n_lines: int, n_bytes: int) -> None:
                if limit is None:
                    bar.set_postfix_str(f"{n_lines:,} ratings", refresh=False)
                bar.update((n_bytes if limit is None else n_lines) - bar.n)

            return import_folder(folder, limit=limit, tell=tell, on_progress=on_progress)
