"""Make a backup while Cinema runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

from django.conf import settings
from django.utils import timezone
from tqdm import tqdm

from cinema import __version__
from cinema.backup import tables
from cinema.backup.archive import (
    SECRET,
    ArchiveWriter,
    BackupRefused,
    Manifest,
    TableCopy,
    file_chunks,
    new_file,
)
from cinema.locks import single_run
from movies.media.files import POSTER_EXTENSIONS, rendition_name
from movies.models import Movie
from recommendations import release_bucket
from recommendations.engine.artifacts import ArtifactError
from recommendations.models import Release

#: A training may delete the files of an old release after the snapshot. Then a new snapshot is
#: taken, in which that release has no files. What is still missing in the last one is lost.
ATTEMPTS = 3


class FilesMissing(Exception):
    """Rows of the snapshot name files that do not exist."""


def back_up(path: Path, bar: tqdm[NoReturn]) -> Manifest:
    """Write everything that a Cinema needs into one new file, which only its owner can read.

    All rows are of one moment, and the files that these rows name are with them.

    Raises:
        BackupRefused: Another backup is being made, or the file exists.
        OSError: The file cannot be written.
    """
    with single_run("cinema.backup") as acquired:
        if not acquired:
            raise BackupRefused("Another backup is being made. Wait for its end.")
        for attempt in range(1, ATTEMPTS + 1):
            with suppress(FilesMissing):
                manifest = _write(path, bar, without_missing=attempt < ATTEMPTS)
                break
        _last_backup_file().touch()
        return manifest


def last_backup() -> datetime | None:
    """When the last backup was made from this home."""
    try:
        return datetime.fromtimestamp(_last_backup_file().stat().st_mtime, tz=UTC)
    except FileNotFoundError:
        return None


def _last_backup_file() -> Path:
    return Path(settings.CINEMA_HOME) / "last-backup"


def _write(path: Path, bar: tqdm[NoReturn], *, without_missing: bool) -> Manifest:
    """Write the archive.

    Raises:
        FilesMissing: Files are missing, and `without_missing` asks for an archive with all of them.
    """
    names = tables.tables()
    with tables.snapshot(names), new_file(path) as file:
        manifest = Manifest(
            id=uuid4(),
            cinema=__version__,
            created_at=timezone.now(),
            migrations=tables.applied_migrations(),
            tables={},
            sequences=tables.sequences(names),
            elsewhere=sorted(_uploads()) if settings.MEDIA_BUCKET else [],
            missing=[],
        )
        files = [*_release_files(manifest.missing)]
        if not settings.MEDIA_BUCKET:
            files += _upload_files()
        bar.reset(tables.stored_bytes(names) + sum(_size(source) for _, source in files))
        with ArchiveWriter(file, bar.update) as archive:
            archive.add(SECRET, [settings.SECRET_KEY.encode()], compress=False)
            _add_files(archive, files, manifest.missing)
            if manifest.missing and without_missing:
                raise FilesMissing
            for table in names:
                bar.set_description(table)
                columns = tables.columns(table)
                archive.add(f"tables/{table}", tables.copy_out(table, columns), compress=True)
                manifest.tables[table] = TableCopy(columns=columns, rows=tables.count_rows(table))
            archive.add_manifest(manifest)
        return manifest


def _add_files(
    archive: ArchiveWriter, files: Iterable[tuple[str, Path]], missing: list[str]
) -> None:
    for name, source in files:
        try:
            content = source.open("rb")
        except FileNotFoundError:
            missing.append(name)
            continue
        with content:
            archive.add(name, file_chunks(content), compress=name.endswith(".npy"))


def _release_files(missing: list[str]) -> Iterator[tuple[str, Path]]:
    """The files of all releases. The names of releases that have lost theirs go to `missing`."""
    for release in Release.objects.exclude(directory=""):
        part = f"releases/{release.directory}"
        with suppress(ArtifactError):
            release_bucket.fetch(release.path)
        if not release.path.is_dir():
            missing.append(part)
            continue
        for file in sorted(release.path.iterdir()):
            yield f"{part}/{file.name}", file


def _uploads() -> Iterator[str]:
    """The names of the uploads that films have."""
    films = Movie.objects.values_list("poster_upload", "poster_widths", "trailer_upload")
    for stem, widths, trailer in films.iterator():
        if stem:
            for extension in POSTER_EXTENSIONS.values():
                yield from (rendition_name(stem, width, extension) for width in widths)
        if trailer:
            yield trailer


def _upload_files() -> Iterator[tuple[str, Path]]:
    # Films may have the same trailer.
    for name in sorted(set(_uploads())):
        yield f"media/{name}", Path(settings.MEDIA_ROOT) / name


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
