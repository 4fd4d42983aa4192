"""What viewers have called the films, in the folders that tell it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator
from functools import lru_cache
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from movies.importing.schemas import Keyword
from movies.search.text import fold
from recommendations.movielens.files import Folder, LineRefused, Refusals, shown, whole_number
from recommendations.movielens.films import split_lines

#: Of a line: viewer, film, tag, Unix seconds.
FIELDS = 4
#: A longer one is a remark on the film, of which every published folder has some.
MAX_LENGTH = 80

TEXT = TypeAdapter[str](Keyword)


class Tag(NamedTuple):
    """`viewer` and `film` are MovieLens' numbers."""

    viewer: int
    film: int
    text: str


def read_tags(folder: Folder, films: Container[int], refusals: Refusals) -> dict[int, set[str]]:
    """The tags of each film that has any, folded, by the film's number."""
    tags: dict[int, set[str]] = defaultdict(set)
    for tag in tag_lines(folder, films, refusals):
        tags[tag.film].add(" ".join(fold(tag.text).split()))
    return tags


def tag_lines(folder: Folder, films: Container[int], refusals: Refusals) -> Iterator[Tag]:
    """In the file's order, one at a time: there can be millions. Long ones are left out."""
    if folder.tags is None:
        return
    for number, fields in split_lines(folder, folder.tags, refusals, n_fields=FIELDS):
        try:
            viewer, film = whole_number(fields[0], "userId"), whole_number(fields[1], "movieId")
            whole_number(fields[3], "timestamp", below=2**63)
            if film not in films:
                raise LineRefused(f"unknown movie {film}")
            if len(text := fields[2].strip()) <= MAX_LENGTH:
                yield Tag(viewer, film, _as_keyword(text))
            else:
                refusals.long_tags += 1
        except LineRefused as reason:
            refusals.add(folder.tags, number, reason)


@lru_cache(maxsize=100_000)  # ml-25m has a million tags of 73,000 texts
def _as_keyword(text: str) -> str:
    try:
        return TEXT.validate_python(text)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise LineRefused(f"tag {shown(text)} cannot be used: {reason}") from error
