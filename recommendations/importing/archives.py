"""The files of a zip, read in memory: nothing is ever written where an entry's name points to."""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from movies.errors import FileRefused

MAX_UNPACKED_MB = 50
#: Letterboxd has a file for each list that somebody has made.
MAX_ENTRIES = 5_000
MAX_NAME = 255
#: The list of an archive's entries, of which each takes 46 bytes and its name.
MAX_DIRECTORY_BYTES = 1024 * 1024

MARKS = (b"PK\x03\x04", b"PK\x05\x06")
END_OF_DIRECTORY = b"PK\x05\x06"
#: Before the end of the directory there stands, in the large form of the format, where a second
#: one begins. It can say what it likes of sizes.
LARGE_FORM = b"PK\x06\x07"
END_BYTES, LONGEST_COMMENT, LARGE_FORM_BYTES = 22, 65_535, 20
ENCRYPTED = 0x1
#: bzip2 and LZMA unpack without a limit.
PACKED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: What `zipfile` raises, depending on the byte that is wrong.
BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error,
    EOFError, NotImplementedError, OSError, RuntimeError, ValueError,
)  # fmt: skip

SUFFIXES = (".csv", ".json", ".tsv", ".txt")
ARCHIVES = (".zip", ".gz", ".7z", ".rar", ".tar", ".tgz", ".bz2", ".xz")
#: As in "WatchlistExport" and "WATCHLIST-2".
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
#: Of macOS: what it knows of files.
MACOS = "__macosx"


@dataclass(frozen=True)
class Entry:
    """A file of the archive, or the one that was uploaded by itself."""

    path: str
    content: bytes

    @property
    def words(self) -> frozenset[str]:
        """Of the file's name, which browsers and systems change: `watchlist` is in
        "watchlist (1).csv" and in "Copy of watchlist-2.CSV". The folder `likes` is Letterboxd's.
        """
        path = PurePosixPath(self.path.replace("\\", "/"))
        folder = {path.parent.name.lower()} & {"likes"}
        return frozenset(word.lower() for word in WORD.findall(path.name)) | folder

    @property
    def folders(self) -> frozenset[str]:
        return frozenset(PurePosixPath(self.path.casefold()).parts[:-1])


@dataclass(frozen=True)
class Skipped:
    """A file that is not read, and why."""

    path: str
    reason: str


def is_archive(head: bytes) -> bool:
    return head.startswith(MARKS)


def entries_of(file: IO[bytes]) -> Iterator[Entry | Skipped]:
    """All files: what may be of use is unpacked, one after another.

    Raises:
        FileRefused: The archive is broken, encrypted, hostile, or too large once it is unpacked.
    """
    _check_directory(file)
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            _check(infos)
            for info in infos:
                if reason := _unusable(info):
                    yield Skipped(info.filename, reason)
                elif not info.is_dir():
                    yield Entry(info.filename, _unpacked(archive, info))
    except BROKEN as error:
        raise FileRefused("The zip is damaged, or was cut short.") from error


def _check_directory(file: IO[bytes]) -> None:
    """Judge the list of entries by its size, before all of it is made into objects."""
    size = file.seek(0, 2)
    start = max(0, size - END_BYTES - LONGEST_COMMENT - LARGE_FORM_BYTES)
    file.seek(start)
    tail = file.read()
    file.seek(0)
    end = tail.rfind(END_OF_DIRECTORY)
    if end < 0 or len(tail) < end + END_BYTES:
        raise FileRefused("The zip is damaged, or was cut short.")
    entries, directory_bytes = struct.unpack("<HL", tail[end + 10 : end + 16])
    if LARGE_FORM in tail[max(0, end - LARGE_FORM_BYTES) : end]:
        raise FileRefused("The zip has the form for archives of many gigabytes (zip64).")
    if entries > MAX_ENTRIES or directory_bytes > MAX_DIRECTORY_BYTES:
        raise FileRefused(f"The zip has more than {MAX_ENTRIES:,} files.")


def _check(infos: list[zipfile.ZipInfo]) -> None:
    if len(infos) > MAX_ENTRIES:
        raise FileRefused(f"The zip has more than {MAX_ENTRIES:,} files.")
    if any(len(info.filename) > MAX_NAME for info in infos):
        raise FileRefused(f"The zip has a name of more than {MAX_NAME} characters.")
    if len({info.filename for info in infos}) < len(infos):
        raise FileRefused("The zip has two files of one name.")
    if any(_leads_out(info) for info in infos):
        raise FileRefused("The zip has a file whose name leads out of it, or a link.")
    useful = [info for info in infos if not _unusable(info)]
    if any(info.flag_bits & ENCRYPTED for info in useful):
        raise FileRefused("The zip is encrypted. Send it without a password.")
    if any(info.compress_type not in PACKED_BY for info in useful):
        raise FileRefused("The zip is packed in an unusual way. Pack it anew.")
    if sum(info.file_size for info in useful) > MAX_UNPACKED_MB * 1024 * 1024:
        raise FileRefused(f"The zip has more than {MAX_UNPACKED_MB} MB once it is unpacked.")


def _leads_out(info: zipfile.ZipInfo) -> bool:
    path = info.filename.replace("\\", "/")
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    return is_link or path.startswith("/") or path[1:2] == ":" or ".." in path.split("/")


def _unusable(info: zipfile.ZipInfo) -> str:
    """Why the file is not even unpacked; empty if it is, or if it is a folder."""
    path = PurePosixPath(info.filename.lower())
    if info.is_dir() or (path.suffix in SUFFIXES and MACOS not in path.parts):
        return ""
    if MACOS in path.parts or path.name == ".ds_store":
        return "macOS keeps notes of its own in it."
    if path.suffix in ARCHIVES:
        return "An archive within the archive is not opened. Send it by itself."
    return "It is neither a CSV nor a JSON file."


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """What an entry says of its size may be a lie: more than that is never unpacked.

    Asked for all that there is, `zipfile` would unpack two gigabytes before it looks at that.
    """
    with archive.open(info) as stream:
        return stream.read(info.file_size)
