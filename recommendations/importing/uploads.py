"""An uploaded file, whatever it is: told by its bytes and its columns, and read row by row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import IO

from movies.errors import FileRefused
from recommendations.importing.archives import Entry, Skipped, entries_of, is_archive
from recommendations.importing.formats import (
    FACTS,
    LETTERBOXD_DIARY,
    LETTERBOXD_RATINGS,
    LETTERBOXD_REVIEWS,
    SERVICES,
    Deed,
    Format,
    column,
    formats_of,
)
from recommendations.importing.statements import (
    Fault,
    NoFilm,
    NotKept,
    OffTheScale,
    Place,
    Refused,
    Row,
    row_of,
)
from recommendations.importing.tables import Table, table_of

MAX_ROWS = 100_000
#: Of which nearly all are in reviews, or empty.
MAX_LINES = 1_000_000
#: Nobody has seen more.
MAX_FILMS = 30_000
#: What a refusal tells of the columns and files that are not known.
TOLD_COLUMNS, TOLD_FILES, TOLD_LENGTH = 10, 5, 40

#: Folders of Letterboxd's archive with what is not the viewer's, or no longer. Other services have
#: folders of the same names for other things.
LETTERBOXD_FOLDERS = {
    "deleted": "Letterboxd keeps in it what you have deleted there.",
    "orphaned": "Letterboxd keeps in it what belongs to films that it no longer has.",
    "lists": "Lists other than the watchlist are not kept.",
}


class TooMuch(FileRefused):
    """The upload is beyond a limit, whichever of its files is read."""


@dataclass
class Upload:
    """What was read.

    Attributes:
        formats: By the name of the file.
        skipped: Files of which nothing is read.
        passed_over: Rows that are all right, and say what is not kept.
        not_films: How many of these are about series, games, and the like.
        not_kept: By the name of the file, the columns with content that are not read.
        lines: In all files, whatever is in them.
        rows_before: In files that are read before this part of an upload.
    """

    formats: dict[str, Format] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    passed_over: list[Refused] = field(default_factory=list)
    not_films: int = 0
    not_kept: dict[str, list[str]] = field(default_factory=dict)
    lines: int = 0
    rows_before: int = 0

    @property
    def size(self) -> int:
        return len(self.rows) + len(self.refused) + len(self.passed_over)

    def add(self, part: Upload) -> None:
        """Take over a file that could be read to its end."""
        self.formats |= part.formats
        self.rows += part.rows
        self.refused += part.refused
        self.passed_over += part.passed_over
        self.not_films += part.not_films
        self.not_kept |= part.not_kept


def read(file: IO[bytes], name: str, content: str | None, now: datetime) -> Upload:
    """
    Args:
        name: As the client calls the file: asked where the columns leave open what it is.
        content: The same, said outright: a word of a format.

    Raises:
        FileRefused: Nothing of it can be used.
    """
    upload = Upload()
    if is_archive(_head(file)):
        _read_archive(upload, file, now)
    else:
        entry = Entry(path="", content=file.read())
        _count_lines(upload, entry)
        words = frozenset({content}) if content else Entry(name, b"").words
        table = table_of(entry)
        _read(upload, entry, table, _format_of(table, words), now)
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
        raise TooMuch(f"There are more than {MAX_LINES:,} lines.")


# --- archives


def _read_archive(upload: Upload, file: IO[bytes], now: datetime) -> None:
    reviews = []
    for entry in entries_of(file):
        if isinstance(entry, Skipped):
            upload.skipped.append(entry)
            continue
        _count_lines(upload, entry)
        if not _read_entry(upload, entry, now):
            reviews.append(entry)
    for entry in reviews:
        if LETTERBOXD_DIARY in upload.formats.values():
            upload.skipped.append(Skipped(entry.path, "The diary has the same entries."))
        else:
            _read_entry(upload, entry, now, with_reviews=True)
    if not upload.formats:
        told = [f"{each.path!r}: {each.reason}" for each in upload.skipped[:TOLD_FILES]]
        raise FileRefused(" ".join([f"The zip has no file of {SERVICES} that is known.", *told]))


def _read_entry(upload: Upload, entry: Entry, now: datetime, *, with_reviews: bool = False) -> bool:
    """Read a file, or note why not. Letterboxd's reviews have to wait: that is False."""
    part = Upload(rows_before=upload.size)
    try:
        table = table_of(entry)
        if not table.columns:
            raise NotKnown("It has no entries.")
        form = _format_of(table, entry.words)
        if form is LETTERBOXD_REVIEWS and not with_reviews:
            return False
        if reason := _reason_to_skip(entry, form):
            raise NotKnown(reason)
        _read(part, entry, table, form, now)
    except TooMuch:
        raise
    except NotKnown as error:
        upload.skipped.append(Skipped(entry.path, error.detail))
    except FileRefused as error:
        if entry.content.strip():
            upload.refused.append(Refused(Place(entry.path, 1), error.detail))
        else:
            upload.skipped.append(Skipped(entry.path, "It is empty."))
    else:
        upload.add(part)
    return True


def _reason_to_skip(entry: Entry, form: Format) -> str:
    if form.service == "letterboxd" and (found := entry.folders & LETTERBOXD_FOLDERS.keys()):
        return LETTERBOXD_FOLDERS[sorted(found)[0]]
    if form.is_any_list and "watchlist" not in entry.words:
        return "Lists other than the watchlist are not kept. If it is the watchlist, call it so."
    return ""


# --- single files


class NotKnown(FileRefused):
    """There is nothing wrong with the file, but nothing of it is kept."""


def _format_of(table: Table, words: Collection[str]) -> Format:
    found = formats_of(table.columns, words)
    if len(found) == 1:
        return found[0]
    if not found:
        names = ", ".join(name[:TOLD_LENGTH] for name in list(table.names.values())[:TOLD_COLUMNS])
        told = f": {names}." if names else "."
        raise NotKnown(f"The columns are those of no file of {SERVICES} that is known{told}")
    names = " and ".join(sorted({each.name for each in found}))
    raise NotKnown(
        f"The columns are those of several files: {names}. Say with `content` which one this is "
        "(watched, watchlist or likes), or send it under its name."
    )


def _read(upload: Upload, entry: Entry, table: Table, form: Format, now: datetime) -> None:
    upload.formats[entry.path] = form
    unread = set(table.columns) - form.used - FACTS
    not_kept: set[str] = set()
    for line in table.lines:
        if upload.rows_before + upload.size == MAX_ROWS:
            raise TooMuch(f"There are more than {MAX_ROWS:,} rows.")
        place = Place(entry.path, line.number)
        try:
            if line.fault:
                raise Fault(line.fault)
            upload.rows.append(row_of(place, form, line.cells, now))
            not_kept |= _with_content(line.cells, unread - not_kept)
            if column(line.cells.get(form.status, "")) not in form.statuses:
                not_kept.add(form.status)
        except OffTheScale as fault:
            if form.checks_scale:
                raise FileRefused(_another_scale(place, fault)) from fault
            upload.refused.append(Refused(place, str(fault)))
        except Fault as fault:
            upload.refused.append(Refused(place, str(fault)))
        except NotKept as reason:
            upload.passed_over.append(Refused(place, str(reason)))
            upload.not_films += isinstance(reason, NoFilm)
    if not_kept:
        names = [name for name in table.names if name in not_kept]
        upload.not_kept[entry.path] = [table.names[name][:TOLD_LENGTH] for name in names]


def _with_content(cells: Mapping[str, str], names: Iterable[str]) -> set[str]:
    return {name for name in names if cells.get(name, "").strip()}


def _another_scale(place: Place, fault: Fault) -> str:
    where = f"{place.file!r}, row {place.row}" if place.file else f"Row {place.row}"
    return (
        f"{where}: {fault} The ratings of the file are on another scale. For ratings of 1 to 10 "
        "call the column Rating10."
    )


def _let_ratings_go_before_the_diary(upload: Upload) -> None:
    """The rating that counts is in `ratings.csv`; a diary has those of the days."""
    diaries = {LETTERBOXD_DIARY, LETTERBOXD_REVIEWS}
    if LETTERBOXD_RATINGS in upload.formats.values():
        files = {path for path, form in upload.formats.items() if form in diaries}
        upload.rows = list(_without_ratings(upload.rows, files))
        for path in files:
            upload.not_kept.setdefault(path, []).append("Rating")


def _without_ratings(rows: Sequence[Row], files: set[str]) -> Iterator[Row]:
    for row in rows:
        if row.place.file in files:
            said = tuple(each for each in row.said if each.deed is not Deed.RATED)
            yield replace(row, said=said)
        else:
            yield row
