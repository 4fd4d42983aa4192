"""The programme as iCalendar (RFC 5545, RFC 7986), for calendars that subscribe to it.

The lines are written here, in a third of the time that `icalendar` takes. It also reads each `\\N`
in a text as a line end, and gives the onset of summer time as the clock shows it afterwards.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from itertools import chain
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.encoding import iri_to_uri

from cinema.http import Document
from movies.catalogue import Snapshot
from movies.days import ONE_DAY
from movies.languages import language_name
from movies.models import Movie, Screening
from movies.programme.selectors import ProgrammeQuery, list_programme_screenings
from movies.programme.texts import UNFIT, address_line, credit, describe_version
from movies.selectors import get_movie

CONTENT_TYPE = "text/calendar; charset=utf-8"
FILE_NAME = "programme.ics"

#: RFC 5545, 3.3.11.
_ESCAPES: dict[int, str | None] = {
    **{code: r"\n" if fit == "\n" else fit for code, fit in UNFIT.items()},
    **{ord(character): f"\\{character}" for character in "\\;,"},
}


def build_calendar(query: ProgrammeQuery, snapshot: Snapshot) -> Document:
    screenings = list_programme_screenings(query)
    of_one_movie = screenings[0].movie.name if query.movie_id and screenings else None
    filters = (of_one_movie, query.hall, *query.tags, query.genre, *_languages(query), query.status)
    return _calendar([name for name in filters if name], query, screenings)


def _languages(query: ProgrammeQuery) -> Iterator[str]:
    if query.language is not None:
        yield language_name(query.language)
    if query.subtitles is not None:
        yield f"{language_name(query.subtitles)} subtitles"
    if query.understands:
        yield f"understood in {' or '.join(map(language_name, query.understands))}"


def build_movie_calendar(query: ProgrammeQuery, snapshot: Snapshot) -> Document:
    """Raises: MovieNotFound: No published movie has the id `query.movie_id`."""
    assert query.movie_id is not None
    return _calendar([get_movie(query.movie_id).name], query, list_programme_screenings(query))


def _calendar(
    names: Iterable[str], query: ProgrammeQuery, screenings: Iterable[Screening]
) -> Document:
    zone = ZoneInfo(settings.TIME_ZONE)
    name = _text(": ".join([settings.CINEMA_NAME, *names]))
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Cinema//Programme 1//EN",
        "CALSCALE:GREGORIAN",
        f"NAME:{name}",
        f"X-WR-CALNAME:{name}",
        f"X-WR-TIMEZONE:{zone.key}",
        # How often a calendar should ask again.
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
        "X-PUBLISHED-TTL:PT1H",
        # RFC 5545 wants at least one component, even without events.
        *vtimezone(zone, query.first.year, query.last.year + 1),
        *chain.from_iterable(_event(screening, zone) for screening in screenings),
        "END:VCALENDAR",
    )
    return Document(b"".join(map(_folded, lines)), CONTENT_TYPE, filename=FILE_NAME)


def _event(screening: Screening, zone: ZoneInfo) -> Iterator[str]:
    movie, state = screening.movie, Screening.State(screening.state)
    is_noteworthy = state in (Screening.State.CANCELLED, Screening.State.SOLD_OUT)
    changed_at = _in_utc(max(screening.updated_at, movie.updated_at))
    categories = [*(genre.name for genre in movie.genres.all()), *screening.tags]
    yield "BEGIN:VEVENT"
    yield f"UID:{screening.uid}"
    yield f"SEQUENCE:{screening.sequence}"
    # In a calendar without METHOD both are the time of the last change (RFC 5545, 3.8.7.2).
    yield f"DTSTAMP:{changed_at}"
    yield f"LAST-MODIFIED:{changed_at}"
    yield from _times(screening, zone)
    yield f"SUMMARY:{_text(movie.name)}{f' ({state.label})' if is_noteworthy else ''}"
    yield f"LOCATION:{_text(f'{screening.hall.name}, {address_line()}')}"
    yield f"DESCRIPTION:{_text(_description(screening, movie))}"
    yield f"STATUS:{'CANCELLED' if state == Screening.State.CANCELLED else 'CONFIRMED'}"
    # A subscription must not mark the viewer as busy.
    yield "TRANSP:TRANSPARENT"
    if screening.booking_url:
        yield f"URL:{iri_to_uri(screening.booking_url)}"
    if categories:
        yield f"CATEGORIES:{','.join(map(_text, dict.fromkeys(categories)))}"
    yield "END:VEVENT"


def _description(screening: Screening, movie: Movie) -> str:
    facts = [
        describe_version(screening),
        f"{movie.runtime_minutes} min" if movie.runtime_minutes else "",
        *screening.tags,
    ]
    paragraphs = [
        " · ".join(filter(None, facts)),
        movie.overview,
        f"Tickets: {screening.booking_url}" if screening.booking_url else "",
        credit(movie),
    ]
    return "\n\n".join(filter(None, paragraphs))


def _times(screening: Screening, zone: ZoneInfo) -> Iterator[str]:
    """Start and end in local time; in UTC if the clock repeats one of them.

    A repeated time means the first one (RFC 5545, 3.3.5), but not every calendar follows that.
    """
    starts, ends = screening.starts_at.astimezone(zone), screening.ends_at.astimezone(zone)
    in_utc = zone.key == "UTC" or _is_doubled(starts) or _is_doubled(ends)
    for name, moment in (("DTSTART", starts), ("DTEND", ends)):
        value = f":{_in_utc(moment)}" if in_utc else f";TZID={zone.key}:{_reading(moment)}"
        yield f"{name}{value}"


def _is_doubled(moment: datetime) -> bool:
    return moment.utcoffset() != moment.replace(fold=1 - moment.fold).utcoffset()


def _reading(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S}"


def _in_utc(moment: datetime) -> str:
    return f"{_reading(moment.astimezone(UTC))}Z"


# Films share most texts: escaping took half of the time of a calendar.
@lru_cache(maxsize=4096)
def _text(text: str) -> str:
    return text.replace("\r\n", "\n").translate(_ESCAPES)


def _folded(line: str) -> bytes:
    """The line in pieces of at most 75 octets (RFC 5545, 3.1), cut between characters."""
    octets, pieces, start, room = line.encode(), [], 0, 75
    while len(octets) - start > room:
        end = start + room
        while octets[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        piece = octets[start:end]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:  # within an escape sequence
            end -= 1
        pieces.append(octets[start:end])
        start, room = end, 74  # a space begins the next piece
    return b"\r\n ".join([*pieces, octets[start:]]) + b"\r\n"


WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@lru_cache(maxsize=64)
def vtimezone(zone: ZoneInfo, first_year: int, last_year: int) -> Sequence[str]:
    """The zone in these years (RFC 5545, 3.6.5), by yearly rules where possible, else by dates.

    All calendars understand yearly rules; some understand nothing else.
    """
    onsets: dict[tuple[timedelta, timedelta], list[datetime]] = defaultdict(list)
    # Start a year earlier, so that each moment of the first year has an onset before it.
    for moment in _changes(zone, first_year - 1, last_year):
        before = _offset(zone, moment - timedelta(seconds=1))
        onsets[before, _offset(zone, moment)].append(moment + before)
    start = datetime(first_year - 1, 1, 1, tzinfo=UTC)
    if min((moments[0].year for moments in onsets.values()), default=last_year) >= first_year:
        offset = _offset(zone, start)
        onsets[offset, offset].append(start)
    years = last_year - first_year + 2
    observances = (_observance(*offsets, moments, years) for offsets, moments in onsets.items())
    return (
        "BEGIN:VTIMEZONE",
        f"TZID:{zone.key}",
        *chain.from_iterable(observances),
        "END:VTIMEZONE",
    )


def _observance(
    before: timedelta, after: timedelta, moments: Sequence[datetime], years: int
) -> Iterator[str]:
    kind = "DAYLIGHT" if after > before else "STANDARD"
    yield f"BEGIN:{kind}"
    yield f"DTSTART:{_reading(moments[0])}"
    if len(moments) == years and (rule := _yearly_rule(moments)):
        yield f"RRULE:{rule}"
    elif len(moments) > 1:
        yield f"RDATE:{','.join(map(_reading, moments[1:]))}"
    yield f"TZOFFSETFROM:{moments[0].replace(tzinfo=timezone(before)):%z}"
    yield f"TZOFFSETTO:{moments[0].replace(tzinfo=timezone(after)):%z}"
    yield f"END:{kind}"


def _yearly_rule(moments: Sequence[datetime]) -> str | None:
    """A rule such as "each year, the last Sunday of March", if all moments follow it."""
    first = moments[0]
    if len({(m.month, m.weekday(), m.time()) for m in moments}) > 1:
        return None
    if len({m.year for m in moments}) < len(moments):
        return None
    for week in ({_week_from_the_end(m) for m in moments}, {(m.day + 6) // 7 for m in moments}):
        if len(week) == 1:
            day = f"{week.pop()}{WEEKDAYS[first.weekday()]}"
            return f"FREQ=YEARLY;BYDAY={day};BYMONTH={first.month}"
    return None


def _week_from_the_end(moment: datetime) -> int:
    days = calendar.monthrange(moment.year, moment.month)[1]
    return -((days - moment.day) // 7 + 1)


def _changes(zone: ZoneInfo, first_year: int, last_year: int) -> Iterator[datetime]:
    """Each moment (UTC) at which the offset changes."""
    day = datetime(first_year, 1, 1, tzinfo=UTC)
    while day.year <= last_year:
        if _offset(zone, day) != _offset(zone, day + ONE_DAY):
            yield day + timedelta(seconds=_change_within(zone, day))
        day += ONE_DAY


def _change_within(zone: ZoneInfo, day: datetime) -> int:
    """The first second of this UTC day whose offset differs from that of its beginning."""
    return bisect_left(
        range(24 * 3600),
        True,
        key=lambda s: _offset(zone, day + timedelta(seconds=s)) != _offset(zone, day),
    )


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset
