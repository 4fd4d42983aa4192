from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from cinema.backup.archive import BackupRefused
from cinema.backup.restoration import restore


class Command(BaseCommand):
    help = "Restore a backup into an empty CINEMA_HOME and an empty database."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", type=Path, metavar="FILE", help="a file that `backup` has written"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        shown = None if options["verbosity"] > 0 else True
        try:
            with (
                _not_running(),
                tqdm(unit="B", unit_scale=True, leave=False, disable=shown) as bar,
            ):
                manifest, notes = restore(options["file"], bar)
        except BackupRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        except OSError as error:
            raise CommandError(
                f"{error.filename or settings.CINEMA_HOME} cannot be written: {error.strerror}."
                " Repeat the command: it continues."
            ) from error
        rows = sum(table.rows for table in manifest.tables.values())
        self.stdout.write(
            f"Restored {rows:,} rows and {manifest.count('media/')} uploads of"
            f" {manifest.created_at:%Y-%m-%d %H:%M} UTC. Erase viewers again who were erased since."
        )
        for note in notes:
            self.stdout.write(note)


@contextmanager
def _not_running() -> Iterator[None]:
    """Keep `manage.py up` of this home from starting.

    Raises:
        CommandError: It runs.
    """
    if not settings.EMBEDDED_POSTGRES:
        yield
        return
    from cinema.development.embedded_servers import lock_file

    with lock_file(settings.CINEMA_HOME / "up.lock") as acquired:
        if not acquired:
            raise CommandError("Cinema is running in this home. Stop it first.")
        yield
