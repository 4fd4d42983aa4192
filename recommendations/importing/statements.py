"""A row of a file, as what it says of a film; or why it says nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from cinema.schemas import CONTROLS
from movies.days import local_time, moment_of
from recommendations.importing.formats import Deed, Format, Reading, column
from recommendations.importing.titles import parse_title

MAX_TITLE = 300
SHOWN = 40
IMDB_ID = re.compile(r"tt\d{7,10}", re.ASCII)
YEARS = range(1870, 2201)
NUMBER = re.compile(r"\d{1,3}(?:[.,]\d{1,2})?", re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
#: As SIMKL writes a day, or a German spreadsheet saves it: 31-12-2023 and 31.12.2023, at times
#: with a clock time.
DAY_FIRST = re.compile(
    r"(?P<day>\d{1,2})([-.])(?P<month>\d{1,2})\2(?P<year>\d{4})(?P<clock>[ ,T]*\d\d:\d\d(:\d\d)?)?",
    re.ASCII,
)
#: Trakt's date of what was watched at an unknown time.
UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
#: In the columns "Title Type" of IMDb and "type" of the others.
NO_FILMS = {
    "anime", "episode", "game", "list", "musicvideo", "person", "podcastepisode", "podcastseries",
    "season", "series", "show", "tv", "tvepisode", "tvminiseries", "tvseason", "tvseries",
    "tvshow", "videogame",
}  # fmt: skip


class Fault(ValueError):
    """The row cannot be used; the message says why."""


class OffTheScale(Fault):
    """The row's rating is higher than the service's highest."""


class NotKept(Exception):
    """There is nothing wrong with the row, but what it says is not kept; the message says why."""


class NoFilm(NotKept):
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
    imdb_id: str = ""

    @property
    def title(self) -> str:
        return self.titles[0] if self.titles else ""


@dataclass(frozen=True, slots=True)
class Said:
    """What the viewer did, and when: noon where the file knows the day alone, None where it does
    not even know that.
    """

    deed: Deed
    at: datetime | None
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
        NotKept: It is about something else, or says what is not kept.
    """
    kind = (cells.get("titletype") or cells.get("type") or "").strip()
    if column(kind) in NO_FILMS:
        title = cells.get(form.title, "") or cells.get("title", "")
        raise NoFilm(f"{_shown(title)} is not a film: its type is {_shown(kind)}.")
    film = _wanted(form, cells)
    status = cells.get(form.status, "").strip()
    readings = [each for each in form.readings if _applies(each, column(status))]
    said = [each for reading in readings if (each := _said(reading, cells, now))]
    if not said and status:
        raise NotKept(f"The status {_shown(status)} is not kept.")
    if not said:
        raise Fault("The row says nothing of the film: neither when it was watched nor a rating.")
    if any(each.deed is Deed.RATED for each in said):
        # Who has rated a film has seen it.
        said = [each for each in said if each.deed is not Deed.SEEN or each.at]
    return Row(place, film, tuple(said))


def _applies(reading: Reading, status: str) -> bool:
    return not reading.statuses or status in reading.statuses


def _wanted(form: Format, cells: Mapping[str, str]) -> Wanted:
    titles = [_clean(cells.get(name, "")) for name in (form.title, "originaltitle")]
    year, tmdb_id = (_whole(cells.get(name, "")) for name in ("year", "tmdbid"))
    tmdb_id = tmdb_id or _whole(cells.get("tmdb", ""))
    if form.title_has_year:
        parsed = parse_title(titles[0])
        titles, year = [parsed.name, *parsed.others], parsed.release_year
    if not titles[0] and not tmdb_id:
        raise Fault("The title is empty, and there is no TMDb id.")
    if max(map(len, titles)) > MAX_TITLE:
        raise Fault(f"The title has more than {MAX_TITLE} characters.")
    year = year or _whole(cells.get("releasedate", "")[:4])
    imdb_id = next(filter(None, (cells.get(name, "") for name in ("imdbid", "imdb", "const"))), "")
    imdb_id = imdb_id.strip() if IMDB_ID.fullmatch(imdb_id.strip()) else ""
    return Wanted(tuple(dict.fromkeys(filter(None, titles))), _year(year), tmdb_id, imdb_id)


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
    if reading.value and not value:
        return None
    at, day = _moment(when, now) if when else (None, None)
    deed = Deed.SEEN if reading.deed is Deed.WATCHED and at is None else reading.deed
    return Said(deed, at, day, _half_stars(value, reading) if value else 0)


def _half_stars(text: str, reading: Reading) -> int:
    if not NUMBER.fullmatch(text):
        raise Fault(f"The rating {_shown(text)} is no number.")
    half_stars = float(text.replace(",", ".")) * reading.half_stars
    if reading.rounds and 0.5 <= half_stars <= 10:
        half_stars = max(1, math.floor(half_stars + 0.5))
    if not 1 <= half_stars <= 10 or half_stars % 1:
        scale = "0.5, 1, 1.5 … 5" if reading.half_stars == 2 else "1 to 10"
        error = OffTheScale if half_stars > 10 else Fault
        raise error(f"The rating {_shown(text)} is not one of {scale}.")
    return int(half_stars)


def _moment(text: str, now: datetime) -> tuple[datetime | None, date | None]:
    """A moment; of a day its noon, by the cinema's clock, or now if that has not come yet."""
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
            raise Fault(f"The date {_shown(text)} is not written as 2026-12-03.")
    except (ValueError, OverflowError) as error:
        if isinstance(error, Fault):
            raise
        raise Fault(f"There is no such date as {_shown(text)}.") from error
    raise Fault(f"The date {_shown(text)} lies in the future, or before all films.")


def _year_first(text: str) -> str:
    found = DAY_FIRST.fullmatch(text)
    if not found:
        return text
    clock = (found["clock"] or "").strip(" ,T")
    return f"{found['year']}-{found['month']:0>2}-{found['day']:0>2} {clock}".strip()


def _shown(text: str) -> str:
    """In quotation marks, and cut where nobody would read on."""
    text = _clean(text)
    return f"“{text[:SHOWN]}…”" if len(text) > SHOWN else f"“{text}”"
