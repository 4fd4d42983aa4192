"""Which files a MovieLens folder has, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recommendations.movielens.refusals import LineRefused


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
