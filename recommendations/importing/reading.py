"""An uploaded file, whatever it is: told by its bytes and its columns, and read row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import IO

from movies.media.errors import FileRefused
from recommendations.importing.archives import Entry, entries_of, is_archive
from recommendations.importing.formats import (
    LETTERBOXD_DIARY,
    LETTERBOXD_RATINGS,
    Deed,
    Format,
    formats_of,
)
from recommendations.importing.rows import Fault, NoFilm, Place, Refused, Row, row_of
from recommendations.importing.tables import Table, table_of

MAX_ROWS = 100_000
#: Of which nearly all are in reviews, or empty.
MAX_LINES = 1_000_000
#: Nobody has seen more.
MAX_FILMS = 30_000


@dataclass
class Upload:
    """What was read.

    Attributes:
        formats: By the name of the file.
        not_films: How many rows are about series, games, and the like.
        lines: In all files, whatever is in them.
    """

    formats: dict[str, Format] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    not_films: int = 0
    lines: int = 0

    @property
    def size(self) -> int:
        return len(self.rows) + len(self.refused) + self.not_films


def read(file: IO[bytes], name: str, content: str | None, now: datetime) -> Upload:
    """
    Args:
        name: As the client calls the file: asked where the columns leave open what it is.
        content: The same, said outright: the name of a format's stem.

    Raises:
        FileRefused: Nothing of it can be used.
    """
    upload = Upload()
    if is_archive(_head(file)):
        for entry in entries_of(file):
            _count_lines(upload, entry)
            _read_if_known(upload, entry, now)
        if not upload.formats:
            raise FileRefused("The zip has no file of Letterboxd, IMDb or Trakt that is known.")
    else:
        entry = Entry(path="", content=file.read())
        _count_lines(upload, entry)
        _read_single(upload, entry, content or Entry(name, b"").stem, now)
    _let_ratings_go_before_the_diary(upload)
    if len({row.film for row in upload.rows}) > MAX_FILMS:
        raise FileRefused(f"There are more than {MAX_FILMS:,} films.")
    return upload


def _head(file: IO[bytes]) -> bytes:
    head = file.read(4)
    file.seek(0)
    return head


def _count_lines(upload: Upload, entry: Entry) -> None:
    """Before they are read: each takes its time, and a zip of nothing else is small."""
    upload.lines += max(entry.content.count(end) for end in (b"\n", b"\r"))
    if upload.lines > MAX_LINES:
        raise FileRefused(f"There are more than {MAX_LINES:,} lines.")


def _read_if_known(upload: Upload, entry: Entry, now: datetime) -> None:
    """A file of an archive, in which there are others: comments, reviews, which are in the diary
    too, lists of whatever kind.
    """
    try:
        table = table_of(entry)
    except FileRefused as error:
        if entry.content.strip():
            upload.refused.append(Refused(Place(entry.path, 1), error.detail))
        return
    found = formats_of(table.columns, entry.stem)
    if len(found) != 1 or "review" in table.columns:
        return
    is_list = any(reading.deed is Deed.LISTED for reading in found[0].readings)
    if not is_list or "watchlist" in entry.stem:
        _read(upload, entry, table, found[0], now)


def _read_single(upload: Upload, entry: Entry, stem: str, now: datetime) -> None:
    table = table_of(entry)
    found = formats_of(table.columns, stem)
    if not found:
        raise FileRefused("The columns are those of no file of Letterboxd, IMDb or Trakt.")
    if len(found) > 1:
        raise FileRefused(
            "Letterboxd's watched.csv, watchlist.csv and likes/films.csv have the same columns. "
            "Say with `content` which one this is, or send it under its name."
        )
    _read(upload, entry, table, found[0], now)


def _read(upload: Upload, entry: Entry, table: Table, form: Format, now: datetime) -> None:
    upload.formats[entry.path] = form
    for line in table.lines:
        if upload.size == MAX_ROWS:
            raise FileRefused(f"There are more than {MAX_ROWS:,} rows.")
        place = Place(entry.path, line.number)
        try:
            if line.fault:
                raise Fault(line.fault)
            upload.rows.append(row_of(place, form, line.cells, now))
        except Fault as fault:
            upload.refused.append(Refused(place, str(fault)))
        except NoFilm:
            upload.not_films += 1


def _let_ratings_go_before_the_diary(upload: Upload) -> None:
    """The rating that counts is in `ratings.csv`; a diary has those of the days."""
    forms = set(upload.formats.values())
    if {LETTERBOXD_DIARY, LETTERBOXD_RATINGS} <= forms:
        diaries = {path for path, form in upload.formats.items() if form is LETTERBOXD_DIARY}
        upload.rows = list(_without_ratings(upload.rows, diaries))


def _without_ratings(rows: Iterable[Row], files: set[str]) -> Iterator[Row]:
    for row in rows:
        if row.place.file in files:
            said = tuple(each for each in row.said if each.deed is not Deed.RATED)
            yield replace(row, said=said)
        else:
            yield row
