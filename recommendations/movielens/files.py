"""The films, links and tags of a MovieLens folder, and the lines that are refused."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

from pydantic import StringConstraints, TypeAdapter, ValidationError

from movies.importing.matching import YEARS, parse_title
from movies.importing.schemas import Keyword
from movies.importing.tables import RowRefused
from movies.schemas import GenreName
from movies.types import Title

T = TypeVar("T")

#: The number of refused lines that are named; the rest are counted.
MAX_NAMED = 20
#: The files of films and of ratings in each format, and the separators in the two.
FORMATS = (
    ("movies.csv", "ratings.csv", ",", ","),
    ("movies.dat", "ratings.dat", "::", "::"),
    ("u.item", "u.data", "|", "\t"),
)
#: The first line of each CSV file.
HEADERS = {
    "movies.csv": "movieId,title,genres",
    "ratings.csv": "userId,movieId,rating,timestamp",
    "links.csv": "movieId,imdbId,tmdbId",
    "tags.csv": "userId,movieId,tag,timestamp",
}
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
#: The start date of a film without a year.
NO_START_DATE = date(1970, 1, 1)

#: The " (2)" of a second film of the same name needs room.
NAME = TypeAdapter[str](Annotated[Title, StringConstraints(max_length=290)])
GENRE = TypeAdapter[str](GenreName)
TAG = TypeAdapter[str](Keyword)


class NotMovieLens(Exception):
    """The folder, or a file in it, is not one that MovieLens has published."""


@dataclass(frozen=True)
class Folder:
    """
    Attributes:
        links: The file of the TMDb ids, which the older folders lack.
        tags: None in ml-1m and ml-100k.
        separator: That of all files but the films, which have their own in ml-100k.
    """

    films: Path
    ratings: Path
    links: Path | None
    tags: Path | None
    film_separator: str
    separator: str
    encoding: str

    @property
    def has_headers(self) -> bool:
        return self.separator == ","

    @property
    def has_genre_flags(self) -> bool:
        return self.film_separator == "|"


@dataclass(frozen=True)
class MovieLensFilm:
    """`number` is the movieId."""

    number: int
    name: str
    release_year: int | None
    genres: tuple[str, ...]
    tmdb_id: int | None = None

    @property
    def start_date(self) -> date:
        return date(self.release_year, 1, 1) if self.release_year else NO_START_DATE


class Tag(NamedTuple):
    """`viewer` and `film` are userId and movieId."""

    viewer: int
    film: int
    text: str


class RefusedLines:
    """Counts refused lines and reports the first ones.

    Attributes:
        count: The number of refused lines.
        n_long_tags: The number of tags that are left out because they are remarks.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.count = 0
        self.n_long_tags = 0
        self._tell = tell

    def add(self, path: Path, number: int, reason: RowRefused) -> None:
        self.count += 1
        if self.count <= MAX_NAMED:
            self._tell(f"{path.name}:{number}: {reason}")

    def tell_rest(self) -> None:
        if self.count > MAX_NAMED:
            self._tell(f"... and {self.count - MAX_NAMED:,} more lines were refused")


def open_folder(path: Path) -> Folder:
    """Recognise the format by the files that exist.

    Raises:
        NotMovieLens: The files do not exist, or begin with another header.
    """
    if not path.is_dir():
        raise NotMovieLens(f"{path} is not a folder.")
    found = (each for each in FORMATS if all((path / name).is_file() for name in each[:2]))
    if (names := next(found, None)) is None:
        raise NotMovieLens(
            f"{path} is not a MovieLens folder: looked for movies.csv with ratings.csv "
            "(ml-latest-small, ml-25m, ml-32m), for movies.dat with ratings.dat (ml-1m, ml-10m) "
            "and for u.item with u.data (ml-100k)."
        )
    films, ratings = path / names[0], path / names[1]
    others = (path / f"{name}{films.suffix}" for name in ("links", "tags"))
    links, tags = (other if other.is_file() else None for other in others)
    # ml-1m and ml-100k are Latin-1, and have no tags.
    is_utf8 = films.suffix == ".csv" or tags is not None or _is_utf8(films)
    folder = Folder(films, ratings, links, tags, *names[2:], "utf-8" if is_utf8 else "latin-1")
    if folder.has_headers:
        for file in filter(None, (films, ratings, links, tags)):
            _check_header(file)
    return folder


def _is_utf8(path: Path) -> bool:
    try:
        path.read_bytes().decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        found = file.readline(200).decode("utf-8-sig", errors="replace").strip()
    if found != HEADERS[path.name]:
        raise NotMovieLens(f"{path} begins with {found!r} instead of {HEADERS[path.name]!r}.")


def read_films(folder: Folder, refused: RefusedLines) -> list[MovieLensFilm]:
    """Read the films in the file's order. The first of several with one TMDb id has it."""
    films: dict[int, MovieLensFilm] = {}
    n_fields = 5 + len(GENRE_FLAGS) if folder.has_genre_flags else 3
    parse = partial(_flagged_film if folder.has_genre_flags else _film, films)
    for film in _parsed(folder, folder.films, refused, n_fields, parse):
        films[film.number] = film
    taken = set()
    for owner, tmdb_id in _parsed(folder, folder.links, refused, 3, partial(_link, films)):
        if tmdb_id is not None and tmdb_id not in taken:
            taken.add(tmdb_id)
            films[owner] = replace(films[owner], tmdb_id=tmdb_id)
    return list(films.values())


def read_tags(folder: Folder, films: Container[int], refused: RefusedLines) -> Iterator[Tag]:
    """Yield the tags one by one, as there can be millions; remarks are left out."""
    for tag in _parsed(folder, folder.tags, refused, 4, partial(_tag, films)):
        if tag is None:
            refused.n_long_tags += 1
        else:
            yield tag


def _parsed(
    folder: Folder,
    path: Path | None,
    refused: RefusedLines,
    n_fields: int,
    parse: Callable[[list[str]], T],
) -> Iterator[T]:
    """Parse each line, and refuse those that cannot be parsed."""
    if path is None:
        return
    separator = folder.film_separator if path == folder.films else folder.separator
    for number, line in numbered_lines(folder, path):
        try:
            parsed = parse(split_line(line, separator, folder.encoding, n_fields))
        except RowRefused as reason:
            refused.add(path, number, reason)
        else:
            yield parsed


def numbered_lines(folder: Folder, path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines below the header that are not blank."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not (number == 1 and folder.has_headers):
                yield number, line


def split_line(line: bytes, separator: str, encoding: str, n_fields: int) -> list[str]:
    """
    Raises:
        RowRefused: The bytes are not in the encoding, or the number of fields is another.
    """
    try:
        text = line.rstrip(b"\r\n").decode(encoding)
        # A single line: otherwise an open quotation mark would swallow the lines below it.
        is_csv = separator == ","
        fields = next(csv.reader([text], strict=True)) if is_csv else text.split(separator)
    except UnicodeDecodeError as error:
        raise RowRefused(f"invalid {encoding.upper()} at byte {error.start + 1}") from error
    except csv.Error as error:
        raise RowRefused(f"not comma-separated values: {error}") from error
    if len(fields) != n_fields:
        unit = "field" if len(fields) == 1 else "fields"
        raise RowRefused(f"{len(fields)} {unit} instead of {n_fields}")
    return fields


def _film(known: Container[int], fields: list[str]) -> MovieLensFilm:
    title = parse_title(fields[1])
    named = [genre for genre in fields[2].strip().split("|") if genre not in ("", NO_GENRES)]
    number = whole_number(fields[0], "movieId")
    name = _validated(NAME, title.name, "title")
    film = MovieLensFilm(number, name, title.release_year, tuple(map(_genre, named)))
    if number in known:
        raise RowRefused(f"movie {number} stands there a second time")
    return film


def _flagged_film(known: Container[int], fields: list[str]) -> MovieLensFilm:
    """Take the year of the release date for a title without one."""
    number, title, released, _, _, *flags = fields
    genres = [genre for genre, flag in zip(GENRE_FLAGS, flags, strict=True) if flag.strip() == "1"]
    film = _film(known, [number, title, "|".join(genres)])
    found = RELEASE_DATE.fullmatch(released.strip())
    if film.release_year is None and found and int(found[1]) in YEARS:
        return replace(film, release_year=int(found[1]))
    return film


def _link(films: Container[int], fields: list[str]) -> tuple[int, int | None]:
    film = _known_film(fields[0], films)
    return film, whole_number(fields[2], "tmdbId") if fields[2].strip() else None


def _tag(films: Container[int], fields: list[str]) -> Tag | None:
    viewer, film = whole_number(fields[0], "userId"), _known_film(fields[1], films)
    whole_number(fields[3], "timestamp", below=2**63)
    text = fields[2].strip()
    return Tag(viewer, film, _keyword(text)) if len(text) <= MAX_TAG else None


def _known_film(text: str, films: Container[int]) -> int:
    film = whole_number(text, "movieId")
    if film not in films:
        raise RowRefused(f"unknown movie {film}")
    return film


@cache
def _genre(text: str) -> str:
    return _validated(GENRE, RENAMED_GENRES.get(text, text), "genre")


@lru_cache(maxsize=100_000)  # ml-25m has a million tags of 73,000 texts
def _keyword(text: str) -> str:
    return _validated(TAG, text, "tag")


def _validated(adapter: TypeAdapter[str], text: str, name: str) -> str:
    """Return the text as the API would store it."""
    try:
        return adapter.validate_python(text)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise RowRefused(f"{name} {quoted(text)} cannot be used: {reason}") from error


def whole_number(text: str, name: str, *, below: int = 2**31) -> int:
    """Parse a number that by default fits an integer column.

    Raises:
        RowRefused: The text is not a number, is negative, or is out of range.
    """
    digits = text.strip(' "')
    if digits.startswith("-") and digits[1:].isdecimal():
        raise RowRefused(f"{name} {digits} is negative")
    if not digits.isdecimal():
        raise RowRefused(f"{name} {quoted(text)} is not a whole number")
    if len(digits) > 19 or int(digits) >= below:
        raise RowRefused(f"{name} {quoted(text)} is out of range")
    return int(digits)


def quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
