"""An uploaded file or archive, recognised by its bytes and columns, and read row by row."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import IO

from movies.errors import FileRefused
from movies.importing.tables import RowRefused
from recommendations.importing.files import (
    SourceFile,
    TextTable,
    files_of,
    is_archive,
    table_of,
)
from recommendations.importing.formats import (
    FACTS,
    LETTERBOXD_DIARY,
    LETTERBOXD_RATINGS,
    LETTERBOXD_REVIEWS,
    SERVICES,
    Format,
    StatementKind,
    column,
    formats_of,
)
from recommendations.importing.schemas import RefusedFileRow, SkippedFile
from recommendations.importing.statements import (
    NotAFilm,
    NotKept,
    OffTheScale,
    StatementRow,
    statement_row,
)

MAX_ROWS = 100_000
#: Nearly all lines of a long file belong to reviews, or are empty.
MAX_LINES = 1_000_000
#: More than anyone has seen.
MAX_FILMS = 30_000
#: The limits of unknown columns and files in a message, and of each name.
MAX_NAMED_COLUMNS, MAX_NAMED_FILES, MAX_NAME_LENGTH = 10, 5, 40

#: Folders of Letterboxd's archive that are not read. Other services use the same names for other
#: things.
LETTERBOXD_FOLDERS = {
    "deleted": "Letterboxd keeps in it what you have deleted there.",
    "orphaned": "Letterboxd keeps in it what belongs to films that it no longer has.",
    "lists": "Lists other than the watchlist are not kept.",
}


class TooMuch(FileRefused):
    """The whole upload is beyond a limit."""


class NotKnown(FileRefused):
    """The file is valid, but nothing in it is kept."""


@dataclass
class Upload:
    """The rows of an upload.

    Attributes:
        formats: By the name of the file.
        skipped: Files that are not read.
        passed_over: Valid rows that are not kept.
        not_films: The number of these that are about series, games, and the like.
        not_kept: The columns with content that are not read, by the name of the file.
        lines: The number of lines in all files.
    """

    formats: dict[str, Format] = field(default_factory=dict)
    skipped: list[SkippedFile] = field(default_factory=list)
    rows: list[StatementRow] = field(default_factory=list)
    refused: list[RefusedFileRow] = field(default_factory=list)
    passed_over: list[RefusedFileRow] = field(default_factory=list)
    not_films: int = 0
    not_kept: dict[str, list[str]] = field(default_factory=dict)
    lines: int = 0

    @property
    def size(self) -> int:
        return len(self.rows) + len(self.refused) + len(self.passed_over)


def read_upload(file: IO[bytes], name: str, content: str | None, now: datetime) -> Upload:
    """
    Args:
        name: The client's name of the file, which decides where the columns do not.
        content: A word of a format, which goes before the name.

    Raises:
        FileRefused: Nothing of the upload can be used.
    """
    upload = Upload()
    head = file.read(4)
    file.seek(0)
    if is_archive(head):
        _read_archive(upload, file, now)
    else:
        source = SourceFile(path="", content=file.read())
        _count_lines(upload, source)
        words = frozenset({content}) if content else SourceFile(name, b"").words
        table = table_of(source)
        _read_table(upload, source, table, _format_of(table, words), now)
    _prefer_ratings_to_diary(upload)
    if len({row.film for row in upload.rows}) > MAX_FILMS:
        raise FileRefused(f"There are more than {MAX_FILMS:,} films.")
    return upload


def _count_lines(upload: Upload, file: SourceFile) -> None:
    """Refuse too many lines before they are parsed: a zip of empty lines is small."""
    upload.lines += max(file.content.count(end) for end in (b"\n", b"\r"))
    if upload.lines > MAX_LINES:
        raise TooMuch(f"There are more than {MAX_LINES:,} lines.")


# --- archives


def _read_archive(upload: Upload, file: IO[bytes], now: datetime) -> None:
    reviews = []
    for entry in files_of(file):
        if isinstance(entry, SkippedFile):
            upload.skipped.append(entry)
            continue
        _count_lines(upload, entry)
        if not _read_entry(upload, entry, now):
            reviews.append(entry)
    for entry in reviews:
        if LETTERBOXD_DIARY in upload.formats.values():
            _skip(upload, entry, "The diary has the same entries.")
        else:
            _read_entry(upload, entry, now, with_reviews=True)
    if not upload.formats:
        told = [f"{each.name!r}: {each.reason}" for each in upload.skipped[:MAX_NAMED_FILES]]
        raise FileRefused(" ".join([f"The zip has no known file of {SERVICES}.", *told]))


def _skip(upload: Upload, entry: SourceFile, reason: str) -> None:
    upload.skipped.append(SkippedFile(name=entry.path, reason=reason))


def _read_entry(
    upload: Upload, entry: SourceFile, now: datetime, *, with_reviews: bool = False
) -> bool:
    """Read a file, or note why it is skipped; returns False for reviews, which are read last."""
    try:
        table = table_of(entry)
        if not table.names:
            raise NotKnown("It has no entries.")
        form = _format_of(table, entry.words)
        if form is LETTERBOXD_REVIEWS and not with_reviews:
            return False
        if reason := _reason_to_skip(entry, form):
            raise NotKnown(reason)
        _read_table(upload, entry, table, form, now)
    except TooMuch:
        raise
    except NotKnown as error:
        _skip(upload, entry, error.detail)
    except FileRefused as error:
        if entry.content.strip():
            upload.refused.append(RefusedFileRow(file=entry.path, row=1, reason=error.detail))
        else:
            _skip(upload, entry, "It is empty.")
    return True


def _reason_to_skip(entry: SourceFile, form: Format) -> str:
    if form.service == "letterboxd" and (found := entry.folders & LETTERBOXD_FOLDERS.keys()):
        return LETTERBOXD_FOLDERS[sorted(found)[0]]
    if form.is_any_list and "watchlist" not in entry.words:
        return "Lists other than the watchlist are not kept. If it is the watchlist, call it so."
    return ""


# --- single files


def _format_of(table: TextTable, words: Collection[str]) -> Format:
    found = formats_of(table.names, words)
    if len(found) == 1:
        return found[0]
    if not found:
        names = ", ".join(
            name[:MAX_NAME_LENGTH] for name in list(table.names.values())[:MAX_NAMED_COLUMNS]
        )
        told = f": {names}." if names else "."
        raise NotKnown(f"The columns match no known file of {SERVICES}{told}")
    names = " and ".join(sorted({each.name for each in found}))
    raise NotKnown(
        f"The columns are those of several files: {names}. Say with `content` which one this is "
        "(watched, watchlist or likes), or send it under its name."
    )


def _read_table(
    upload: Upload, entry: SourceFile, table: TextTable, form: Format, now: datetime
) -> None:
    """Add the rows of a file, once it is read to its end."""
    read = Upload()
    unread = set(table.names) - form.used - FACTS
    not_kept: set[str] = set()
    for place, (number, cells) in enumerate(table.rows, upload.size):
        if place == MAX_ROWS:
            raise TooMuch(f"There are more than {MAX_ROWS:,} rows.")
        try:
            if isinstance(cells, str):
                raise RowRefused(cells)
            read.rows.append(statement_row(entry.path, number, form, cells, now))
        except RowRefused as fault:
            if isinstance(fault, OffTheScale) and form.checks_scale:
                raise FileRefused(_another_scale(entry.path, number, fault)) from fault
            refused = RefusedFileRow(file=entry.path, row=number, reason=str(fault))
            read.refused.append(refused)
        except NotKept as reason:
            passed_over = RefusedFileRow(file=entry.path, row=number, reason=str(reason))
            read.passed_over.append(passed_over)
            read.not_films += isinstance(reason, NotAFilm)
        else:
            not_kept |= {name for name in unread - not_kept if cells.get(name, "").strip()}
            if column(cells.get(form.status, "")) not in form.statuses:
                not_kept.add(form.status)
    upload.formats[entry.path] = form
    upload.rows += read.rows
    upload.refused += read.refused
    upload.passed_over += read.passed_over
    upload.not_films += read.not_films
    if not_kept:
        names = [name for name in table.names if name in not_kept]
        upload.not_kept[entry.path] = [table.names[name][:MAX_NAME_LENGTH] for name in names]


def _another_scale(file: str, number: int, fault: OffTheScale) -> str:
    where = f"{file!r}, row {number}" if file else f"Row {number}"
    return (
        f"{where}: {fault} The ratings of the file are on another scale. For ratings of 1 to 10 "
        "call the column Rating10."
    )


def _prefer_ratings_to_diary(upload: Upload) -> None:
    """Drop the ratings of a diary, which are those of the day, if there is a `ratings.csv`."""
    diaries = {LETTERBOXD_DIARY, LETTERBOXD_REVIEWS}
    if LETTERBOXD_RATINGS in upload.formats.values():
        files = {path for path, form in upload.formats.items() if form in diaries}
        upload.rows = [_without_rating(row) if row.file in files else row for row in upload.rows]
        for path in files:
            upload.not_kept.setdefault(path, []).append("Rating")


def _without_rating(row: StatementRow) -> StatementRow:
    kept = tuple(each for each in row.statements if each.kind is not StatementKind.RATING)
    return replace(row, statements=kept)
