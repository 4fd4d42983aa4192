"""Lines that cannot be used: named, counted, and passed over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

#: So many are named; of the rest only the count is told.
NAMED = 20


class LineRefused(ValueError):
    """A line cannot be used; the message is the reason."""


class Refusals:
    """What was refused so far. `tell` gets a line of text for each of the first ones.

    Attributes:
        long_tags: How many tags are left out because they are remarks.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.count = 0
        self.long_tags = 0
        self._tell = tell

    def add(self, path: Path, number: int, reason: LineRefused) -> None:
        self.count += 1
        if self.count <= NAMED:
            self._tell(f"{path.name}:{number}: {reason}")

    def tell_the_rest(self) -> None:
        if self.count > NAMED:
            self._tell(f"... and {self.count - NAMED:,} more lines were refused")


def whole_number(text: str, what: str, *, below: int = 2**31) -> int:
    """The number that a field holds; by default one that fits an integer column.

    Raises:
        LineRefused: It is none, is negative, or is out of range.
    """
    digits = text.strip(' "')
    if digits.startswith("-") and digits[1:].isdecimal():
        raise LineRefused(f"{what} {digits} is negative")
    if not digits.isdecimal():
        raise LineRefused(f"{what} {shown(text)} is not a whole number")
    if len(digits) > 19 or int(digits) >= below:
        raise LineRefused(f"{what} {shown(text)} is out of range")
    return int(digits)


def shown(text: str) -> str:
    """The text quoted, and cut where nobody would read on."""
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def wrong_fields(found: int, expected: int) -> LineRefused:
    return LineRefused(f"{found} {'field' if found == 1 else 'fields'} instead of {expected}")
