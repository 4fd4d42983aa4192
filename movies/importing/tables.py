"""Rows of text files with the numbers of their lines, read by every importer.

A file may have any size and any broken bytes: a line and a record are bounded, and a row that
cannot be used is refused alone.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

#: The limit of a line in characters: ten times the longest possible film.
MAX_LINE = 1_000_000
#: Only an overview has line breaks, and it has 10,000 characters at most.
MAX_RECORD_LINES = 10_001
SEPARATORS = (",", ";", "\t")
#: Excel names the separator on a line before the header.
NAMED_SEPARATOR = re.compile(r"\"?sep=([,;|\t])\"?\s*", re.IGNORECASE)
#: The characters that `surrogateescape` makes of bytes that are not UTF-8.
UNDECODED = re.compile("[\udc80-\udcff]")


class UnusableFile(Exception):
    """A file cannot be read, or not to its end. The message continues the name of the file."""


class RowRefused(ValueError):
    """A row cannot be used; the message is the reason."""


@dataclass(frozen=True)
class TextLine:
    """`fault` says why the line cannot be used."""

    number: int
    text: str
    fault: str | None = None


@dataclass(frozen=True)
class CsvRecord:
    """
    Attributes:
        number: The number of the first line.
        fault: Why there are no cells.
        is_broken: Whether the text itself is at fault, and not the number of cells.
    """

    number: int
    cells: Sequence[str]
    fault: str | None = None
    is_broken: bool = False


class TextLines:
    """The lines of a stream that was opened with `newline=""`.

    Attributes:
        number: The number of the line that was read last.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.number = 0

    def __iter__(self) -> Iterator[TextLine]:
        return self

    def __next__(self) -> TextLine:
        text = self._stream.readline(MAX_LINE)
        if not text:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            text = text.removeprefix("\ufeff")
        if len(text) >= MAX_LINE and not text.endswith(("\n", "\r")):
            self._skip_rest()
            return TextLine(self.number, "", f"The line has more than {MAX_LINE:,} characters.")
        if not text.isascii() and (found := UNDECODED.search(text)):
            byte = ord(found[0]) - 0xDC00
            fault = f"The byte 0x{byte:02X} is no UTF-8. Save the file as UTF-8."
            return TextLine(self.number, text, fault)
        return TextLine(self.number, text)

    def _skip_rest(self) -> None:
        while (text := self._stream.readline(MAX_LINE)) and not text.endswith(("\n", "\r")):
            pass


def read_header(lines: TextLines, score: Callable[[list[str]], int] = len) -> tuple[list[str], str]:
    """Read the cells of the header and the separator; the separator with the best score wins.

    Raises:
        UnusableFile: There is no header.
    """
    line = _first_line(lines)
    separators: Sequence[str] = SEPARATORS
    if named := NAMED_SEPARATOR.fullmatch(line.text):
        separators = (named[1],)
        line = _first_line(lines)
    readings = [(_split(line.text, separator), separator) for separator in separators]
    return max(readings, key=lambda reading: score(reading[0]))


def _first_line(lines: TextLines) -> TextLine:
    line = next((line for line in lines if line.text.strip() or line.fault), None)
    if line is None:
        raise UnusableFile("is empty.")
    if line.fault:
        raise UnusableFile(f"has no header. {line.fault}")
    return line


def _split(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error:
        return []


class CsvRecords:
    """The records below the header that are not blank."""

    def __init__(
        self, lines: TextLines, separator: str, *, n_columns: int, max_chars: int = MAX_LINE
    ) -> None:
        self._lines = lines
        self._separator = separator
        self._n_columns = n_columns
        self._max_chars = max_chars
        self._pushed_back: deque[TextLine] = deque()
        self._taken: list[TextLine] = []
        self._chars = 0
        self._reader = self._new_reader()

    def __iter__(self) -> Iterator[CsvRecord]:
        while True:
            self._taken, self._chars = [], 0
            cells: Sequence[str] = ()
            try:
                cells = next(self._reader)
                broken = next((line.fault for line in self._taken if line.fault), None)
            except StopIteration:
                return
            except csv.Error as error:
                broken = _explained(error)
            number = self._taken[0].number
            if broken:
                yield CsvRecord(number, (), broken, is_broken=True)
            elif not any(cell.strip() for cell in cells):
                continue
            elif len(cells) != self._n_columns:
                fault = f"There are {len(cells)} cells for {self._n_columns} columns."
                yield CsvRecord(number, (), fault)
            else:
                yield CsvRecord(number, cells)

    def read_again(self) -> None:
        """Read all lines of the last record again, except its first.

        An open quotation mark in the first line would otherwise swallow the lines below it.
        """
        self._pushed_back.extendleft(reversed(self._taken[1:]))
        self._reader = self._new_reader()

    def _new_reader(self) -> Iterator[list[str]]:
        return csv.reader(iter(self._next_text, None), delimiter=self._separator, strict=True)

    def _next_text(self) -> str | None:
        line = self._pushed_back.popleft() if self._pushed_back else next(self._lines, None)
        if line is None:
            return None
        self._taken.append(line)
        self._chars += len(line.text)
        if self._chars > self._max_chars or len(self._taken) > MAX_RECORD_LINES:
            raise csv.Error("too long")
        return line.text


def _explained(error: csv.Error) -> str:
    if "expected after" in str(error):
        return "A quotation mark within quotation marks must be doubled."
    return "A quotation mark is left open, or a cell is far too long."
