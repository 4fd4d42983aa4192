"""The file of a backup: a ZIP archive whose manifest names each part with its size and checksum."""

from __future__ import annotations

import hashlib
import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Literal, Self
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cinema.home import FILE_MODE

KIND: Literal["cinema-backup"] = "cinema-backup"
FORMAT: Literal[1] = 1
MANIFEST = "manifest.json"
SECRET = "secret-key"  # noqa: S105 - the name of a part
#: Parts have no other names, so no part can be written outside its directory.
PART_NAME = re.compile(
    r"secret-key|tables/[a-z][a-z0-9_]{0,62}|releases/[\w-]{1,60}/\w[\w.-]{0,200}"
    r"|media/(posters|trailers)/\w[\w.-]{0,200}",
    re.ASCII,
)
CHUNK_BYTES = 1024 * 1024
#: A backup that runs writes all the time. One that has not written for so long was killed.
ABANDONED_AFTER_S = 3600
MANIFEST_LIMIT_BYTES = 256 * CHUNK_BYTES
#: Rows of a table become at most some thirty times smaller. Larger parts that become smaller than
#: this are made to fill a disk.
LARGEST_RATIO, RATIO_COUNTS_FROM_BYTES = 200, 64 * CHUNK_BYTES

Advance = Callable[[int], object]


class BackupRefused(Exception):
    """A backup that cannot be made or restored. The message says why and what to do."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    size: Annotated[int, Field(ge=0)]
    sha256: str


class TableCopy(BaseModel):
    """The columns of a table, in the order of its lines, and the number of the lines."""

    model_config = ConfigDict(extra="forbid", strict=True)

    columns: list[str]
    rows: int


class Sequence(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    table: str
    column: str
    last_value: int
    is_called: bool


class Manifest(BaseModel):
    """The contents of a backup.

    Attributes:
        cinema: The version that made the backup.
        migrations: The applied migrations, each as `app.name`.
        elsewhere: Uploads in a bucket, which keeps them: the backup has only their names.
        missing: Files that a row names and that did not exist.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["cinema-backup"] = KIND
    format: Literal[1] = FORMAT
    id: UUID
    cinema: str
    created_at: datetime
    migrations: list[str]
    tables: dict[str, TableCopy]
    sequences: list[Sequence]
    elsewhere: list[str]
    missing: list[str]
    parts: dict[str, Part] = {}

    def count(self, prefix: str) -> int:
        return sum(name.startswith(prefix) for name in self.parts)

    def bytes_of(self, *prefixes: str) -> int:
        return sum(part.size for name, part in self.parts.items() if name.startswith(prefixes))


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """Write the file beside its place and rename it at the end. An error leaves nothing.

    Raises:
        BackupRefused: There is such a file already.
    """
    if path.exists():
        raise BackupRefused(f"{path} exists already. Choose another name.")
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)  # of a backup that was killed; only one at a time runs
    _delete_abandoned(path.parent)
    try:
        with open(unfinished, "xb", opener=partial(os.open, mode=FILE_MODE)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _delete_abandoned(folder: Path) -> None:
    """Delete the files of killed backups, and none that another Cinema is writing now."""
    for file in folder.glob(".*.zip.unfinished"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > ABANDONED_AFTER_S:
                file.unlink()


class ArchiveWriter:
    """Adds parts to an archive, and notes their sizes and checksums."""

    def __init__(self, file: IO[bytes], advance: Advance) -> None:
        # Level 1: level 6 takes three times the CPU for a tenth of the size.
        self._zip = ZipFile(file, "w", compresslevel=1)
        self._advance = advance
        self.parts: dict[str, Part] = {}

    def add(self, name: str, chunks: Iterable[bytes | memoryview], *, compress: bool) -> None:
        if not PART_NAME.fullmatch(name):
            raise BackupRefused(f"{name!r} is no name for a part of a backup.")
        digest, size = hashlib.sha256(), 0
        self._zip.compression = ZIP_DEFLATED if compress else ZIP_STORED
        with self._zip.open(name, "w", force_zip64=True) as target:
            for chunk in chunks:
                target.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                self._advance(len(chunk))
        self.parts[name] = Part(size=size, sha256=digest.hexdigest())

    def add_manifest(self, manifest: Manifest) -> None:
        manifest.parts = self.parts
        self._zip.writestr(MANIFEST, manifest.model_dump_json(indent=1), ZIP_DEFLATED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        # After an error, such as a full disk, the end cannot be written, and need not be.
        with suppress(OSError) if kind else nullcontext():
            self._zip.close()


class Archive:
    """An archive whose names and sizes are checked. `verify` checks the contents.

    Raises:
        BackupRefused: It is no backup, damaged, hostile, or of a newer format.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._zip = ZipFile(path)
        except OSError as error:
            raise BackupRefused(f"{path} cannot be read: {error.strerror}.") from error
        except (BadZipFile, ValueError, OverflowError) as error:
            raise BackupRefused(
                f"{path} is no backup of Cinema, or not all of it: {error}."
            ) from error
        infos = self._zip.infolist()
        self._infos = {info.filename: info for info in infos}
        if len(self._infos) < len(infos):
            raise BackupRefused(f"{path} has two parts of one name.")
        self.manifest = self._read_manifest(path)
        self._check_parts(os.path.getsize(path))

    def _read_manifest(self, path: Path) -> Manifest:
        info = self._infos.get(MANIFEST)
        if info is None or not _is_plain(info) or info.file_size > MANIFEST_LIMIT_BYTES:
            raise BackupRefused(f"{path} is no backup of Cinema: it has no {MANIFEST}.")
        content = b"".join(self._chunks(MANIFEST))
        try:
            facts = orjson.loads(content)
            if facts["kind"] != KIND:
                raise BackupRefused(f"{path} is no backup of Cinema.")
            if facts["format"] > FORMAT:
                raise BackupRefused(
                    f"{path} was made by the newer Cinema {facts['cinema']}. Install that first."
                )
            return Manifest.model_validate_json(content)
        except (ValueError, KeyError, TypeError, ValidationError) as error:
            raise BackupRefused(f"{path} has a damaged {MANIFEST}.") from error

    def _check_parts(self, size: int) -> None:
        parts = self.manifest.parts
        named = set(self._infos) - {MANIFEST}
        if named != set(parts) or SECRET not in parts:
            raise BackupRefused("The archive does not consist of the parts that it lists.")
        for name, part in parts.items():
            info = self._infos[name]
            if not PART_NAME.fullmatch(name) or not _is_plain(info):
                raise BackupRefused(f"The archive has a part that no backup has: {name!r}.")
            if info.file_size != part.size or _is_bomb(info):
                raise BackupRefused(f"{name} does not have the size that the archive lists.")
        if {name for name in parts if name.startswith("tables/")} != {
            f"tables/{table}" for table in self.manifest.tables
        }:
            raise BackupRefused("The archive does not have the tables that it lists.")
        if sum(info.compress_size for info in self._infos.values()) > size:
            raise BackupRefused("Parts of the archive overlap.")

    def verify(self, advance: Advance) -> None:
        """Read everything and compare the checksums.

        Raises:
            BackupRefused: A part is damaged.
        """
        for name, part in self.manifest.parts.items():
            digest = hashlib.sha256()
            for chunk in self.chunks(name, advance):
                digest.update(chunk)
            if digest.hexdigest() != part.sha256:
                raise BackupRefused(f"{name} is damaged: its checksum is another one.")

    def chunks(self, name: str, advance: Advance) -> Iterator[bytes]:
        for chunk in self._chunks(name):
            yield chunk
            advance(len(chunk))

    def _chunks(self, name: str) -> Iterator[bytes]:
        try:
            with self._zip.open(self._infos[name]) as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except (BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise BackupRefused(f"{name} is damaged: {error}.") from error


def _is_plain(info: ZipInfo) -> bool:
    """Whether it is neither encrypted nor packed in a way that backups are not."""
    return info.compress_type in (ZIP_STORED, ZIP_DEFLATED) and not info.flag_bits & 0x1


def _is_bomb(info: ZipInfo) -> bool:
    is_large = info.file_size > RATIO_COUNTS_FROM_BYTES
    return is_large and info.file_size > LARGEST_RATIO * info.compress_size


def file_chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
