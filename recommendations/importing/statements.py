"""The statements of a row about a film: rated, watched, liked or listed; or why there are none."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from cinema.schemas import CONTROLS
from movies.days import local_time, moment_of
from movies.importing.matching import YEARS, WantedFilm, parse_title
from movies.importing.tables import RowRefused
from recommendations.importing.formats import Format, Reading, StatementKind, column
from recommendations.importing.schemas import RefusedFileRow

MAX_TITLE = 300
#: The limit of a quotation in characters.
MAX_QUOTED = 40
IMDB_ID = re.compile(r"tt\d{7,10}", re.ASCII)
NUMBER = re.compile(r"\d{1,3}(?:[.,]\d{1,2})?", re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
#: SIMKL writes 31-12-2023, and a German spreadsheet 31.12.2023; a clock time may follow.
DAY_FIRST = re.compile(
    r"(?P<day>\d{1,2})([-.])(?P<month>\d{1,2})\2(?P<year>\d{4})(?P<clock>[ ,T]*\d\d:\d\d(:\d\d)?)?",
    re.ASCII,
)
#: Trakt dates a viewing at an unknown time so.
UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
#: The values of IMDb's column "Title Type", and of "type" in other files, that are not films.
NOT_FILMS = {
    "anime", "episode", "game", "list", "musicvideo", "person", "podcastepisode", "podcastseries",
    "season", "series", "show", "tv", "tvepisode", "tvminiseries", "tvseason", "tvseries",
    "tvshow", "videogame",
}  # fmt: skip


class OffTheScale(RowRefused):
    """The rating is higher than the highest one of the service."""


class NotKept(Exception):
    """The row is valid, but its statement is not kept; the message is the reason."""


class NotAFilm(NotKept):
    """The row is about a series, a game, or the like."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a viewer about a film.

    Attributes:
        at: Noon where the file names the day alone; None without a date.
        day: The day, where the file names no time.
    """

    kind: StatementKind
    at: datetime | None
    day: date | None
    half_stars: int = 0


@dataclass(frozen=True, slots=True)
class StatementRow:
    """`number` is the line, of which the header is 1; or the entry of a list."""

    file: str
    number: int
    film: WantedFilm
    statements: tuple[Statement, ...]

    def refused(self, reason: str) -> RefusedFileRow:
        return RefusedFileRow(file=self.file, row=self.number, reason=reason)


def statement_row(
    file: str, number: int, form: Format, cells: Mapping[str, str], now: datetime
) -> StatementRow:
    """
    Args:
        cells: By the column.
        now: A later date is refused.

    Raises:
        RowRefused: The row cannot be used.
        NotKept: The row is not about a film, or its statement is not kept.
    """
    kind = (cells.get("titletype") or cells.get("type") or "").strip()
    if column(kind) in NOT_FILMS:
        title = cells.get(form.title, "") or cells.get("title", "")
        raise NotAFilm(f"{_quoted(title)} is not a film: its type is {_quoted(kind)}.")
    film = _wanted_film(form, cells)
    status = cells.get(form.status, "").strip()
    readings = [each for each in form.readings if _applies(each, column(status))]
    found = [each for reading in readings if (each := _statement(reading, cells, now))]
    if not found and status:
        raise NotKept(f"The status {_quoted(status)} is not kept.")
    if not found:
        raise RowRefused(
            "The row says nothing of the film: neither when it was watched nor a rating."
        )
    if any(each.kind is StatementKind.RATING for each in found):
        # A rating implies that the viewer has seen the film.
        found = [each for each in found if each.kind is not StatementKind.SEEN or each.at]
    return StatementRow(file, number, film, tuple(found))


def _applies(reading: Reading, status: str) -> bool:
    return not reading.statuses or status in reading.statuses


def _wanted_film(form: Format, cells: Mapping[str, str]) -> WantedFilm:
    titles = [_clean(cells.get(name, "")) for name in (form.title, "originaltitle")]
    year, tmdb_id = (_parse_integer(cells.get(name, "")) for name in ("year", "tmdbid"))
    tmdb_id = tmdb_id or _parse_integer(cells.get("tmdb", ""))
    if form.title_has_year:
        parsed = parse_title(titles[0])
        titles, year = [parsed.name, *parsed.others], parsed.release_year
    if not titles[0] and not tmdb_id:
        raise RowRefused("The title is empty, and there is no TMDb id.")
    if max(map(len, titles)) > MAX_TITLE:
        raise RowRefused(f"The title has more than {MAX_TITLE} characters.")
    year = year or _parse_integer(cells.get("releasedate", "")[:4])
    imdb_id = next(filter(None, (cells.get(name, "") for name in ("imdbid", "imdb", "const"))), "")
    imdb_id = imdb_id.strip() if IMDB_ID.fullmatch(imdb_id.strip()) else ""
    return WantedFilm(tuple(dict.fromkeys(filter(None, titles))), _year(year), tmdb_id, imdb_id)


def _clean(text: str) -> str:
    return " ".join(CONTROLS.sub("", text).split())


def _parse_integer(text: str) -> int | None:
    """Parse a number that fits an integer column; None for any other text."""
    text = text.strip().removesuffix(".0")  # as pandas saves a column with gaps
    is_number = text.isascii() and text.isdigit() and len(text) < 10
    return int(text) if is_number else None


def _year(year: int | None) -> int | None:
    return year if year in YEARS else None


def _statement(reading: Reading, cells: Mapping[str, str], now: datetime) -> Statement | None:
    value = cells.get(reading.value, "").strip()
    when = cells.get(reading.at, "").strip()
    if reading.value and not value:
        return None
    at, day = _parse_moment(when, now) if when else (None, None)
    kind = reading.kind
    if kind is StatementKind.VIEWING and at is None:
        kind = StatementKind.SEEN
    return Statement(kind, at, day, _half_stars(value, reading) if value else 0)


def _half_stars(text: str, reading: Reading) -> int:
    if not NUMBER.fullmatch(text):
        raise RowRefused(f"The rating {_quoted(text)} is no number.")
    half_stars = float(text.replace(",", ".")) * reading.half_stars
    if reading.rounds and 0.5 <= half_stars <= 10:
        half_stars = max(1, math.floor(half_stars + 0.5))
    if not 1 <= half_stars <= 10 or half_stars % 1:
        scale = "0.5, 1, 1.5 … 5" if reading.half_stars == 2 else "1 to 10"
        error = OffTheScale if half_stars > 10 else RowRefused
        raise error(f"The rating {_quoted(text)} is not one of {scale}.")
    return int(half_stars)


def _parse_moment(text: str, now: datetime) -> tuple[datetime | None, date | None]:
    """Parse a moment, or a day: its noon by the cinema's clock, but not later than now."""
    iso = _year_first(text)
    try:
        if DAY.fullmatch(iso):
            day = date.fromisoformat(iso)
            if day.year in YEARS and day <= local_time(now).date():
                return min(now, moment_of(datetime.combine(day, time(12)))[0]), day
        elif MOMENT.fullmatch(iso):
            at = datetime.fromisoformat(iso)
            if at.year in YEARS:
                at = at if at.tzinfo else moment_of(at)[0]
                if at <= now:
                    return (None if at == UNKNOWN_TIME else at), None
        else:
            raise RowRefused(f"The date {_quoted(text)} is not written as 2026-12-03.")
    except (ValueError, OverflowError) as error:
        if isinstance(error, RowRefused):
            raise
        raise RowRefused(f"There is no such date as {_quoted(text)}.") from error
    raise RowRefused(f"The date {_quoted(text)} lies in the future, or before all films.")


def _year_first(text: str) -> str:
    found = DAY_FIRST.fullmatch(text)
    if not found:
        return text
    clock = (found["clock"] or "").strip(" ,T")
    return f"{found['year']}-{found['month']:0>2}-{found['day']:0>2} {clock}".strip()


def _quoted(text: str) -> str:
    """Put the text in quotation marks, and cut it."""
    text = _clean(text)
    return f"“{text[:MAX_QUOTED]}…”" if len(text) > MAX_QUOTED else f"“{text}”"
