"""Comma-separated values as spreadsheets save them, with whatever separator, by their header."""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from movies.importing.cells import EMPTY, FIELDS, REQUIRED, from_cell
from movies.importing.lines import MAX_LINE, Line, Lines, UnusableFile
from movies.importing.rows import Refused, refused

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
