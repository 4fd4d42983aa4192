"""A file of films, whatever it is: told by its bytes, and read row by row."""

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
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, TextIO, cast

import orjson
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.functions import JSONObject

from movies.importing.rows import Refused, refused
from movies.importing.schemas import ImportedMovie
from movies.importing.tables import MAX_LINE, Line, Lines, UnusableFile
from movies.models import Genre, Movie
from movies.services import slug_of

STDIN = "-"
#: So many names are told of.
MAX_LEFT_OUT = 20
GZIP = b"\x1f\x8b"
#: What files begin with that are no text in UTF-8.
NO_TEXT = {
    b"\xff\xfe": "is UTF-16. Save it as UTF-8.",
    b"\xfe\xff": "is UTF-16. Save it as UTF-8.",
    b"PK\x03\x04": "is a workbook or another archive. Save it as “CSV UTF-8”.",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook. Save it as “CSV UTF-8”.",
    b"\x28\xb5\x2f\xfd": "is compressed by Zstandard. Only gzip is understood.",
    b"BZh": "is compressed by bzip2. Only gzip is understood.",
    b"\xfd7zXZ": "is compressed by xz. Only gzip is understood.",
}


class InputFile:
    """Gives its rows as `rows.checked` takes them, each with the number of its first line.

    Attributes:
        size_bytes: None of a pipe.
        left_out: Columns and keys that are ignored as a film does not have them, in their order.
    """

    def __init__(self, raw: BufferedReader, name: str) -> None:
        self.name = name
        self._raw = raw
        self.left_out: list[str] = []
        self.size_bytes: int | None = None
        with suppress(OSError):  # what stands for a file in memory has no number
            status = os.fstat(raw.fileno())
            self.size_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None

    @property
    def position_bytes(self) -> int:
        """How far it has been read, packed as it is."""
        return 0 if self.size_bytes is None else self._raw.tell()

    def rows(
        self, *, ignore_unknown: bool = False, clear_empty: bool = False
    ) -> Generator[tuple[int, object] | Refused]:
        """
        Args:
            ignore_unknown: Leave out columns and keys that a film does not have.
            clear_empty: An empty cell empties the field, rather than leaving it alone.

        Raises:
            UnusableFile: From the start, or from where on it cannot be read.
        """
        lines = None
        try:
            packed = self._raw.peek(2).startswith(GZIP)
            stream = gzip.GzipFile(fileobj=self._raw) if packed else self._raw
            head = stream.peek(4096)
            _refuse_no_text(head)
            with _as_text(stream) as text:
                lines = Lines(text)
                if head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{"):
                    yield from self._read_json_lines(lines, ignore_unknown=ignore_unknown)
                else:
                    header = read_header(lines, ignore_unknown=ignore_unknown)
                    self._leave_out(header.columns)
                    yield from read_spreadsheet(lines, header, clear_empty=clear_empty)
        except (EOFError, OSError, zlib.error) as error:
            number = lines.number if lines else 0
            raise UnusableFile(f"cannot be read beyond line {number}: {error}") from error

    def _read_json_lines(
        self, lines: Lines, *, ignore_unknown: bool
    ) -> Iterator[tuple[int, object] | Refused]:
        for line in lines:
            if line.fault:
                yield refused(line.number, "body", line.fault)
            elif line.text.strip():
                try:
                    row = orjson.loads(line.text)
                except orjson.JSONDecodeError as error:
                    yield refused(line.number, "body", f"The line is not JSON: {error}")
                    continue
                if ignore_unknown and isinstance(row, dict):
                    self._leave_out(row)
                    row = {name: row[name] for name in FIELDS if name in row}
                yield line.number, row

    def _leave_out(self, names: Iterable[str]) -> None:
        for name in names:
            is_new = name and name not in FIELDS and name not in self.left_out
            if is_new and len(self.left_out) < MAX_LEFT_OUT:
                self.left_out.append(name)


@contextmanager
def opened(path: str) -> Iterator[InputFile]:
    """The file, or standard input if the path is `-`.

    Raises:
        UnusableFile: It is not there, or is none.
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
        text.detach()  # or it would close the stream


def _refuse_no_text(head: bytes) -> None:
    if why := next((why for mark, why in NO_TEXT.items() if head.startswith(mark)), None):
        raise UnusableFile(why)
    if head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
        raise UnusableFile("is one list of JSON. Write one object a line: jq -c '.[]'.")
    if b"\0" in head.partition(b"\n")[0]:
        raise UnusableFile("has NUL bytes in its first line: no text, or UTF-16. Save it as UTF-8.")


SEPARATORS = (",", ";", "\t")
#: Excel's way to name the separator, on a line before the header.
NAMED_SEPARATOR = re.compile(r"sep=([,;|\t])\s*", re.IGNORECASE)
#: Only an overview has line ends, of 10,000 characters at most.
MAX_RECORD_LINES = 10_001


class _OpenQuote(Exception):
    """A record goes on for longer than a film can be."""


@dataclass(frozen=True)
class Header:
    """`columns` are the names of fields; a column without a name has to be empty."""

    columns: Sequence[str]
    separator: str


def read_spreadsheet(
    lines: Lines, header: Header, *, clear_empty: bool
) -> Iterator[tuple[int, object] | Refused]:
    for record in _Records(lines, header):
        if isinstance(record, Refused):
            yield record
            continue
        number, cells = record
        row = {}
        for column, cell in zip(header.columns, cells, strict=True):
            if column not in FIELDS:
                continue
            if (value := from_cell(column, cell)) is not None:
                row[column] = value
            elif clear_empty and column in EMPTY:
                row[column] = EMPTY[column]
        yield number, row


def read_header(lines: Lines, *, ignore_unknown: bool) -> Header:
    """
    Raises:
        UnusableFile: The header is none, or has other columns.
    """
    line = _first_line(lines)
    separators: Sequence[str] = SEPARATORS
    if named := NAMED_SEPARATOR.fullmatch(line.text):
        separators = (named[1],)
        line = _first_line(lines)
    headers = [Header(_columns(line.text, separator), separator) for separator in separators]
    header = max(headers, key=lambda header: len(set(FIELDS).intersection(header.columns)))
    _check(header, ignore_unknown=ignore_unknown)
    return header


def _first_line(lines: Lines) -> Line:
    line = next((line for line in lines if line.text.strip() or line.fault), None)
    if line is None:
        raise UnusableFile("is empty.")
    if line.fault:
        raise UnusableFile(f"has no header. {line.fault}")
    return line


def _columns(text: str, separator: str) -> list[str]:
    """`Start date` is start_date."""
    try:
        cells = next(csv.reader([text], delimiter=separator))
    except csv.Error:
        return []
    return ["_".join(cell.lower().replace("_", " ").replace("-", " ").split()) for cell in cells]


def _check(header: Header, *, ignore_unknown: bool) -> None:
    columns = [column for column in header.columns if column]
    known = ", ".join(FIELDS)
    if not set(FIELDS).intersection(columns):
        raise UnusableFile(f"is no file of films: its first line names none of {known}.")
    if doubled := [name for name, times in Counter(columns).items() if times > 1]:
        raise UnusableFile(f"has twice: {_listed(doubled)}.")
    if missing := [name for name in REQUIRED if name not in columns]:
        raise UnusableFile(f"lacks {', '.join(missing)}.")
    unknown = [name for name in columns if name not in FIELDS]
    if unknown and not ignore_unknown:
        raise UnusableFile(
            f"has columns that a film does not: {_listed(unknown)}. A film's are {known}. "
            "With --ignore-unknown the others are left out."
        )


def _listed(columns: Sequence[str]) -> str:
    """Quoted, as they may be anything at all."""
    return ", ".join(repr(name[:40]) for name in columns[:10])


class _Records:
    """Cells with the number of their first line; what cannot be one is refused.

    A quotation mark that is left open would swallow the lines below, so of what is refused only
    the first line is taken for the fault, and the others are read again.
    """

    def __init__(self, lines: Lines, header: Header) -> None:
        self._lines = lines
        self._header = header
        self._again: deque[Line] = deque()
        self._taken: list[Line] = []
        self._length = 0

    def __iter__(self) -> Iterator[tuple[int, list[str]] | Refused]:
        reader = self._reader()
        while True:
            self._taken, self._length = [], 0
            try:
                cells = next(reader)
                fault = self._fault(cells)
            except StopIteration:
                return
            except (csv.Error, _OpenQuote) as error:
                fault = _explained(error)
            number = self._taken[0].number
            if fault:
                yield refused(number, "body", fault)
                self._again.extendleft(reversed(self._taken[1:]))
                reader = self._reader()
            elif any(cell.strip() for cell in cells):
                yield number, cells

    def _reader(self) -> Iterator[list[str]]:
        pulled = iter(self._pull, None)
        return csv.reader(pulled, delimiter=self._header.separator, strict=True)

    def _pull(self) -> str | None:
        line = self._again.popleft() if self._again else next(self._lines, None)
        if line is None:
            return None
        self._taken.append(line)
        self._length += len(line.text)
        if self._length > MAX_LINE or len(self._taken) > MAX_RECORD_LINES:
            raise _OpenQuote
        return line.text

    def _fault(self, cells: Sequence[str]) -> str | None:
        if fault := next((line.fault for line in self._taken if line.fault), None):
            return fault
        columns = self._header.columns
        if len(cells) != len(columns) and any(cell.strip() for cell in cells):
            return f"There are {len(cells)} cells for {len(columns)} columns."
        nameless = (cell for column, cell in zip(columns, cells, strict=False) if not column)
        if any(cell.strip() for cell in nameless):
            return "There is something in a column without a name."
        return None


def _explained(error: Exception) -> str:
    if "expected after" in str(error):
        return "A quotation mark within quotation marks must be doubled."
    return "A quotation mark is left open, or a cell is far too long."


FIELDS = tuple(ImportedMovie.model_fields)
REQUIRED = tuple(name for name in FIELDS if ImportedMovie.model_fields[name].is_required())
LISTS = ("protagonists", "genres", "keywords", "directors")
#: What a field is without a value, where it can be.
EMPTY: dict[str, Any] = {
    "overview": "", "genres": [], "keywords": [], "directors": [], "series": "", "poster": None,
    "trailer": None, "end_date": None, "status": None, "original_language": None,
    "release_year": None, "runtime_minutes": None, "tmdb_id": None,
}  # fmt: skip

# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = r"[=+\-@\t\r\n＝＋－＠]"
NEEDS_APOSTROPHE = re.compile(f"'*{FORMULA}")
HAS_APOSTROPHE = re.compile(f"'+{FORMULA}")

ENTRY = re.compile(r"((?:\\[\\|]|[^|])*)(?:\||$)", re.DOTALL)
SLUG_AND_NAME = re.compile(r"([-\w]+)=(.+)", re.DOTALL)
#: As a German spreadsheet shows a date, and so saves it.
WITH_POINTS = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")


def to_cell(name: str, value: Any) -> str:
    if name == "genres":
        value = [_genre_entry(genre) for genre in value]
    text = "|".join(map(_escaped, value)) if name in LISTS else "" if value is None else str(value)
    return guarded(text)


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if NEEDS_APOSTROPHE.match(text) else text


def from_cell(name: str, cell: str) -> Any:
    """What a row of JSON would have there; None if the cell is empty."""
    text = cell[1:] if HAS_APOSTROPHE.match(cell) else cell
    if name == "overview":
        return text or None
    text = text.strip()
    if name in LISTS:
        entries = [entry for found in ENTRY.finditer(text) if (entry := _unescaped(found[1]))]
        return ([_genre(entry) for entry in entries] if name == "genres" else entries) or None
    if name.endswith("_date") and (found := WITH_POINTS.fullmatch(text)):
        day, month, year = found.groups()
        return f"{year}-{month:0>2}-{day:0>2}"
    return text or None


def _escaped(entry: str) -> str:
    return entry.replace("\\", "\\\\").replace("|", "\\|")


def _unescaped(entry: str) -> str:
    return re.sub(r"\\([\\|])", r"\1", entry).strip()


def _genre_entry(genre: Mapping[str, str]) -> str:
    """The name alone if an import makes the same genre of it."""
    slug, name = genre["slug"], genre["name"]
    is_plain = "=" not in name and name != slug and slug_of(name)[:60] == slug
    return name if is_plain else f"{slug}={name}"


def _genre(entry: str) -> str | dict[str, str]:
    found = SLUG_AND_NAME.fullmatch(entry)
    return {"slug": found[1], "name": found[2]} if found else entry


CHUNK = 1_000


def count_films() -> int:
    return Movie.objects.published().count()


def json_lines() -> Iterator[bytes]:
    for film in _films():
        yield orjson.dumps(film) + b"\n"


def csv_lines(separator: str) -> Iterator[bytes]:
    """With a byte order mark, without which Excel takes it for its own encoding."""
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
    """All published ones as they are at one moment, read bit by bit."""
    genres = Genre.objects.filter(movies=OuterRef("pk")).values(
        key=JSONObject(slug="slug", name="name")
    )
    columns = [name for name in FIELDS if name != "genres"]
    films = Movie.objects.published().order_by("pk").annotate(its_genres=ArraySubquery(genres))
    for film in films.values("its_genres", "status_is_manual", *columns).iterator(CHUNK):
        # A status by the clock is none to bring in: it would be one set by hand.
        film["status"] = film["status"] if film["status_is_manual"] else None
        film["genres"] = sorted(film["its_genres"], key=lambda genre: str(genre["slug"]))
        yield {name: film[name] for name in FIELDS}
