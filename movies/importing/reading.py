"""A file of films, whatever it is: told by its bytes, and read row by row."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from typing import TextIO, cast

import orjson

from movies.importing.cells import FIELDS
from movies.importing.lines import Lines, UnusableFile
from movies.importing.rows import Refused, refused
from movies.importing.spreadsheets import read_header, read_spreadsheet

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
