"""The programme as iCalendar (RFC 5545, RFC 7986), for calendars that subscribe to it.

The VTIMEZONE (RFC 5545, 3.6.5) is written here because `icalendar` gives the onset of summer time
as the clock shows it afterwards, while the RFC wants it as the clock would have shown it before.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import icalendar
from django.conf import settings
from django.utils.encoding import iri_to_uri
from icalendar import (
    Timezone,
    TimezoneDaylight,
    TimezoneStandard,
    vCategory,
    vDatetime,
    vInt,
    vRecur,
    vText,
    vUri,
)

from cinema.http import Document
from movies.catalogue import Snapshot
from movies.languages import language_name
from movies.models import Movie, Screening
from movies.programme.selectors import ProgrammeQuery, list_programme_screenings
from movies.programme.texts import UNFIT, address_line, credit, describe_version
from movies.selectors import get_movie

CONTENT_TYPE = "text/calendar; charset=utf-8"
FILE_NAME = "programme.ics"
#: How often a calendar should ask again.
REFRESHED_EVERY = timedelta(hours=1)

_ESCAPES: dict[int, str | None] = {
    **{code: r"\n" if fit == "\n" else fit for code, fit in UNFIT.items()},
    **{ord(character): f"\\{character}" for character in "\\;,"},
}


class EscapedText(vText):
    r"""RFC 5545, 3.3.11. The library's class takes each `\N` for a line end, as in `C:\News`."""

    def to_ical(self) -> bytes:
        return self.replace("\r\n", "\n").translate(_ESCAPES).encode()


@dataclass(frozen=True)
class Event:
    """The properties of a screening in a calendar; the times are in UTC."""

    uid: str
    sequence: int
    changed_at: datetime
    starts_at: datetime
    ends_at: datetime
    zone: ZoneInfo
    is_cancelled: bool
    summary: str
    location: str
    description: str
    url: str | None
    categories: tuple[str, ...]


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
    name = EscapedText(": ".join([settings.CINEMA_NAME, *names]))
    calendar = icalendar.Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//Cinema//Programme 1//EN")
    calendar.add("CALSCALE", "GREGORIAN")
    calendar["NAME"] = calendar["X-WR-CALNAME"] = name
    calendar.add("X-WR-TIMEZONE", zone.key)
    calendar.add("REFRESH-INTERVAL", REFRESHED_EVERY, parameters={"VALUE": "DURATION"})
    calendar["X-PUBLISHED-TTL"] = EscapedText("PT1H")
    # RFC 5545 wants at least one component, even without events.
    calendar.add_component(vtimezone(zone, query.first.year, query.last.year + 1))
    head, *end = calendar.to_ical().rpartition(b"END:VCALENDAR")
    events = (_rendered(_event(screening, zone)) for screening in screenings)
    return Document(b"".join([head, *events, *end]), CONTENT_TYPE, filename=FILE_NAME)


def _event(screening: Screening, zone: ZoneInfo) -> Event:
    movie, state = screening.movie, screening.state
    is_noteworthy = state in (Screening.State.CANCELLED, Screening.State.SOLD_OUT)
    label = f" ({Screening.State(state).label})" if is_noteworthy else ""
    categories = [*(genre.name for genre in movie.genres.all()), *screening.tags]
    return Event(
        uid=str(screening.uid),
        sequence=screening.sequence,
        changed_at=max(screening.updated_at, movie.updated_at),
        starts_at=screening.starts_at.astimezone(UTC),
        ends_at=screening.ends_at.astimezone(UTC),
        zone=zone,
        is_cancelled=state == Screening.State.CANCELLED,
        summary=f"{movie.name}{label}",
        location=f"{screening.hall.name}, {address_line()}",
        description=_description(screening, movie),
        url=screening.booking_url,
        categories=tuple(dict.fromkeys(categories)),
    )


def _description(screening: Screening, movie: Movie) -> str:
    facts = [
        describe_version(screening),
        f"{movie.runtime_minutes} min" if movie.runtime_minutes else "",
        *screening.tags,
    ]
    paragraphs = [
        " · ".join(fact for fact in facts if fact),
        movie.overview,
        f"Tickets: {screening.booking_url}" if screening.booking_url else "",
        credit(movie),
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


@lru_cache(maxsize=4096)
def _rendered(event: Event) -> bytes:
    """The event's lines. They are cached: most events stay the same, and this is slow."""
    component = icalendar.Event()
    component["UID"] = EscapedText(event.uid)
    component["SEQUENCE"] = vInt(event.sequence)
    # Without a METHOD both are the time of the last change (RFC 5545, 3.8.7.2).
    component["DTSTAMP"] = component["LAST-MODIFIED"] = vDatetime(event.changed_at.astimezone(UTC))
    component["DTSTART"], component["DTEND"] = _times(event)
    component["SUMMARY"] = EscapedText(event.summary)
    component["LOCATION"] = EscapedText(event.location)
    component["DESCRIPTION"] = EscapedText(event.description)
    component["STATUS"] = EscapedText("CANCELLED" if event.is_cancelled else "CONFIRMED")
    # A subscription must not mark the viewer as busy.
    component["TRANSP"] = EscapedText("TRANSPARENT")
    if event.url:
        component["URL"] = vUri(iri_to_uri(event.url))
    if event.categories:
        component["CATEGORIES"] = categories = vCategory([])
        categories.cats = [EscapedText(name) for name in event.categories]
    return b"".join(_folded(line) for line in component.content_lines() if line)


def _folded(line: str) -> bytes:
    """Fold the line into pieces of at most 75 octets (RFC 5545, 3.1), between characters.

    The library's version takes half of the time of a calendar.
    """
    octets, pieces, start, room = line.encode(), [], 0, 75
    while len(octets) - start > room:
        end = start + room
        while octets[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        if _trailing_backslashes(octets[start:end]) % 2:  # within an escape sequence
            end -= 1
        pieces.append(octets[start:end])
        start, room = end, 74  # a space begins the next piece
    return b"\r\n ".join([*pieces, octets[start:]]) + b"\r\n"


def _trailing_backslashes(octets: bytes) -> int:
    return len(octets) - len(octets.rstrip(b"\\"))


def _times(event: Event) -> Sequence[vDatetime]:
    """Start and end in local time; in UTC if the clock repeats one of them.

    A repeated time means the first one (RFC 5545, 3.3.5), but not every calendar follows that.
    """
    in_utc = event.starts_at, event.ends_at
    local = [moment.astimezone(event.zone) for moment in in_utc]
    if event.zone.key == "UTC" or any(map(_is_doubled, local)):
        return [vDatetime(moment) for moment in in_utc]
    return [_local_time(moment, event.zone) for moment in local]


def _is_doubled(moment: datetime) -> bool:
    return moment.utcoffset() != moment.replace(fold=1 - moment.fold).utcoffset()


def _local_time(moment: datetime, zone: ZoneInfo) -> vDatetime:
    """The local time with the zone's name in its VTIMEZONE; the library may use a synonym."""
    time = vDatetime(moment.replace(tzinfo=None))
    time.params["TZID"] = zone.key
    return time


ONE_DAY = timedelta(days=1)
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@lru_cache(maxsize=64)
def vtimezone(zone: ZoneInfo, first_year: int, last_year: int) -> Timezone:
    """The zone in these years, by yearly rules where possible, else by dates.

    All calendars understand yearly rules; some understand nothing else.
    """
    component = Timezone()
    component.add("TZID", zone.key)
    onsets: dict[tuple[timedelta, timedelta], list[datetime]] = defaultdict(list)
    # Start a year earlier, so that each moment of the first year has an onset before it.
    for before, moment in _changes(zone, first_year - 1, last_year):
        onsets[before, _offset(zone, moment)].append((moment + before).replace(tzinfo=None))
    start = datetime(first_year - 1, 1, 1, tzinfo=UTC)
    if min((min(moments).year for moments in onsets.values()), default=last_year) >= first_year:
        offset = _offset(zone, start)
        onsets[offset, offset].append(start.replace(tzinfo=None))
    years = last_year - first_year + 2
    for (before, after), moments in onsets.items():
        component.add_component(_observance(before, after, moments, years))
    return component


def _observance(
    before: timedelta, after: timedelta, moments: Sequence[datetime], years: int
) -> TimezoneStandard | TimezoneDaylight:
    observance = TimezoneDaylight() if after > before else TimezoneStandard()
    observance.DTSTART = moments[0]
    observance.TZOFFSETFROM = before
    observance.TZOFFSETTO = after
    if len(moments) == years and (rule := _yearly_rule(moments)):
        observance.add("RRULE", rule)
    elif len(moments) > 1:
        observance.add("RDATE", list(moments[1:]))
    return observance


def _yearly_rule(moments: Sequence[datetime]) -> vRecur | None:
    """A rule such as "each year, the last Sunday of March", if all moments follow it."""
    first = moments[0]
    if {(m.month, m.weekday(), m.time()) for m in moments} != {
        (first.month, first.weekday(), first.time())
    } or len({m.year for m in moments}) != len(moments):
        return None
    for week in ({_week_from_the_end(m) for m in moments}, {(m.day + 6) // 7 for m in moments}):
        if len(week) == 1:
            day = f"{week.pop()}{WEEKDAYS[first.weekday()]}"
            return vRecur(FREQ="YEARLY", BYMONTH=first.month, BYDAY=day)
    return None


def _week_from_the_end(moment: datetime) -> int:
    days = calendar.monthrange(moment.year, moment.month)[1]
    return -((days - moment.day) // 7 + 1)


def _changes(
    zone: ZoneInfo, first_year: int, last_year: int
) -> Iterator[tuple[timedelta, datetime]]:
    """Each moment (UTC) at which the offset changes, with the offset before."""
    day = datetime(first_year, 1, 1, tzinfo=UTC)
    while day.year <= last_year:
        before = _offset(zone, day)
        if _offset(zone, day + ONE_DAY) != before:
            yield before, day + timedelta(seconds=_change_within(zone, day))
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
