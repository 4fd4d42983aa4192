"""Restore a backup into an empty home and an empty database."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NoReturn

from django.conf import settings
from django.core.cache import cache
from django.core.management import call_command
from tqdm import tqdm

from cinema.backup import tables
from cinema.backup.archive import SECRET, Archive, BackupRefused, Manifest
from cinema.home import FILE_MODE, make_home, unfinished_restore
from cinema.locks import single_run
from recommendations.viewer_figures import refresh_summary


def restore(path: Path, bar: tqdm[NoReturn]) -> tuple[Manifest, list[str]]:
    """Restore the backup; returns its manifest, and what the operator must know.

    A restore that was interrupted is repeated by the same call.

    Raises:
        BackupRefused: The file is no good backup, or there are data already. Nothing is written.
        OSError: The files cannot be written.
    """
    archive = Archive(path)
    manifest = archive.manifest
    files = [name for name in manifest.parts if name.startswith(("releases/", "media/"))]
    bar.reset(2 * manifest.bytes_of(""))
    bar.set_description("checking the backup")
    archive.verify(bar.update)
    with single_run("cinema.prepare") as acquired:
        if not acquired:
            raise BackupRefused("Another process is preparing the database. Wait for its end.")
        is_loaded = _check_place(manifest)
        if not is_loaded:
            tables.migrate_to(manifest.migrations)
            _check_columns(manifest)
        _write_private(unfinished_restore(settings.CINEMA_HOME), [str(manifest.id).encode()])
        notes = _restore_secret(b"".join(archive.chunks(SECRET, bar.update)).decode())
        for name in files:
            bar.set_description(name.partition("/")[0])
            _write_private(_place_of(name), archive.chunks(name, bar.update))
        if not is_loaded:
            _fill_tables(archive, bar)
        call_command("migrate", verbosity=0, interactive=False)
        refresh_summary()
        cache.clear()
        unfinished_restore(settings.CINEMA_HOME).unlink()
    return manifest, notes + _notes(manifest)


def _check_place(manifest: Manifest) -> bool:
    """Whether an interrupted restore of this backup has filled the tables already.

    Raises:
        BackupRefused: The home or the database has data, or the files do not fit on the disk.
    """
    home = Path(settings.CINEMA_HOME)
    make_home(home)
    marker = unfinished_restore(home)
    is_repeated = marker.exists() and marker.read_text() == str(manifest.id)
    if not is_repeated:
        for place in (home / "releases", Path(settings.MEDIA_ROOT)):
            if place.is_dir() and any(place.iterdir()):
                raise BackupRefused(f"{place} has files. Restore into an empty CINEMA_HOME.")
    if is_repeated and tables.is_restored(manifest.id):
        return True
    if filled := tables.filled_tables():
        raise BackupRefused(
            f"The database has data: {', '.join(filled[:5])}. Restore into an empty one."
        )
    needed = manifest.bytes_of("releases/", "media/")
    # Rows with their indexes take about twice the room of their copies.
    needed += 2 * manifest.bytes_of("tables/") if settings.EMBEDDED_POSTGRES else 0
    if (free := shutil.disk_usage(home).free) < needed:
        raise BackupRefused(
            f"The backup needs {needed / 1e6:,.0f} MB, and {home} has {free / 1e6:,.0f} MB free."
        )
    return False


def _check_columns(manifest: Manifest) -> None:
    """Raises BackupRefused if the archive has other tables or columns than its migrations make."""
    expected = {table: tables.columns(table) for table in tables.tables()}
    if expected != {table: copied.columns for table, copied in manifest.tables.items()}:
        raise BackupRefused("The backup has other tables or columns than its version of Cinema.")
    known = {(sequence.table, sequence.column) for sequence in tables.sequences(list(expected))}
    if known != {(sequence.table, sequence.column) for sequence in manifest.sequences}:
        raise BackupRefused("The backup has other sequences than its version of Cinema.")


def _fill_tables(archive: Archive, bar: tqdm[NoReturn]) -> None:
    copies = archive.manifest.tables
    with tables.emptied(list(copies), archive.manifest.id):
        for table, copied in copies.items():
            bar.set_description(table)
            chunks = archive.chunks(f"tables/{table}", bar.update)
            tables.copy_in(table, copied.columns, chunks)
            if tables.count_rows(table) != copied.rows:
                raise BackupRefused(f"{table} has another number of rows than the backup lists.")
        for sequence in archive.manifest.sequences:
            tables.set_sequence(sequence)
    tables.analyze(list(copies))


def _restore_secret(secret: str) -> list[str]:
    """Put the secret into the home, unless the environment gives one; returns what to know."""
    file = Path(settings.CINEMA_HOME) / SECRET
    if file.exists() and file.read_text() == settings.SECRET_KEY:
        _write_private(file, [secret.encode()])
        return []
    if secret == settings.SECRET_KEY:
        return []
    return [
        "SECRET_KEY is another one than the backup's, so all sign-ins have ended. To keep them, set"
        " SECRET_KEY to what `unzip -p FILE secret-key` prints."
    ]


def _place_of(part: str) -> Path:
    kind, _, name = part.partition("/")
    root = settings.MEDIA_ROOT if kind == "media" else Path(settings.CINEMA_HOME) / "releases"
    return Path(root) / name


def _write_private(file: Path, chunks: Iterable[bytes]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with open(file, "xb", opener=partial(os.open, mode=FILE_MODE)) as target:
        for chunk in chunks:
            target.write(chunk)


def _notes(manifest: Manifest) -> list[str]:
    """Sentences for the operator about files that are missing or elsewhere."""
    notes = [f"{name} was missing when the backup was made." for name in manifest.missing]
    if manifest.elsewhere and not settings.MEDIA_BUCKET:
        notes.append("Posters and trailers are in the bucket of the old server: set MEDIA_BUCKET.")
    if settings.MEDIA_BUCKET and manifest.bytes_of("media/"):
        notes.append(f"Copy posters and trailers from {settings.MEDIA_ROOT} into the bucket.")
    return notes
