"""A file as a table: its bytes to text, and the text to rows of cells."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from movies.media.errors import FileRefused
from recommendations.importing.archives import Entry
from recommendations.importing.formats import column

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: Of the file, which are looked at before all of it is.
HEAD = 4096
DECODED_AT_ONCE = 64 * 1024
SEPARATORS = (",", ";", "\t")
MAX_COLUMNS = 100
#: Of characters. A review may be long, and there are commas in it.
MAX_RECORD = 200_000
#: JSON becomes many times as large in memory.
MAX_JSON_MB = 5


@dataclass(frozen=True)
class Line:
    """`cells` by their column, or what is wrong with them."""

    number: int
    cells: Mapping[str, str]
    fault: str | None = None


@dataclass(frozen=True)
class Table:
    columns: Sequence[str]
    lines: Iterator[Line]


def table_of(entry: Entry) -> Table:
    """
    Raises:
        FileRefused: The file is no text, or neither a table nor a list. Also while its lines are
            read.
    """
    head = entry.content[:HEAD]
    if not head.startswith(UTF_16) and b"\0" in head:
        raise _refused(entry, "is neither a text nor a zip.")
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if not text:
        raise _refused(entry, "is empty.")
    return _list(entry) if text.startswith((b"[", b"{")) else _spreadsheet(entry)


def _refused(entry: Entry, why: str) -> FileRefused:
    return FileRefused(f"{entry.path!r} {why}" if entry.path else f"The file {why}")


# --- comma-separated values


class _Lines:
    """Of a text that may have any; bounded in each record, which can go over several lines.

    Attributes:
        number: Of the line that was read last.
    """

    def __init__(self, entry: Entry) -> None:
        content = io.BytesIO(entry.content)
        self._text = io.TextIOWrapper(content, _encoding(entry), newline="")
        self._left = MAX_RECORD
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(self._left)
        if not line:
            raise StopIteration
        self._left -= len(line)
        if not self._left:
            raise csv.Error("too long")
        self.number += 1
        return line

    def begin_record(self) -> None:
        self._left = MAX_RECORD


def _spreadsheet(entry: Entry) -> Table:
    lines = _Lines(entry)
    try:
        columns, separator = _header(next((line for line in lines if line.strip()), ""))
    except UnicodeError as error:
        raise _undecodable(entry) from error
    except csv.Error:
        columns, separator = [], ","
    return Table(columns, _records(entry, lines, columns, separator))


def _encoding(entry: Entry) -> str:
    """UTF-8 if all of it is; else what Windows writes in the West."""
    if entry.content.startswith(UTF_16):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(entry.content), DECODED_AT_ONCE):
            decoder.decode(entry.content[start : start + DECODED_AT_ONCE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _undecodable(entry: Entry) -> FileRefused:
    return _refused(entry, "is no text in UTF-8, UTF-16 or Windows-1252. Save it as UTF-8.")


def _header(line: str) -> tuple[list[str], str]:
    """The columns, and what separates them: a German spreadsheet saves semicolons."""
    readings = [(_cells(line, separator), separator) for separator in SEPARATORS]
    cells, separator = max(readings, key=lambda reading: len(reading[0]))
    return [column(cell) for cell in cells], separator


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))[:MAX_COLUMNS]
    except (csv.Error, StopIteration):
        return []


def _records(entry: Entry, lines: _Lines, columns: Sequence[str], separator: str) -> Iterator[Line]:
    reader = csv.reader(lines, delimiter=separator, strict=True)
    number = 1
    try:
        while True:
            lines.begin_record()
            number = lines.number + 1
            cells = next(reader)
            if any(cell.strip() for cell in cells):
                yield _line(number, columns, cells)
    except StopIteration:
        return
    except csv.Error as error:
        why = "a quotation mark is not closed, or a row is far too long"
        raise _refused(entry, f"cannot be read beyond line {number}: {why}.") from error
    except UnicodeError as error:
        raise _undecodable(entry) from error


def _line(number: int, columns: Sequence[str], cells: Sequence[str]) -> Line:
    if len(cells) != len(columns):
        return Line(number, {}, f"There are {len(cells)} cells for {len(columns)} columns.")
    if any("\0" in cell for cell in cells):
        return Line(number, {}, "There is a NUL in it, which is no text.")
    return Line(number, dict(zip(columns, cells, strict=True)))


# --- the lists of JSON that Trakt gives out


def _list(entry: Entry) -> Table:
    if len(entry.content) > MAX_JSON_MB * 1024 * 1024:
        raise _refused(entry, f"has more than {MAX_JSON_MB} MB of JSON.")
    try:
        items = orjson.loads(entry.content.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError as error:
        raise _refused(entry, "is not JSON, although it begins so.") from error
    if not isinstance(items, list):
        items = []
    first = _flat(items[0]) if items else {}
    return Table(list(first), (_entry(number, item) for number, item in enumerate(items, 1)))


def _entry(number: int, item: object) -> Line:
    return Line(number, _flat(item), None if isinstance(item, dict) else "It is no object.")


def _flat(item: object) -> dict[str, str]:
    """The row of a spreadsheet that says the same."""
    if not isinstance(item, dict):
        return {}
    film = _object(item.get("movie")) or _object(item.get("show"))
    kind = {} if "movie" in item else {"type": "show"}
    found = kind | film | item | {"tmdb": _object(film.get("ids")).get("tmdb")}
    return {
        "tmdbid" if name == "tmdb" else column(name): str(value)
        for name, value in found.items()
        if isinstance(value, str | int | float)
    }


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
