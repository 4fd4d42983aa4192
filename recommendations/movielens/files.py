"""Which files a MovieLens folder has, and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


class NotMovieLens(Exception):
    """The folder, or a file in it, is none that MovieLens has published."""


@dataclass(frozen=True)
class Folder:
    """`links` is where the TMDb ids are, which the older folders do not have.

    Attributes:
        film_separator: Of the films' file, where the other files have another one.
    """

    films: Path
    ratings: Path
    links: Path | None
    separator: str
    encoding: str
    film_separator: str | None = None

    @property
    def has_headers(self) -> bool:
        return self.separator == ","

    @property
    def has_genre_flags(self) -> bool:
        """Whether a film's line has a column for each genre, as in ml-100k."""
        return self.film_separator is not None

    def separator_of(self, path: Path) -> str:
        return (path == self.films and self.film_separator) or self.separator

    @property
    def tags(self) -> Path | None:
        """None in ml-1m and ml-100k."""
        path = self.ratings.with_stem("tags")
        return path if path.is_file() else None


#: The first line of each file of comma-separated values.
HEADERS = {
    "movies.csv": "movieId,title,genres",
    "ratings.csv": "userId,movieId,rating,timestamp",
    "links.csv": "movieId,imdbId,tmdbId",
    "tags.csv": "userId,movieId,tag,timestamp",
}


def open_folder(path: Path) -> Folder:
    """Recognise the format by the files that are there.

    Raises:
        NotMovieLens: They are not there, or begin with another header.
    """
    if not path.is_dir():
        raise NotMovieLens(f"{path} is not a folder.")
    for suffix in ("csv", "dat"):
        films, ratings = path / f"movies.{suffix}", path / f"ratings.{suffix}"
        if films.is_file() and ratings.is_file():
            return _csv_folder(films, ratings) if suffix == "csv" else _dat_folder(films, ratings)
    films, ratings = path / "u.item", path / "u.data"
    if films.is_file() and ratings.is_file():
        return Folder(films, ratings, None, "\t", "latin-1", film_separator="|")
    raise NotMovieLens(
        f"{path} is not a MovieLens folder: looked for movies.csv with ratings.csv "
        "(ml-latest-small, ml-25m, ml-32m), for movies.dat with ratings.dat (ml-1m, ml-10m) and "
        "for u.item with u.data (ml-100k)."
    )


def _csv_folder(films: Path, ratings: Path) -> Folder:
    links = films.with_name("links.csv")
    folder = Folder(films, ratings, links if links.is_file() else None, ",", "utf-8")
    for path in (films, ratings, folder.links, folder.tags):
        if path is not None:
            _check_header(path)
    return folder


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        found = file.readline(200).decode("utf-8-sig", errors="replace").strip()
    if found != HEADERS[path.name]:
        raise NotMovieLens(f"{path} begins with {found!r} instead of {HEADERS[path.name]!r}.")


def _dat_folder(films: Path, ratings: Path) -> Folder:
    """The two folders of this format differ in the encoding; `tags.dat` is in ml-10m alone."""
    is_10m = films.with_name("tags.dat").is_file()
    encoding = "utf-8" if is_10m or _is_utf8(films) else "latin-1"
    return Folder(films, ratings, None, "::", encoding)


def _is_utf8(path: Path) -> bool:
    try:
        path.read_bytes().decode()
    except UnicodeDecodeError:
        return False
    return True


def numbered_lines(folder: Folder, path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines below the header that are not blank, with their numbers in the file."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip() and not (number == 1 and folder.has_headers):
                yield number, line


def decode(line: bytes, folder: Folder) -> str:
    """The line as text, without its end.

    Raises:
        LineRefused: Its bytes are not in the folder's encoding.
    """
    try:
        return line.rstrip(b"\r\n").decode(folder.encoding)
    except UnicodeDecodeError as error:
        raise LineRefused(f"invalid {folder.encoding.upper()} at byte {error.start + 1}") from error


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
