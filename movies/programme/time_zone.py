"""The cinema's time zone as a VTIMEZONE (RFC 5545, 3.6.5).

`icalendar` can make one, but its clocks go forward an hour too late: it writes the onset as the
clock shows it afterwards, and RFC 5545 wants it as the clock would have shown it before.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from icalendar import Timezone, TimezoneDaylight, TimezoneStandard, vRecur

ONE_DAY = timedelta(days=1)
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@lru_cache(maxsize=64)
def vtimezone(zone: ZoneInfo, first_year: int, last_year: int) -> Timezone:
    """The zone as it is in these years: by yearly rules where it keeps to such, else by dates.

    All calendars understand yearly rules, some nothing else.
    """
    component = Timezone()
    component.add("TZID", zone.key)
    onsets: dict[tuple[timedelta, timedelta], list[datetime]] = defaultdict(list)
    # A year ahead, so that each moment of the first year has an onset before it.
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
    """Such as "each year, the last Sunday of March", if that is true of all the moments."""
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
    """Each moment at which the clock is changed, in UTC, and the offset that it had before."""
    day = datetime(first_year, 1, 1, tzinfo=UTC)
    while day.year <= last_year:
        before = _offset(zone, day)
        if _offset(zone, day + ONE_DAY) != before:
            yield before, day + timedelta(seconds=_change_within(zone, day))
        day += ONE_DAY


def _change_within(zone: ZoneInfo, day: datetime) -> int:
    """The first second of this day by UTC with another offset than its beginning."""
    return bisect_left(
        range(24 * 3600),
        True,
        key=lambda s: _offset(zone, day + timedelta(seconds=s)) != _offset(zone, day),
    )


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset
