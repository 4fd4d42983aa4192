"""The films of a folder, with their TMDb ids."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter, ValidationError

from movies.schemas import GenreName
from movies.types import Title
from recommendations.importing.titles import YEARS, parse_title
from recommendations.movielens.files import (
    Folder,
    LineRefused,
    Refusals,
    decode,
    numbered_lines,
    shown,
    whole_number,
    wrong_fields,
)

NO_GENRES = "(no genres listed)"
#: Of a line of either file.
FIELDS = 3
#: The last columns of `u.item` in ml-100k, where 1 says that the film is of the genre. The columns
#: before them: number, title, release date, date of the video, address at IMDb.
FLAGS = (
    NO_GENRES, "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)  # fmt: skip
FLAGGED_FIELDS = 5 + len(FLAGS)
#: As in "01-Jan-1995".
RELEASE_DATE = re.compile(r"\d{1,2}-[A-Z][a-z]{2}-(\d{4})")
#: As ml-1m calls what the others call "Children".
RENAMED_GENRES = {"Children's": "Children"}

#: Room is left for the " (2)" of a second film of the same name.
NAME = TypeAdapter[str](Annotated[Title, StringConstraints(max_length=290)])
GENRE = TypeAdapter[str](GenreName)


@dataclass(frozen=True)
class Film:
    """A line of the films' file; `other_names` are those that its title is made of."""

    number: int
    name: str
    other_names: tuple[str, ...]
    release_year: int | None
    genres: tuple[str, ...]
    tmdb_id: int | None = None


def read_films(folder: Folder, refusals: Refusals) -> list[Film]:
    """In the file's order. Of several with one TMDb id, only the first one has it."""
    films: dict[int, Film] = {}
    parse = _parse_flagged_film if folder.has_genre_flags else _parse_film
    n_fields = FLAGGED_FIELDS if folder.has_genre_flags else FIELDS
    for number, fields in split_lines(folder, folder.films, refusals, n_fields=n_fields):
        try:
            film = parse(fields)
            if film.number in films:
                raise LineRefused(f"movie {film.number} stands there a second time")
        except LineRefused as reason:
            refusals.add(folder.films, number, reason)
        else:
            films[film.number] = film
    taken = set()
    for owner, tmdb_id in _read_links(folder, films.keys(), refusals):
        if tmdb_id not in taken:
            taken.add(tmdb_id)
            films[owner] = replace(films[owner], tmdb_id=tmdb_id)
    return list(films.values())


def _parse_film(fields: list[str]) -> Film:
    number, text, genres = fields
    title = parse_title(text)
    return Film(
        number=whole_number(number, "movieId"),
        name=_checked(NAME, title.name, "title"),
        other_names=title.others,
        release_year=title.release_year,
        genres=tuple(
            _genre(genre) for genre in genres.strip().split("|") if genre not in ("", NO_GENRES)
        ),
    )


def _parse_flagged_film(fields: list[str]) -> Film:
    """The release date stands in for a title without a year."""
    number, title, released, _, _, *flags = fields
    genres = [genre for genre, flag in zip(FLAGS, flags, strict=True) if flag.strip() == "1"]
    film = _parse_film([number, title, "|".join(genres)])
    found = RELEASE_DATE.fullmatch(released.strip())
    if film.release_year is None and found and int(found[1]) in YEARS:
        return replace(film, release_year=int(found[1]))
    return film


@cache
def _genre(text: str) -> str:
    return _checked(GENRE, RENAMED_GENRES.get(text, text), "genre")


def _checked(adapter: TypeAdapter[str], text: str, what: str) -> str:
    """The text as the API would store it."""
    try:
        return adapter.validate_python(text)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise LineRefused(f"{what} {shown(text)} cannot be used: {reason}") from error


def _read_links(
    folder: Folder, films: Collection[int], refusals: Refusals
) -> Iterator[tuple[int, int]]:
    """Each film's number with its TMDb id, where it has one."""
    if folder.links is None:
        return
    for number, fields in split_lines(folder, folder.links, refusals, n_fields=FIELDS):
        try:
            film = whole_number(fields[0], "movieId")
            if film not in films:
                raise LineRefused(f"unknown movie {film}")
            if fields[2].strip():
                yield film, whole_number(fields[2], "tmdbId")
        except LineRefused as reason:
            refusals.add(folder.links, number, reason)


def split_lines(
    folder: Folder, path: Path, refusals: Refusals, *, n_fields: int
) -> Iterator[tuple[int, list[str]]]:
    """The number of each line, and its fields."""
    for number, line in numbered_lines(folder, path):
        try:
            fields = _split(decode(line, folder), folder.separator_of(path))
            if len(fields) != n_fields:
                raise wrong_fields(len(fields), n_fields)
        except LineRefused as reason:
            refusals.add(path, number, reason)
        else:
            yield number, fields


def _split(line: str, separator: str) -> list[str]:
    if separator != ",":
        return line.split(separator)
    try:
        # One line at a time, or a quotation mark left open would swallow all that follows.
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise LineRefused(f"not comma-separated values: {error}") from error
