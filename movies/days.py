"""Local time, cinema days, which begin in the morning and end in the small hours, and weeks.

Once a year the local clock skips an hour and once it repeats one, in some zones around midnight.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Literal

from django.conf import settings
from django.utils import timezone

ONE_DAY = timedelta(days=1)

#: The ways in which the clock treats a local time.
ClockChange = Literal["skipped", "doubled"]


def local_time(moment: datetime) -> datetime:
    """The moment in the cinema's time zone; four times as fast as Django's `localtime`."""
    return moment.astimezone(timezone.get_default_timezone())


def local_isoformat(moment: datetime) -> str:
    return local_time(moment).isoformat()


def cinema_day(moment: datetime) -> date:
    """The day of the programme. The small hours belong to the evening before."""
    starts_at, zone = settings.CINEMA_DAY_STARTS_AT, timezone.get_default_timezone()
    # Start a day later: a clock set back over midnight repeats the date before.
    day = moment.astimezone(zone).date() + ONE_DAY
    while moment < _start_of_day(day, starts_at, zone):
        day -= ONE_DAY
    return day


def start_of_cinema_day(day: date) -> datetime:
    """The first moment of the date at which the clock shows `CINEMA_DAY_STARTS_AT` or later."""
    return _start_of_day(day, settings.CINEMA_DAY_STARTS_AT, timezone.get_default_timezone())


def clock_reading(day: date, at: time) -> datetime:
    """The local date and time of a time on a cinema day; the small hours have the next date.

    It is naive, as the clock may skip or repeat it.
    """
    is_early = at < settings.CINEMA_DAY_STARTS_AT
    return datetime.combine(day + ONE_DAY if is_early else day, at)


def moment_of(reading: datetime) -> tuple[datetime, ClockChange | None]:
    """The moment of a naive local time, by RFC 5545 (3.3.5), and how the clock treats it.

    A skipped time moves on by the length of the gap: 02:30 becomes 03:30. A repeated one means
    the first of the two moments, unless its `fold` is 1.
    """
    zone = timezone.get_default_timezone()
    if _is_skipped(reading, zone):
        return _utc(reading.replace(fold=0), zone), "skipped"
    if _utc(reading.replace(fold=0), zone) != _utc(reading.replace(fold=1), zone):
        return _utc(reading, zone), "doubled"
    return _utc(reading, zone), None


def _utc(reading: datetime, zone: tzinfo) -> datetime:
    return reading.replace(tzinfo=zone).astimezone(UTC)


def _reading(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _is_skipped(reading: datetime, zone: tzinfo) -> bool:
    return _reading(_utc(reading, zone), zone) != reading


@lru_cache(maxsize=4096)
def _start_of_day(day: date, starts_at: time, zone: tzinfo) -> datetime:
    reading = datetime.combine(day, starts_at)
    if not _is_skipped(reading, zone):
        return _utc(reading, zone)
    # The clock jumps somewhere between the two readings of the skipped time.
    before, after = _utc(reading.replace(fold=1), zone), _utc(reading, zone)
    seconds = range(int((after - before).total_seconds()))
    jump = bisect_left(
        seconds, True, key=lambda s: _reading(before + timedelta(seconds=s), zone) >= reading
    )
    return before + timedelta(seconds=jump)


ONE_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Week:
    """Seven cinema days from a Monday on."""

    monday: date

    @classmethod
    def of(cls, day: date) -> Week:
        return cls(day - timedelta(days=day.weekday()))

    @classmethod
    def present(cls) -> Week:
        return cls.of(cinema_day(timezone.now()))

    @classmethod
    def read(cls, text: str | None) -> Week | None:
        """The week of a day such as `2026-12-03`; None if the text is no supported date."""
        try:
            day = date.fromisoformat(text or "")
        except ValueError:
            return None
        return cls.of(day) if 1871 <= day.year <= 2199 else None

    def after(self, weeks: int) -> Week:
        return Week(self.monday + weeks * ONE_WEEK)

    @property
    def sunday(self) -> date:
        return self.monday + timedelta(days=6)

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The first moment of the week, and the first one after it."""
        return start_of_cinema_day(self.monday), start_of_cinema_day(self.monday + ONE_WEEK)

    def __str__(self) -> str:
        return f"{self.monday:%d %b} – {self.sunday:%d %b %Y}"
