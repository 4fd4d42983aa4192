"""Times in calendars: zones, the evening past midnight, and both changes of the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from movies.models import Screening
from tests.builders import Client, at, make_movie, make_screening
from tests.calendars import calendar_events, calendar_text, events_of, lines_of, time_zone

pytestmark = pytest.mark.django_db

NINETY_MINUTES = timedelta(minutes=90)
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",  # changes around midnight, in the southern hemisphere
    "Africa/Casablanca",  # by the moon, so by dates
    "Asia/Jerusalem",  # the Friday before the last Sunday
    "Asia/Kolkata",  # half an hour, never changes
    "Asia/Tokyo",
    "Australia/Lord_Howe",  # by half an hour
    "Europe/Dublin",  # winter is the exception
    "Pacific/Apia",
    "UTC",
    "Etc/UTC",
    "Etc/GMT+5",
)


def change_within(zone: ZoneInfo, year: int, month: int) -> list[datetime]:
    """The hours of a month at which the clock is changed, in UTC."""
    start = datetime(year, month, 1, tzinfo=UTC)
    hours = (start + timedelta(hours=n) for n in range(31 * 24))
    return [
        hour
        for hour in hours
        if hour.astimezone(zone).utcoffset()
        != (hour + timedelta(hours=1)).astimezone(zone).utcoffset()
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_every_event_begins_and_ends_at_its_moment_in_any_zone(
    anonymous: Client, settings: Any, zone: str
) -> None:
    """Around each change of the clock in 2026 and 2027 a screening every half hour."""
    settings.TIME_ZONE = settings.CINEMA_TIME_ZONE = zone
    movie = make_movie()
    changes = [
        change
        for year in (2026, 2027)
        for month in range(1, 13)
        for change in change_within(ZoneInfo(zone), year, month)
    ] or [datetime(2026, 7, 1, 22, tzinfo=UTC)]
    for change in changes:
        starts = [change + timedelta(minutes=30 * n) for n in range(-6, 7)]
        Screening.objects.all().delete()
        screenings = [make_screening(movie, starts_at=starts_at) for starts_at in starts]
        week = {"from": (change - timedelta(days=3)).date(), "days": 7}
        events = calendar_events(anonymous, **week)
        assert [event.starts_at for event in events] == [s.starts_at for s in screenings]
        assert [event.ends_at for event in events] == [s.ends_at for s in screenings]


@pytest.mark.parametrize("zone", ZONES)
def test_the_zone_described_is_the_zone_through_all_the_days_asked_for(
    anonymous: Client, settings: Any, zone: str
) -> None:
    settings.TIME_ZONE = settings.CINEMA_TIME_ZONE = zone
    for first in (date(2026, 1, 1), date(2026, 12, 20)):
        described = time_zone(calendar_text(anonymous, **{"from": first, "days": 92}))
        start = datetime(first.year, first.month, first.day, tzinfo=UTC)
        for hour in range(93 * 24):
            local = (start + timedelta(hours=hour)).astimezone(ZoneInfo(zone))
            if not local.fold:
                assert local.replace(tzinfo=described).utcoffset() == local.utcoffset(), local


@pytest.mark.parametrize(
    ("starts_at", "start", "end"),
    [
        # 2026-03-29: 02:00 is followed by 03:00.
        ("2026-03-29T01:30:00+01:00", ";TZID=Europe/Berlin:20260329T013000", "20260329T040000"),
        ("2026-03-29T02:30:00+01:00", ";TZID=Europe/Berlin:20260329T033000", "20260329T050000"),
        # 2026-10-25: 02:00 to 03:00 is there twice.
        ("2026-10-25T00:00:00+02:00", ";TZID=Europe/Berlin:20261025T000000", "20261025T013000"),
        ("2026-10-25T00:30:00+02:00", ":20261024T223000Z", "20261025T000000Z"),
        ("2026-10-25T02:30:00+02:00", ":20261025T003000Z", "20261025T020000Z"),
        ("2026-10-25T02:30:00+01:00", ":20261025T013000Z", "20261025T030000Z"),
        ("2026-10-25T03:00:00+01:00", ";TZID=Europe/Berlin:20261025T030000", "20261025T043000"),
    ],
)
def test_a_time_that_the_clock_shows_twice_is_given_in_utc(
    staff: Client, starts_at: str, start: str, end: str
) -> None:
    screening = {"movie_id": make_movie().pk, "hall": "1", "starts_at": starts_at}
    assert staff.post("/screenings", screening).status_code == 201
    text = calendar_text(staff, **{"from": starts_at[:8] + "20", "days": 14})
    [line] = [line for line in lines_of(text)[-20:] if line.startswith("DTSTART")]
    assert line == f"DTSTART{start}"
    [line] = [line for line in lines_of(text)[-20:] if line.startswith("DTEND")]
    assert line.endswith(f":{end}")
    [event] = events_of(text)
    assert event.starts_at == datetime.fromisoformat(starts_at)
    assert event.ends_at == event.starts_at + NINETY_MINUTES


def test_the_calendar_names_the_rule_of_the_clock_changes(anonymous: Client) -> None:
    """Some calendars understand nothing else."""
    text = calendar_text(anonymous, **{"from": "2026-12-20", "days": 28})
    begin, end = text.index("BEGIN:VTIMEZONE"), text.index("END:VTIMEZONE")
    assert text[begin:end].split("\r\n")[1:-1] == [
        "TZID:Europe/Berlin",
        "BEGIN:DAYLIGHT",
        "DTSTART:20250330T020000",
        "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3",
        "TZOFFSETFROM:+0100",
        "TZOFFSETTO:+0200",
        "END:DAYLIGHT",
        "BEGIN:STANDARD",
        "DTSTART:20251026T030000",
        "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10",
        "TZOFFSETFROM:+0200",
        "TZOFFSETTO:+0100",
        "END:STANDARD",
    ]


def test_a_late_show_ends_on_the_next_date(anonymous: Client) -> None:
    day = date(2026, 12, 31)
    make_screening(starts_at=at(day, 23, 30))
    make_screening(starts_at=at(day + timedelta(days=1), 1))
    events = calendar_events(anonymous, **{"from": day, "to": day})
    assert [timezone.localtime(event.starts_at).isoformat() for event in events] == [
        "2026-12-31T23:30:00+01:00",
        "2027-01-01T01:00:00+01:00",
    ]
    assert [timezone.localtime(event.ends_at).day for event in events] == [1, 1]


@pytest.mark.parametrize("first", ["1870-01-01", "1945-05-01", "2038-03-01", "2200-12-31"])
def test_distant_years_are_accepted(anonymous: Client, first: str) -> None:
    text = calendar_text(anonymous, **{"from": first, "days": 92})
    assert "BEGIN:VTIMEZONE" in text
