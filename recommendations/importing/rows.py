"""A row of a file, as what it says of a film; or why it says nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time

from cinema.schemas import CONTROLS
from movies.days import local_time, moment_of
from recommendations.importing.formats import Deed, Format, Reading, column

MAX_TITLE = 300
SHOWN = 40
YEARS = range(1870, 2201)
NUMBER = re.compile(r"\d{1,2}(?:[.,]\d{1,2})?", re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
#: In the columns "Title Type" of IMDb and "type" of Trakt.
NO_FILMS = {
    "episode", "musicvideo", "podcastepisode", "podcastseries", "season", "show", "tvepisode",
    "tvminiseries", "tvseason", "tvseries", "videogame",
}  # fmt: skip


class Fault(ValueError):
    """The row cannot be used; the message says why."""


class NoFilm(Exception):
    """The row is about a series, a game, or the like."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, where the header is line 1; or an entry of a list."""

    file: str
    row: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """The film that a row means."""

    titles: tuple[str, ...]
    year: int | None
    tmdb_id: int | None


@dataclass(frozen=True, slots=True)
class Said:
    """What the viewer did, and when: noon where the file knows the day alone."""

    deed: Deed
    at: datetime
    day: date | None
    half_stars: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    place: Place
    film: Wanted
    said: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    place: Place
    reason: str


def row_of(place: Place, form: Format, cells: Mapping[str, str], now: datetime) -> Row:
    """
    Args:
        cells: By the column.
        now: What is dated later is refused.

    Raises:
        Fault: The row cannot be used.
        NoFilm: It is about something else.
    """
    kind = cells.get("titletype") or cells.get("type") or ""
    if column(kind) in NO_FILMS:
        raise NoFilm
    film = _wanted(form, cells)
    said = tuple(each for reading in form.readings if (each := _said(reading, cells, now)))
    if not said:
        raise Fault("The row says nothing of the film: neither when it was watched nor a rating.")
    return Row(place, film, said)


def _wanted(form: Format, cells: Mapping[str, str]) -> Wanted:
    titles = [_clean(cells.get(name, "")) for name in (form.title, "originaltitle")]
    if not titles[0]:
        raise Fault("The title is empty.")
    if max(map(len, titles)) > MAX_TITLE:
        raise Fault(f"The title has more than {MAX_TITLE} characters.")
    year, tmdb_id = (_whole(cells.get(name, "")) for name in ("year", "tmdbid"))
    return Wanted(tuple(dict.fromkeys(filter(None, titles))), _year(year), tmdb_id)


def _clean(text: str) -> str:
    return " ".join(CONTROLS.sub("", text).split())


def _whole(text: str) -> int | None:
    """The number that fits a column of the database, if the text is one."""
    text = text.strip().removesuffix(".0")  # as a spreadsheet with gaps in the column saves it
    is_number = text.isascii() and text.isdigit() and len(text) < 10
    return int(text) if is_number else None


def _year(year: int | None) -> int | None:
    return year if year in YEARS else None


def _said(reading: Reading, cells: Mapping[str, str], now: datetime) -> Said | None:
    value = cells.get(reading.value, "").strip()
    when = cells.get(reading.at, "").strip()
    if (reading.value and not value) or (reading.is_optional and not when):
        return None
    at, day = _moment(when, now)
    return Said(reading.deed, at, day, _half_stars(value, reading.half_stars) if value else 0)


def _half_stars(text: str, each: int) -> int:
    if not NUMBER.fullmatch(text):
        raise Fault(f"The rating {_shown(text)} is no number.")
    half_stars = float(text.replace(",", ".")) * each
    if not 1 <= half_stars <= 10 or half_stars % 1:
        scale = "0.5, 1, 1.5 … 5" if each == 2 else "1 to 10"
        raise Fault(f"The rating {_shown(text)} is not one of {scale}.")
    return int(half_stars)


def _moment(text: str, now: datetime) -> tuple[datetime, date | None]:
    """A moment; of a day its noon, by the cinema's clock, or now if that has not come yet."""
    try:
        if DAY.fullmatch(text):
            day = date.fromisoformat(text)
            if day.year in YEARS and day <= local_time(now).date():
                return min(now, moment_of(datetime.combine(day, time(12)))[0]), day
        elif MOMENT.fullmatch(text):
            at = datetime.fromisoformat(text)
            if at.year in YEARS and at.tzinfo is None:
                at = moment_of(at)[0]
            if at.year in YEARS and at <= now:
                return at, None
        else:
            raise Fault(f"The date {_shown(text)} is not written as 2026-12-03.")
    except ValueError as error:
        if isinstance(error, Fault):
            raise
        raise Fault(f"There is no such date as {_shown(text)}.") from error
    raise Fault(f"The date {_shown(text)} lies in the future, or before all films.")


def _shown(text: str) -> str:
    """In quotation marks, and cut where nobody would read on."""
    text = _clean(text)
    return f"“{text[:SHOWN]}…”" if len(text) > SHOWN else f"“{text}”"
