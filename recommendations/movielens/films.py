"""The films of a folder with their TMDb ids, and their tags."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Annotated, NamedTuple

from pydantic import StringConstraints, TypeAdapter, ValidationError

from movies.importing.schemas import Keyword
from movies.importing.tables import RowRefused
from movies.schemas import GenreName
from movies.types import Title
from recommendations.importing.matching import YEARS, parse_title
from recommendations.movielens.files import (
    Folder,
    RefusedLines,
    quoted,
    split_lines,
    whole_number,
)

NO_GENRES = "(no genres listed)"
#: The last columns of `u.item` in ml-100k, where 1 says that the film has the genre. The columns
#: before them: number, title, release date, date of the video, address at IMDb.
GENRE_FLAGS = (
    NO_GENRES, "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)  # fmt: skip
#: As in "01-Jan-1995".
RELEASE_DATE = re.compile(r"\d{1,2}-[A-Z][a-z]{2}-(\d{4})")
#: ml-1m calls the genre "Children" so.
RENAMED_GENRES = {"Children's": "Children"}
#: A longer tag is a remark on the film; every published folder has some.
MAX_TAG = 80

#: The " (2)" of a second film of the same name needs room.
NAME = TypeAdapter[str](Annotated[Title, StringConstraints(max_length=290)])
GENRE = TypeAdapter[str](GenreName)
TAG = TypeAdapter[str](Keyword)


@dataclass(frozen=True)
class MovieLensFilm:
    """`number` is the movieId; `other_names` are the names that the title consists of."""

    number: int
    name: str
    other_names: tuple[str, ...]
    release_year: int | None
    genres: tuple[str, ...]
    tmdb_id: int | None = None


class Tag(NamedTuple):
    """`viewer` and `film` are userId and movieId."""

    viewer: int
    film: int
    text: str


def read_films(folder: Folder, refused: RefusedLines) -> list[MovieLensFilm]:
    """Read the films in the file's order. The first of several with one TMDb id has it."""
    films: dict[int, MovieLensFilm] = {}
    n_fields = 5 + len(GENRE_FLAGS) if folder.has_genre_flags else 3
    parse = _parse_flagged if folder.has_genre_flags else _parse
    for number, fields in split_lines(folder, folder.films, refused, n_fields=n_fields):
        try:
            film = parse(fields)
            if film.number in films:
                raise RowRefused(f"movie {film.number} stands there a second time")
            films[film.number] = film
        except RowRefused as reason:
            refused.add(folder.films, number, reason)
    taken = set()
    for owner, tmdb_id in _read_links(folder, films.keys(), refused):
        if tmdb_id not in taken:
            taken.add(tmdb_id)
            films[owner] = replace(films[owner], tmdb_id=tmdb_id)
    return list(films.values())


def _parse(fields: list[str]) -> MovieLensFilm:
    number, text, genres = fields
    title = parse_title(text)
    named = [genre for genre in genres.strip().split("|") if genre not in ("", NO_GENRES)]
    return MovieLensFilm(
        number=whole_number(number, "movieId"),
        name=_validated(NAME, title.name, "title"),
        other_names=title.others,
        release_year=title.release_year,
        genres=tuple(map(_genre, named)),
    )


def _parse_flagged(fields: list[str]) -> MovieLensFilm:
    """Take the year of the release date for a title without one."""
    number, title, released, _, _, *flags = fields
    genres = [genre for genre, flag in zip(GENRE_FLAGS, flags, strict=True) if flag.strip() == "1"]
    film = _parse([number, title, "|".join(genres)])
    found = RELEASE_DATE.fullmatch(released.strip())
    if film.release_year is None and found and int(found[1]) in YEARS:
        return replace(film, release_year=int(found[1]))
    return film


@cache
def _genre(text: str) -> str:
    return _validated(GENRE, RENAMED_GENRES.get(text, text), "genre")


def _validated(adapter: TypeAdapter[str], text: str, name: str) -> str:
    """Return the text as the API would store it."""
    try:
        return adapter.validate_python(text)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise RowRefused(f"{name} {quoted(text)} cannot be used: {reason}") from error


def _read_links(
    folder: Folder, films: Collection[int], refused: RefusedLines
) -> Iterator[tuple[int, int]]:
    """Yield the number and the TMDb id of each film that has one."""
    if folder.links is None:
        return
    for number, fields in split_lines(folder, folder.links, refused, n_fields=3):
        try:
            film = _known_film(fields[0], films)
            if fields[2].strip():
                yield film, whole_number(fields[2], "tmdbId")
        except RowRefused as reason:
            refused.add(folder.links, number, reason)


def read_tags(folder: Folder, films: Container[int], refused: RefusedLines) -> Iterator[Tag]:
    """Yield the tags one by one, as there can be millions; remarks are left out."""
    if folder.tags is None:
        return
    for number, fields in split_lines(folder, folder.tags, refused, n_fields=4):
        try:
            viewer, film = whole_number(fields[0], "userId"), _known_film(fields[1], films)
            whole_number(fields[3], "timestamp", below=2**63)
            if len(text := fields[2].strip()) <= MAX_TAG:
                yield Tag(viewer, film, _tag(text))
            else:
                refused.n_long_tags += 1
        except RowRefused as reason:
            refused.add(folder.tags, number, reason)


def _known_film(text: str, films: Container[int]) -> int:
    film = whole_number(text, "movieId")
    if film not in films:
        raise RowRefused(f"unknown movie {film}")
    return film


@lru_cache(maxsize=100_000)  # ml-25m has a million tags of 73,000 texts
def _tag(text: str) -> str:
    return _validated(TAG, text, "tag")
