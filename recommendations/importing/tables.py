"""A file as a table: its bytes to text, and the text to rows of cells."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from movies.errors import FileRefused
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
#: Services whose ids of films are read.
IDS = ("tmdb", "imdb", "trakt", "simkl")
FILM_KEYS = ("title", "year", "original_title")
#: Objects within an entry, by what it is about.
NESTED = frozenset({"movie", "show", "season", "episode", "person", "list"})
#: Excel's way to name the separator, on a line before the header.
NAMED_SEPARATOR = re.compile(r"\ufeff?\"?sep=([,;\t])\"?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """`cells` by their column, or what is wrong with them."""

    number: int
    cells: Mapping[str, str]
    fault: str | None = None


@dataclass(frozen=True)
class Table:
    """
    Attributes:
        names: The columns as the file writes them, by the column.
    """

    names: Mapping[str, str]
    lines: Iterator[Line]

    @property
    def columns(self) -> Collection[str]:
        return self.names.keys()


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
        header, separator = _header(lines)
    except UnicodeError as error:
        raise _undecodable(entry) from error
    except csv.Error:
        header, separator = [], ","
    columns = [column(cell) for cell in header]
    if doubled := [name for name, times in Counter(columns).items() if name and times > 1]:
        raise _refused(entry, f"has a column twice: {', '.join(doubled[:5])}.")
    names = {name: cell.strip() for name, cell in zip(columns, header, strict=True) if name}
    return Table(names, _records(entry, lines, columns, separator))


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


def _header(lines: _Lines) -> tuple[list[str], str]:
    """The columns, and what separates them: a German spreadsheet saves semicolons."""
    line = _next_line(lines)
    separators: Sequence[str] = SEPARATORS
    if named := NAMED_SEPARATOR.fullmatch(line):
        separators = (named[1],)
        line = _next_line(lines)
    readings = [(_cells(line, separator), separator) for separator in separators]
    return max(readings, key=lambda reading: len(reading[0]))


def _next_line(lines: _Lines) -> str:
    return next((line for line in lines if line.strip()), "")


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


# --- JSON: Trakt's lists, and SIMKL's lists of films, series and anime in one object


def _list(entry: Entry) -> Table:
    """Any entry can lack a key that another one has: all of them are asked for the columns."""
    if len(entry.content) > MAX_JSON_MB * 1024 * 1024:
        raise _refused(entry, f"has more than {MAX_JSON_MB} MB of JSON.")
    try:
        document = orjson.loads(entry.content.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError as error:
        raise _refused(entry, "is not JSON, although it begins so.") from error
    items = list(_items(document))
    names: dict[str, str] = {}
    for item in items:
        for name in _flat(item):
            names.setdefault(column(name), name)
            if len(names) > MAX_COLUMNS:
                raise _refused(entry, f"has objects with more than {MAX_COLUMNS} keys.")
    return Table(names, (_entry(number, item) for number, item in enumerate(items, 1)))


def _items(document: object) -> Iterator[object]:
    if isinstance(document, list):
        yield from document
    elif isinstance(document, dict):
        for section in document.values():
            if isinstance(section, list):
                yield from section


def _entry(number: int, item: object) -> Line:
    cells = {column(name): _cell(value) for name, value in _flat(item).items()}
    return Line(number, cells, None if isinstance(item, dict) else "It is no object.")


def _flat(item: object) -> dict[str, object]:
    """The row of a spreadsheet that says the same; of the film only which one it is."""
    if not isinstance(item, dict):
        return {}
    film = _object(item.get("movie")) or _object(item.get("show"))
    ids = _object(film.get("ids")) or _object(item.get("ids"))
    found = {name: film[name] for name in FILM_KEYS if name in film}
    found |= {f"{name} id": value for name, value in ids.items() if name in IDS}
    if not NESTED.isdisjoint(item):
        is_film = "movie" in item or item.get("anime_type") == "movie"
        found["type"] = "movie" if is_film else "show"
    # A key of the entry itself, such as `type`, goes before what is found within.
    return found | {name: value for name, value in item.items() if name not in NESTED | {"ids"}}


def _cell(value: object) -> str:
    """Text and numbers as they are; of another value, that there is one."""
    if isinstance(value, dict) and "text" in value:  # SIMKL's memo
        value = value["text"]
    if value is None or value is False or value == [] or value == {}:
        return ""
    return str(value) if isinstance(value, str | int | float) else "…"


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
