from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from cinema.backup.archive import BackupRefused
from cinema.backup.backups import back_up
from cinema.termination import exit_on_sigterm


class Command(BaseCommand):
    help = "Write database, uploads, releases and secret into one file, also while Cinema runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="such as cinema-2026-11-30.zip")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        shown = None if options["verbosity"] > 0 else True
        try:
            with (
                exit_on_sigterm(),
                tqdm(unit="B", unit_scale=True, leave=False, disable=shown) as bar,
            ):
                manifest = back_up(path, bar)
        except BackupRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        for name in manifest.missing:
            self.stderr.write(f"{name} does not exist, although a row names it.")
        rows = sum(table.rows for table in manifest.tables.values())
        self.stdout.write(
            f"{path}: {rows:,} rows of {len(manifest.tables)} tables and"
            f" {manifest.count('media/')} uploads, {path.stat().st_size / 1e6:,.1f} MB. It contains"
            " personal data and the secret: keep it as safe as the server."
        )
        if manifest.elsewhere:
            self.stdout.write(f"{len(manifest.elsewhere)} uploads stay in the bucket.")
