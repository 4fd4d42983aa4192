"""What both containers of video share: a tree of elements that say what and how long they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO

from movies.errors import FileRefused

#: Of a video cut into fragments of a second each, an hour has some ten thousand.
MAX_PARTS = 100_000
#: What a header describes: tracks, and what there is to say of each.
MAX_DETAILS = 100


@dataclass(frozen=True)
class Element:
    """One element; its content is the bytes from `start` to `end` of the file."""

    kind: bytes
    start: int
    end: int


def damaged() -> FileRefused:
    return FileRefused("The video is damaged or cut short.")


def read_exactly(file: IO[bytes], offset: int, size: int) -> bytes:
    """Raises: FileRefused: The file ends before."""
    file.seek(offset)
    content = file.read(size)
    if len(content) < size:
        raise damaged()
    return content


def at_most(limit: int, elements: Iterator[Element]) -> list[Element]:
    """The elements; a file of millions of empty ones would keep the server busy.

    Raises:
        FileRefused: There are more.
    """
    found = list(islice(elements, limit + 1))
    if len(found) > limit:
        raise damaged()
    return found
