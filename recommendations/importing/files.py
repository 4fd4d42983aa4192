"""The uploaded files: a zip read in memory, and each file of it as a table.

Nothing is written to the disk, and what an archive says of its sizes is never trusted.
"""

from __future__ import annotations

import codecs
import io
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

import orjson

from movies.errors import FileRefused
from movies.importing.tables import CsvRecords, TextLines, UnusableFile, read_header
from recommendations.importing.formats import column
from recommendations.importing.schemas import SkippedFile

MAX_UNPACKED_MB = 50
#: Letterboxd has a file for each list of a viewer.
MAX_ENTRIES = 5_000
MAX_NAME = 255
#: The limit of the directory; each entry takes 46 bytes and its name.
MAX_DIRECTORY_BYTES = 1024 * 1024

ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
END_OF_DIRECTORY = b"PK\x05\x06"
#: The mark of zip64, whose second directory can name other sizes.
ZIP64_LOCATOR = b"PK\x06\x07"
END_BYTES, LONGEST_COMMENT, ZIP64_LOCATOR_BYTES = 22, 65_535, 20
ENCRYPTED = 0x1
#: bzip2 and LZMA decompress without a limit.
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: The exceptions of `zipfile`, depending on the byte that is wrong.
BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error,
    EOFError, NotImplementedError, OSError, RuntimeError, ValueError,
)  # fmt: skip

SUFFIXES = (".csv", ".json", ".tsv", ".txt")
ARCHIVES = (".zip", ".gz", ".7z", ".rar", ".tar", ".tgz", ".bz2", ".xz")
#: The words of names such as "WatchlistExport" and "WATCHLIST-2".
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
#: The folder in which macOS stores its own metadata.
MACOS = "__macosx"

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
HEAD_BYTES = 4096
DECODED_AT_ONCE = 64 * 1024
MAX_COLUMNS = 100
#: The limit of a record in characters; a review may be long.
MAX_RECORD = 200_000
#: Parsed JSON takes many times its size in memory.
MAX_JSON_MB = 5
#: The services whose film ids are read.
IDS = ("tmdb", "imdb", "trakt", "simkl")
FILM_KEYS = ("title", "year", "original_title")
#: The objects in an entry, named after its subject.
NESTED = frozenset({"movie", "show", "season", "episode", "person", "list"})


@dataclass(frozen=True)
class SourceFile:
    """A file of the archive, or the uploaded file itself, whose path is empty."""

    path: str
    content: bytes

    @property
    def words(self) -> frozenset[str]:
        """The lower-case words of the name, and Letterboxd's folder `likes`.

        Browsers and systems rename files: both "watchlist (1).csv" and "Copy of watchlist-2.CSV"
        have the word `watchlist`.
        """
        path = PurePosixPath(self.path.replace("\\", "/"))
        folder = {path.parent.name.lower()} & {"likes"}
        return frozenset(word.lower() for word in WORD.findall(path.name)) | folder

    @property
    def folders(self) -> frozenset[str]:
        return frozenset(PurePosixPath(self.path.casefold()).parts[:-1])


# --- archives


def is_archive(head: bytes) -> bool:
    return head.startswith(ZIP_MARKS)


def files_of(archive: IO[bytes]) -> Iterator[SourceFile | SkippedFile]:
    """Unpack the useful files, one after another.

    Raises:
        FileRefused: The archive is broken, encrypted, hostile, or too large when unpacked.
    """
    _check_directory(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = opened.infolist()
            _check_entries(infos)
            for info in infos:
                if reason := _reason_to_skip(info):
                    yield SkippedFile(name=info.filename, reason=reason)
                elif not info.is_dir():
                    # Without a size `zipfile` would unpack gigabytes before it notices a lie.
                    with opened.open(info) as stream:
                        yield SourceFile(info.filename, stream.read(info.file_size))
    except BROKEN as error:
        raise FileRefused("The zip is damaged, or was cut short.") from error


def _check_directory(file: IO[bytes]) -> None:
    """Check the size of the directory before `zipfile` builds an object for each entry."""
    size = file.seek(0, 2)
    file.seek(max(0, size - END_BYTES - LONGEST_COMMENT - ZIP64_LOCATOR_BYTES))
    tail = file.read()
    file.seek(0)
    end = tail.rfind(END_OF_DIRECTORY)
    if end < 0 or len(tail) < end + END_BYTES:
        raise FileRefused("The zip is damaged, or was cut short.")
    entries, directory_bytes = struct.unpack("<HL", tail[end + 10 : end + 16])
    if ZIP64_LOCATOR in tail[max(0, end - ZIP64_LOCATOR_BYTES) : end]:
        raise FileRefused("The zip has the format for very large archives (zip64).")
    if entries > MAX_ENTRIES or directory_bytes > MAX_DIRECTORY_BYTES:
        raise FileRefused(f"The zip has more than {MAX_ENTRIES:,} files.")


def _check_entries(infos: list[zipfile.ZipInfo]) -> None:
    if len(infos) > MAX_ENTRIES:
        raise FileRefused(f"The zip has more than {MAX_ENTRIES:,} files.")
    if any(len(info.filename) > MAX_NAME for info in infos):
        raise FileRefused(f"The zip has a name of more than {MAX_NAME} characters.")
    if len({info.filename for info in infos}) < len(infos):
        raise FileRefused("The zip has two files of one name.")
    if any(_leaves_archive(info) for info in infos):
        raise FileRefused("The zip has a file whose name leads out of it, or a link.")
    useful = [info for info in infos if not _reason_to_skip(info)]
    if any(info.flag_bits & ENCRYPTED for info in useful):
        raise FileRefused("The zip is encrypted. Send it without a password.")
    if any(info.compress_type not in COMPRESSIONS for info in useful):
        raise FileRefused("The zip is packed in an unusual way. Pack it again.")
    if sum(info.file_size for info in useful) > MAX_UNPACKED_MB * 1024 * 1024:
        raise FileRefused(f"The zip has more than {MAX_UNPACKED_MB} MB once it is unpacked.")


def _leaves_archive(info: zipfile.ZipInfo) -> bool:
    path = info.filename.replace("\\", "/")
    is_link = stat.S_ISLNK(info.external_attr >> 16)
    return is_link or path.startswith("/") or path[1:2] == ":" or ".." in path.split("/")


def _reason_to_skip(info: zipfile.ZipInfo) -> str:
    """Say why the file is not unpacked; empty for a useful file, and for a folder."""
    path = PurePosixPath(info.filename.lower())
    if info.is_dir() or (path.suffix in SUFFIXES and MACOS not in path.parts):
        return ""
    if MACOS in path.parts or path.name == ".ds_store":
        return "macOS keeps notes of its own in it."
    if path.suffix in ARCHIVES:
        return "An archive within the archive is not opened. Send it by itself."
    return "It is neither a CSV nor a JSON file."


# --- tables


#: The number of a row and its cells by column, or the reason why it has none.
TableRow = tuple[int, Mapping[str, str] | str]


@dataclass(frozen=True)
class TextTable:
    """
    Attributes:
        names: The names as the file writes them, by column.
    """

    names: Mapping[str, str]
    rows: Iterator[TableRow]


def table_of(file: SourceFile) -> TextTable:
    """
    Raises:
        FileRefused: The file is no text, or neither a table nor a list. The rows raise it too,
            while they are read.
    """
    head = file.content[:HEAD_BYTES]
    if not head.startswith(UTF_16) and b"\0" in head:
        raise _refused(file, "is neither a text nor a zip.")
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if not text:
        raise _refused(file, "is empty.")
    return _json_table(file) if text.startswith((b"[", b"{")) else _csv_table(file)


def _refused(file: SourceFile, why: str) -> FileRefused:
    return FileRefused(f"{file.path!r} {why}" if file.path else f"The file {why}")


def _csv_table(file: SourceFile) -> TextTable:
    lines = TextLines(io.TextIOWrapper(io.BytesIO(file.content), _encoding(file), newline=""))
    try:
        header, separator = read_header(lines)
    except UnusableFile:
        header, separator = [], ","
    header = header[:MAX_COLUMNS]
    columns = [column(cell) for cell in header]
    if doubled := [name for name, times in Counter(columns).items() if name and times > 1]:
        raise _refused(file, f"has a column twice: {', '.join(doubled[:5])}.")
    names = {name: cell.strip() for name, cell in zip(columns, header, strict=True) if name}
    records = CsvRecords(lines, separator, n_columns=len(columns), max_chars=MAX_RECORD)
    return TextTable(names, _csv_rows(file, columns, records))


def _csv_rows(file: SourceFile, columns: list[str], records: CsvRecords) -> Iterator[TableRow]:
    for record in records:
        if record.is_broken:
            why = "a quotation mark is not closed, or a row is far too long"
            raise _refused(file, f"cannot be read beyond line {record.number}: {why}.")
        if record.fault:
            yield record.number, record.fault
        elif any("\0" in cell for cell in record.cells):
            yield record.number, "There is a NUL in it, which is no text."
        else:
            yield record.number, dict(zip(columns, record.cells, strict=True))


def _encoding(file: SourceFile) -> str:
    """Return UTF-8 if all bytes are, else Windows-1252, the default of Western Windows."""
    is_utf_16 = file.content.startswith(UTF_16)
    for encoding in ["utf-16"] if is_utf_16 else ["utf-8-sig", "cp1252"]:
        starts = range(0, len(file.content), DECODED_AT_ONCE)
        parts = (file.content[start : start + DECODED_AT_ONCE] for start in starts)
        with suppress(UnicodeError):
            deque(codecs.iterdecode(parts, encoding), maxlen=0)
            return encoding
    raise _refused(file, "is no text in UTF-8, UTF-16 or Windows-1252. Save it as UTF-8.")


def _json_table(file: SourceFile) -> TextTable:
    """Read Trakt's lists, or SIMKL's lists of films, series and anime in one object.

    The columns are the keys of all entries, as each may lack some.
    """
    if len(file.content) > MAX_JSON_MB * 1024 * 1024:
        raise _refused(file, f"has more than {MAX_JSON_MB} MB of JSON.")
    try:
        document = orjson.loads(file.content.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError as error:
        raise _refused(file, "is not JSON, although it begins so.") from error
    sections = document.values() if isinstance(document, dict) else [document]
    items = [item for section in sections if isinstance(section, list) for item in section]
    names: dict[str, str] = {}
    for item in items:
        for name in _flat(item):
            names.setdefault(column(name), name)
            if len(names) > MAX_COLUMNS:
                raise _refused(file, f"has objects with more than {MAX_COLUMNS} keys.")
    return TextTable(names, enumerate(map(_json_cells, items), 1))


def _json_cells(item: object) -> Mapping[str, str] | str:
    if not isinstance(item, dict):
        return "It is no object."
    return {column(name): _cell(value) for name, value in _flat(item).items()}


def _flat(item: object) -> dict[str, object]:
    """Flatten an entry to a row of a spreadsheet; of the film only the identifying keys."""
    if not isinstance(item, dict):
        return {}
    film = _object(item.get("movie")) or _object(item.get("show"))
    ids = _object(film.get("ids")) or _object(item.get("ids"))
    found = {name: film[name] for name in FILM_KEYS if name in film}
    found |= {f"{name} id": value for name, value in ids.items() if name in IDS}
    if not NESTED.isdisjoint(item):
        is_film = "movie" in item or item.get("anime_type") == "movie"
        found["type"] = "movie" if is_film else "show"
    # A key of the entry itself, such as `type`, overrides a nested one.
    return found | {name: value for name, value in item.items() if name not in NESTED | {"ids"}}


def _cell(value: object) -> str:
    """Write text and numbers as they are, and any other value as “…”."""
    if isinstance(value, dict) and "text" in value:  # SIMKL's memo
        value = value["text"]
    if value is None or value is False or value == [] or value == {}:
        return ""
    return str(value) if isinstance(value, str | int | float) else "…"


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
