"""The files of a MovieLens folder in the four published formats, and the lines that are refused."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from movies.importing.tables import RowRefused

#: The number of refused lines that are named; the rest are counted.
MAX_NAMED = 20
#: The first line of each CSV file.
HEADERS = {
    "movies.csv": "movieId,title,genres",
    "ratings.csv": "userId,movieId,rating,timestamp",
    "links.csv": "movieId,imdbId,tmdbId",
    "tags.csv": "userId,movieId,tag,timestamp",
}


class NotMovieLens(Exception):
    """The folder, or a file in it, is not one that MovieLens has published."""


@dataclass(frozen=True)
class Folder:
    """
    Attributes:
        links: The file of the TMDb ids, which the older folders lack.
        tags: None in ml-1m and ml-100k.
        film_separator: The separator of `films`; `separator` is that of the other files.
    """

    films: Path
    ratings: Path
    links: Path | None
    tags: Path | None
    separator: str
    film_separator: str
    encoding: str

    @property
    def has_headers(self) -> bool:
        return self.separator == ","

    @property
    def has_genre_flags(self) -> bool:
        """Whether a film has a column for each genre, as in ml-100k."""
        return self.film_separator == "|"


def open_folder(path: Path) -> Folder:
    """Recognise the format by the files that exist.

    Raises:
        NotMovieLens: The files do not exist, or begin with another header.
    """
    if not path.is_dir():
        raise NotMovieLens(f"{path} is not a folder.")
    links, tags = (_existing(path / f"{name}.csv") for name in ("links", "tags"))
    if _existing(path / "movies.csv") and _existing(path / "ratings.csv"):
        folder = Folder(
            path / "movies.csv", path / "ratings.csv", links, tags, ",", ",", encoding="utf-8"
        )
        for file in filter(None, (folder.films, folder.ratings, links, tags)):
            _check_header(file)
        return folder
    if (films := _existing(path / "movies.dat")) and _existing(path / "ratings.dat"):
        # ml-10m has tags and is UTF-8; ml-1m has none and is Latin-1.
        tags = _existing(path / "tags.dat")
        encoding = "utf-8" if tags or _is_utf8(films) else "latin-1"
        return Folder(films, path / "ratings.dat", None, tags, "::", "::", encoding)
    if _existing(path / "u.item") and _existing(path / "u.data"):
        return Folder(path / "u.item", path / "u.data", None, None, "\t", "|", "latin-1")
    raise NotMovieLens(
        f"{path} is not a MovieLens folder: looked for movies.csv with ratings.csv "
        "(ml-latest-small, ml-25m, ml-32m), for movies.dat with ratings.dat (ml-1m, ml-10m) and "
        "for u.item with u.data (ml-100k)."
    )


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        found = file.readline(200).decode("utf-8-sig", errors="replace").strip()
    if found != HEADERS[path.name]:
        raise NotMovieLens(f"{path} begins with {found!r} instead of {HEADERS[path.name]!r}.")


def _is_utf8(path: Path) -> bool:
    try:
        path.read_bytes().decode()
    except UnicodeDecodeError:
        return False
    return True


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


def split_lines(
    folder: Folder, path: Path, refused: RefusedLines, *, n_fields: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line below the header that is not blank."""
    separator = folder.film_separator if path == folder.films else folder.separator
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or (number == 1 and folder.has_headers):
                continue
            try:
                yield number, split_line(line, separator, folder.encoding, n_fields)
            except RowRefused as reason:
                refused.add(path, number, reason)


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
