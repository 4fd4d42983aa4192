"""The lines of a text that may be of any size and broken anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

#: Of characters. The longest film that can be is a tenth of it.
MAX_LINE = 1_000_000
#: What `surrogateescape` makes of bytes that are no UTF-8.
UNDECODED = re.compile("[\udc80-\udcff]")


class UnusableFile(Exception):
    """The file is none of films, or cannot be read on. The message continues its name."""


@dataclass(frozen=True)
class Line:
    """`fault` says why the line cannot be used."""

    number: int
    text: str
    fault: str | None = None


class Lines:
    """Of a stream that was opened with `errors="surrogateescape"` and `newline=""`.

    Attributes:
        number: Of the line that was read last.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.number = 0

    def __iter__(self) -> Iterator[Line]:
        return self

    def __next__(self) -> Line:
        text = self._stream.readline(MAX_LINE)
        if not text:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            text = text.removeprefix("\ufeff")
        if len(text) >= MAX_LINE and not text.endswith(("\n", "\r")):
            self._skip_the_rest()
            return Line(self.number, "", f"The line has more than {MAX_LINE:,} characters.")
        if not text.isascii() and (found := UNDECODED.search(text)):
            byte = ord(found[0]) - 0xDC00
            fault = f"The byte 0x{byte:02X} is no UTF-8. Save the file as UTF-8."
            return Line(self.number, text, fault)
        return Line(self.number, text)

    def _skip_the_rest(self) -> None:
        while (text := self._stream.readline(MAX_LINE)) and not text.endswith(("\n", "\r")):
            pass
