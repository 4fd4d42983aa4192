"""Files of movies: JSON Lines and CSV, read for an import and written by the export.

In a cell `|` separates the entries of a list; a `|` in an entry is written `\\|`, and a backslash
`\\\\`. A genre whose slug is not made from its name is written `slug=Name`. A text that a
spreadsheet would take for a formula begins with an apostrophe, which is removed on reading.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import os
import re
import stat
import sys
import zlib
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from typing import Any, TextIO, cast

import orjson
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.functions import JSONObject

from movies.importing.schemas import ImportedMovie, RefusedMovieRow, refused_body
from movies.importing.tables import CsvRecords, TextLines, UnusableFile, read_header
from movies.models import Genre, Movie
from movies.services import slug_of

STDIN = "-"
#: The limit of the ignored columns that are named.
MAX_LEFT_OUT = 20
GZIP = b"\x1f\x8b"
#: The first bytes of files that are not UTF-8 text.
NO_TEXT = {
    b"\xff\xfe": "is UTF-16. Save it as UTF-8.",
    b"\xfe\xff": "is UTF-16. Save it as UTF-8.",
    b"PK\x03\x04": "is a workbook or another archive. Save it as “CSV UTF-8”.",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook. Save it as “CSV UTF-8”.",
    b"\x28\xb5\x2f\xfd": "is compressed by Zstandard. Only gzip is understood.",
    b"BZh": "is compressed by bzip2. Only gzip is understood.",
    b"\xfd7zXZ": "is compressed by xz. Only gzip is understood.",
}

FIELDS = tuple(ImportedMovie.model_fields)
REQUIRED = tuple(name for name in FIELDS if ImportedMovie.model_fields[name].is_required())
LISTS = ("protagonists", "genres", "keywords", "directors")
#: The empty value of each field that can be empty.
EMPTY = {
    name: ImportedMovie.model_fields[name].default
    for name in FIELDS
    if name not in (*REQUIRED, "slug")
}

# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = r"[=+\-@\t\r\n＝＋－＠]"
NEEDS_APOSTROPHE = re.compile(f"'*{FORMULA}")
HAS_APOSTROPHE = re.compile(f"'+{FORMULA}")

LIST_ENTRY = re.compile(r"((?:\\[\\|]|[^|])*)(?:\||$)", re.DOTALL)
SLUG_AND_NAME = re.compile(r"([-\w]+)=(.+)", re.DOTALL)
#: A German spreadsheet saves dates as 3.12.2026.
GERMAN_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")

EXPORT_CHUNK = 1_000

#: A row with the number of its first line, not validated yet.
RawRow = tuple[int, object] | RefusedMovieRow


# --- reading


class InputFile:
    """A file of movies in either format.

    Attributes:
        size_bytes: None for a pipe.
        left_out: The ignored columns and keys, in their order.
    """

    def __init__(self, raw: BufferedReader, name: str) -> None:
        self.name = name
        self._raw = raw
        self.left_out: list[str] = []
        self.size_bytes: int | None = None
        with suppress(OSError):  # a file in memory has no descriptor
            status = os.fstat(raw.fileno())
            self.size_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None

    @property
    def position_bytes(self) -> int:
        """The number of bytes of the compressed file that have been read."""
        return 0 if self.size_bytes is None else self._raw.tell()

    def rows(self, *, ignore_unknown: bool = False, clear_empty: bool = False) -> Generator[RawRow]:
        """
        Args:
            ignore_unknown: Leave out columns and keys that a movie does not have.
            clear_empty: An empty cell empties the field; by default the field stays.

        Raises:
            UnusableFile: At the start, or at the line from which on the file cannot be read.
        """
        lines = None
        try:
            is_packed = self._raw.peek(2).startswith(GZIP)
            stream = gzip.GzipFile(fileobj=self._raw) if is_packed else self._raw
            start = _checked_start(stream.peek(4096))
            with _as_text(stream) as text:
                lines = TextLines(text)
                if start.startswith(b"{"):
                    yield from self._json_rows(lines, ignore_unknown=ignore_unknown)
                else:
                    columns, separator = _read_columns(lines, ignore_unknown=ignore_unknown)
                    self._note_left_out(columns)
                    records = CsvRecords(lines, separator, n_columns=len(columns))
                    yield from _csv_rows(records, columns, clear_empty=clear_empty)
        except (EOFError, OSError, zlib.error) as error:
            number = lines.number if lines else 0
            raise UnusableFile(f"cannot be read beyond line {number}: {error}") from error

    def _json_rows(self, lines: TextLines, *, ignore_unknown: bool) -> Iterator[RawRow]:
        for line in lines:
            if line.fault:
                yield refused_body(line.number, line.fault)
            elif line.text.strip():
                try:
                    row = orjson.loads(line.text)
                except orjson.JSONDecodeError as error:
                    yield refused_body(line.number, f"The line is not JSON: {error}")
                    continue
                if ignore_unknown and isinstance(row, dict):
                    self._note_left_out(row)
                    row = {name: row[name] for name in FIELDS if name in row}
                yield line.number, row

    def _note_left_out(self, names: Iterable[str]) -> None:
        for name in names:
            is_new = name and name not in FIELDS and name not in self.left_out
            if is_new and len(self.left_out) < MAX_LEFT_OUT:
                self.left_out.append(name)


@contextmanager
def opened(path: str) -> Iterator[InputFile]:
    """Open the file, or standard input if the path is `-`.

    Raises:
        UnusableFile: The file cannot be opened.
    """
    if path == STDIN:
        yield InputFile(cast("BufferedReader", sys.stdin.buffer), "stdin")
        return
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UnusableFile(f"cannot be opened: {error.strerror}.") from error
    with file:
        yield InputFile(file, os.path.basename(path))


@contextmanager
def _as_text(stream: BufferedReader | gzip.GzipFile) -> Iterator[TextIO]:
    text = io.TextIOWrapper(stream, "utf-8", "surrogateescape", newline="")
    try:
        yield text
    finally:
        text.detach()  # otherwise the wrapper would close the stream


def _checked_start(head: bytes) -> bytes:
    """Return the first bytes of the text without the byte order mark."""
    if reason := next((why for mark, why in NO_TEXT.items() if head.startswith(mark)), None):
        raise UnusableFile(reason)
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if start.startswith(b"["):
        raise UnusableFile("is one list of JSON. Write one object a line: jq -c '.[]'.")
    if b"\0" in head.partition(b"\n")[0]:
        raise UnusableFile("has NUL bytes in its first line: no text, or UTF-16. Save it as UTF-8.")
    return start


def _read_columns(lines: TextLines, *, ignore_unknown: bool) -> tuple[list[str], str]:
    """Read the names of the fields from the header, and the separator."""
    header, separator = read_header(
        lines, score=lambda cells: len(set(FIELDS).intersection(map(_field_name, cells)))
    )
    columns = [_field_name(cell) for cell in header]
    _check_columns([column for column in columns if column], ignore_unknown=ignore_unknown)
    return columns, separator


def _field_name(cell: str) -> str:
    """Normalise `Start date` to start_date."""
    return "_".join(cell.lower().replace("_", " ").replace("-", " ").split())


def _check_columns(columns: Sequence[str], *, ignore_unknown: bool) -> None:
    known = ", ".join(FIELDS)
    if not set(FIELDS).intersection(columns):
        raise UnusableFile(f"is no file of films: its first line names none of {known}.")
    if doubled := [name for name, times in Counter(columns).items() if times > 1]:
        raise UnusableFile(f"has twice: {_quoted(doubled)}.")
    if missing := [name for name in REQUIRED if name not in columns]:
        raise UnusableFile(f"lacks {', '.join(missing)}.")
    unknown = [name for name in columns if name not in FIELDS]
    if unknown and not ignore_unknown:
        raise UnusableFile(
            f"has columns that a film does not: {_quoted(unknown)}. A film's are {known}. "
            "With --ignore-unknown the others are left out."
        )


def _quoted(columns: Sequence[str]) -> str:
    """Quote and cut names of columns, which may be any text."""
    return ", ".join(repr(name[:40]) for name in columns[:10])


def _csv_rows(
    records: CsvRecords, columns: Sequence[str], *, clear_empty: bool
) -> Iterator[RawRow]:
    for record in records:
        named = list(zip(columns, record.cells, strict=False))
        fault = record.fault
        if any(cell.strip() for column, cell in named if not column):
            fault = "There is something in a column without a name."
        if fault:
            yield refused_body(record.number, fault)
            records.read_again()
            continue
        row = {}
        for column, cell in named:
            if column in FIELDS and (value := from_cell(column, cell)) is not None:
                row[column] = value
            elif column in EMPTY and clear_empty:
                row[column] = EMPTY[column]
        yield record.number, row


# --- cells


def to_cell(name: str, value: Any) -> str:
    if name == "genres":
        value = [_genre_entry(genre) for genre in value]
    text = "|".join(map(_escaped, value)) if name in LISTS else "" if value is None else str(value)
    return guarded(text)


def guarded(text: str) -> str:
    """Prefix a text that a spreadsheet would take for a formula."""
    return f"'{text}" if NEEDS_APOSTROPHE.match(text) else text


def from_cell(name: str, cell: str) -> Any:
    """Return the value as JSON would have it; None for an empty cell."""
    text = cell[1:] if HAS_APOSTROPHE.match(cell) else cell
    if name == "overview":
        return text or None
    text = text.strip()
    if name in LISTS:
        entries = [entry for found in LIST_ENTRY.finditer(text) if (entry := _unescaped(found[1]))]
        return ([_genre(entry) for entry in entries] if name == "genres" else entries) or None
    if name.endswith("_date") and (found := GERMAN_DATE.fullmatch(text)):
        day, month, year = found.groups()
        return f"{year}-{month:0>2}-{day:0>2}"
    return text or None


def _escaped(entry: str) -> str:
    return entry.replace("\\", "\\\\").replace("|", "\\|")


def _unescaped(entry: str) -> str:
    return re.sub(r"\\([\\|])", r"\1", entry).strip()


def _genre_entry(genre: Mapping[str, str]) -> str:
    """Write the name alone if an import makes the same genre of it."""
    slug, name = genre["slug"], genre["name"]
    is_plain = "=" not in name and name != slug and slug_of(name)[:60] == slug
    return name if is_plain else f"{slug}={name}"


def _genre(entry: str) -> str | dict[str, str]:
    found = SLUG_AND_NAME.fullmatch(entry)
    return {"slug": found[1], "name": found[2]} if found else entry


# --- writing


def json_lines() -> Iterator[bytes]:
    for film in _films():
        yield orjson.dumps(film) + b"\n"


def csv_lines(separator: str) -> Iterator[bytes]:
    """Write a byte order mark first: Excel needs it to recognise UTF-8."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator)
    writer.writerow(FIELDS)
    yield codecs.BOM_UTF8 + buffer.getvalue().encode()
    for film in _films():
        buffer.seek(0)
        buffer.truncate()
        writer.writerow([to_cell(name, film[name]) for name in FIELDS])
        yield buffer.getvalue().encode()


def _films() -> Iterator[dict[str, Any]]:
    """Read all published movies in chunks, from one snapshot."""
    genres = Genre.objects.filter(movies=OuterRef("pk")).values(
        key=JSONObject(slug="slug", name="name")
    )
    columns = [name for name in FIELDS if name != "genres"]
    films = Movie.objects.published().order_by("pk").annotate(its_genres=ArraySubquery(genres))
    for film in films.values("its_genres", "status_is_manual", *columns).iterator(EXPORT_CHUNK):
        # An import would take a status that follows the dates for one set by hand.
        film["status"] = film["status"] if film["status_is_manual"] else None
        film["genres"] = sorted(film["its_genres"], key=lambda genre: str(genre["slug"]))
        yield {name: film[name] for name in FIELDS}
