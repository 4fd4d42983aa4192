"""Reads calendars with other libraries than the one that writes them: vobject and dateutil."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

import vobject
from dateutil.tz import tzical

from tests.builders import Client

CALENDAR = "/programme.ics"


@dataclass(frozen=True)
class Event:
    uid: str
    sequence: int
    changed_at: datetime
    starts_at: datetime
    ends_at: datetime
    status: str
    summary: str
    location: str
    description: str
    url: str | None
    categories: tuple[str, ...]


def calendar_text(client: Client, path: str = CALENDAR, /, **query: Any) -> str:
    """The calendar as it was sent."""
    answer = client.get(path, **query)
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "text/calendar; charset=utf-8"
    return answer.content.decode()


def calendar_events(client: Client, path: str = CALENDAR, /, **query: Any) -> list[Event]:
    """The events in the order in which they stand."""
    return events_of(calendar_text(client, path, **query))


def events_of(text: str) -> list[Event]:
    zone = time_zone(text)
    calendar = vobject.readOne(text)
    return [_event(component, zone) for component in getattr(calendar, "vevent_list", [])]


def time_zone(text: str) -> tzinfo:
    """The zone as the calendar itself describes it."""
    begin, end = text.index("\r\nBEGIN:VTIMEZONE"), text.index("\r\nEND:VTIMEZONE")
    zone: tzinfo = tzical(io.StringIO(text[begin:end] + "\r\nEND:VTIMEZONE\r\n")).get()
    return zone


def lines_of(text: str) -> list[str]:
    """The content lines, unfolded."""
    return text.replace("\r\n ", "").split("\r\n")


def _event(component: Any, zone: tzinfo) -> Event:
    def value(name: str) -> Any:
        return getattr(component, name).value if hasattr(component, name) else None

    assert value("dtstamp") == value("last_modified")
    return Event(
        uid=value("uid"),
        sequence=int(value("sequence")),
        changed_at=value("dtstamp"),
        starts_at=_moment(component.dtstart, zone),
        ends_at=_moment(component.dtend, zone),
        status=value("status"),
        summary=value("summary"),
        location=value("location"),
        description=value("description"),
        url=value("url"),
        categories=tuple(value("categories") or ()),
    )


def _moment(line: Any, zone: tzinfo) -> datetime:
    """The moment in UTC, by the calendar's own description of the zone."""
    found: datetime = line.value
    assert found.tzinfo is not None, f"{line} belongs to no time zone"
    if not line.params.get("X-VOBJ-ORIGINAL-TZID"):
        return found.astimezone(UTC)
    return found.replace(tzinfo=zone).astimezone(UTC)
