"""The programme as iCalendar, read again by another library: what each event tells."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import Any

import pytest
from django.utils import timezone

from movies.days import cinema_day
from movies.models import Genre, Hall, Movie, Screening
from movies.tmdb.schemas import ATTRIBUTION
from tests.builders import Client, at, make_movie, make_screening
from tests.calendars import calendar_events, calendar_text, events_of, lines_of

pytestmark = pytest.mark.django_db

#: Thursday.
DAY = date(2026, 12, 3)
THAT_WEEK = {"from": DAY}


def a_week_of_screenings() -> list[Screening]:
    """One event of each kind, in the order of their start."""
    cleo = make_movie(name="Cléo de 5 à 7", genres=["drama", "music"], overview="Two hours; Paris,")
    late = make_movie(name="七人の侍", original_language="ja", overview="", runtime_minutes=None)
    return [
        make_screening(
            cleo, starts_at=at(DAY, 18), hall="Hall 1", booking_url="https://t.example/1"
        ),
        make_screening(cleo, starts_at=at(DAY, 20), state="sold-out", tags=["35mm", "q&a"]),
        make_screening(cleo, starts_at=at(DAY, 23, 30), version="subtitled", subtitles="de"),
        make_screening(late, starts_at=at(DAY, 24 - 1), ends_at=at(DAY + timedelta(days=1), 2)),
        make_screening(
            late,
            starts_at=at(DAY + timedelta(days=1), 1),
            ends_at=at(DAY + timedelta(days=1), 5, 59),
        ),
        make_screening(cleo, starts_at=at(DAY + timedelta(days=2), 14), state="cancelled"),
    ]


def test_each_event_is_a_screening_with_its_times_and_all_that_is_known_of_it(
    anonymous: Client,
) -> None:
    screenings = sorted(a_week_of_screenings(), key=lambda s: (s.starts_at, s.pk))
    events = calendar_events(anonymous, **THAT_WEEK)
    assert [event.uid for event in events] == [str(s.uid) for s in screenings]
    for event, screening in zip(events, screenings, strict=True):
        movie = screening.movie
        assert (event.starts_at, event.ends_at) == (screening.starts_at, screening.ends_at)
        assert event.sequence == screening.sequence == 0
        assert event.changed_at == max(screening.updated_at, movie.updated_at).replace(
            microsecond=0
        )
        assert event.summary.startswith(movie.name)
        assert event.location == f"{screening.hall.name}, Cinema"
        assert movie.overview in event.description
        assert event.categories == (*(g.name for g in movie.genres.all()), *screening.tags)
        assert event.url == screening.booking_url
        assert event.status == ("CANCELLED" if screening.state == "cancelled" else "CONFIRMED")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "Original, French · 90 min"),
        ({"version": "dubbed", "language": "de"}, "Dubbed, German · 90 min"),
        (
            {"version": "subtitled", "subtitles": "pt-br", "tags": ["35mm", "q&a"]},
            "Subtitled, French, Brazilian Portuguese subtitles · 90 min · 35mm · q&a",
        ),
        ({"language": "zh-Hant"}, "Original, Traditional Chinese · 90 min"),
        ({"language": "yue"}, "Original, Cantonese · 90 min"),
        ({"language": None}, "Original, French · 90 min"),
        ({"language": None, "version": "dubbed"}, "Dubbed · 90 min"),
        (
            {"booking_url": "https://t.example/1"},
            "Original, French · 90 min\n\nTickets: https://t.example/1",
        ),
    ],
)
def test_the_description_says_how_it_is_shown(
    anonymous: Client, fields: dict[str, Any], expected: str
) -> None:
    make_screening(starts_at=at(DAY, 20), **fields)
    [event] = calendar_events(anonymous, **THAT_WEEK)
    assert event.description == expected


@pytest.mark.parametrize(
    ("state", "status", "summary"),
    [
        ("scheduled", "CONFIRMED", "Cléo"),
        ("sold-out", "CONFIRMED", "Cléo (sold out)"),
        ("cancelled", "CANCELLED", "Cléo (cancelled)"),
    ],
)
def test_the_state_is_told_to_calendars_and_to_people(
    anonymous: Client, state: str, status: str, summary: str
) -> None:
    make_screening(make_movie(name="Cléo"), starts_at=at(DAY, 20), state=state)
    [event] = calendar_events(anonymous, **THAT_WEEK)
    assert (event.status, event.summary) == (status, summary)


def test_hidden_and_withdrawn_screenings_are_in_no_calendar(staff: Client) -> None:
    make_screening(starts_at=at(DAY, 20), state="hidden")
    withdrawn = make_screening(starts_at=at(DAY, 20)).movie
    assert staff.delete(f"/movies/{withdrawn.pk}", force=True).status_code == 204
    assert calendar_events(staff, **THAT_WEEK) == []


def test_a_moved_screening_stays_the_same_event_with_a_higher_sequence(staff: Client) -> None:
    screening = make_screening(starts_at=at(DAY, 20))
    [before] = calendar_events(staff, **THAT_WEEK)
    path = f"/screenings/{screening.pk}"
    assert staff.patch(path, {"starts_at": at(DAY, 21).isoformat()}).status_code == 200
    assert staff.patch(path, {"state": "cancelled"}).status_code == 200
    [after] = calendar_events(staff, **THAT_WEEK)
    assert after.uid == before.uid
    assert (before.sequence, after.sequence) == (0, 2)
    assert after.starts_at == at(DAY, 21)
    assert after.status == "CANCELLED"


def test_a_renamed_movie_is_a_change_of_its_events(staff: Client) -> None:
    long_ago = timezone.now() - timedelta(days=30)
    screening = make_screening(starts_at=at(DAY, 20))
    Screening.objects.update(updated_at=long_ago)
    Movie.objects.update(updated_at=long_ago)
    [before] = calendar_events(staff, **THAT_WEEK)
    assert staff.patch(f"/movies/{screening.movie_id}", {"name": "Renamed"}).status_code == 200
    [after] = calendar_events(staff, **THAT_WEEK)
    assert (after.uid, after.summary) == (before.uid, "Renamed")
    assert before.changed_at == long_ago.astimezone(UTC).replace(microsecond=0)
    assert after.changed_at > before.changed_at


def test_ratings_and_rankings_change_no_byte(viewer: Client) -> None:
    movie = make_screening(starts_at=at(DAY, 20)).movie
    before = calendar_text(viewer, **THAT_WEEK)
    Movie.objects.update(ranking=10)
    assert viewer.put(f"/movies/{movie.pk}/rating", {"stars": 4}).status_code == 200
    assert calendar_text(viewer, **THAT_WEEK) == before


# --- of whom, and for how long


def test_a_calendar_has_a_name_and_a_refresh_interval(anonymous: Client, settings: Any) -> None:
    settings.CINEMA_NAME = "Kino, Babylon"
    movie = make_movie(name="Cléo")
    make_screening(movie, starts_at=at(DAY, 20), hall="Hall 1", tags=["35mm"])
    lines = lines_of(calendar_text(anonymous, **THAT_WEEK))
    assert lines[:3] == ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Cinema//Programme 1//EN"]
    assert lines[-2:] == ["END:VCALENDAR", ""]
    assert {"REFRESH-INTERVAL;VALUE=DURATION:PT1H", "X-PUBLISHED-TTL:PT1H"} <= set(lines)
    assert not [line for line in lines if line.startswith("METHOD")]
    names: list[tuple[dict[str, Any], str]] = [
        ({}, r"Kino\, Babylon"),
        ({"movie_id": movie.pk}, r"Kino\, Babylon: Cléo"),
        ({"hall": "hall 1", "tag": "35MM"}, r"Kino\, Babylon: hall 1: 35mm"),
        (
            {"language": "ZH-hant", "subtitles": "eng"},
            r"Kino\, Babylon: Traditional Chinese: English subtitles",
        ),
        ({"understands": ["en", "cn"]}, r"Kino\, Babylon: understood in English or Cantonese"),
        ({"movie_id": movie.pk + 1}, r"Kino\, Babylon"),
    ]
    for query, name in names:
        lines = lines_of(calendar_text(anonymous, **THAT_WEEK, **query))
        assert {f"NAME:{name}", f"X-WR-CALNAME:{name}"} <= set(lines)


@pytest.mark.parametrize("hall", ["END:VCALENDAR", "END:VTIMEZONE", "x" * 300, "\\N;,:"])
def test_no_filter_breaks_the_calendar(anonymous: Client, hall: str) -> None:
    make_screening(make_movie(name=hall), starts_at=at(DAY, 20), hall=hall[:60])
    Screening.objects.update(tags=[hall[:40].lower()])
    for query in ({"hall": hall[:60]}, {"tag": hall[:40]}):
        text = calendar_text(anonymous, **THAT_WEEK, **query)
        assert text.endswith("\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
        assert [event.summary for event in events_of(text)] == [hall]
    assert anonymous.get("/programme.ics", tag=hall, genre=hall).status_code == 200


def test_a_calendar_without_events_is_valid(anonymous: Client) -> None:
    """RFC 5545 wants at least one component: the time zone."""
    text = calendar_text(anonymous)
    assert events_of(text) == []
    assert text.count("BEGIN:VTIMEZONE\r\n") == 1


def test_the_address_is_part_of_the_location(anonymous: Client, settings: Any) -> None:
    settings.CINEMA_NAME = "Babylon"
    settings.CINEMA_STREET, settings.CINEMA_CITY = "Rosa-Luxemburg-Straße 30", "Berlin"
    settings.CINEMA_POSTAL_CODE = "10178"
    make_screening(starts_at=at(DAY, 20), hall="Hall 1")
    [event] = calendar_events(anonymous, **THAT_WEEK)
    assert event.location == "Hall 1, Babylon, Rosa-Luxemburg-Straße 30, 10178 Berlin"


def test_a_movie_has_a_calendar_of_its_own_for_three_months(anonymous: Client) -> None:
    movie = make_movie(name="Cléo")
    today = cinema_day(timezone.now())
    kept = [make_screening(movie, starts_at=at(today + timedelta(days=n), 20)) for n in (0, 9, 91)]
    make_screening(movie, starts_at=at(today - timedelta(days=2), 20))
    make_screening(movie, starts_at=at(today + timedelta(days=93), 20))
    make_screening(starts_at=at(today, 20))
    path = f"/movies/{movie.pk}/programme.ics"
    assert [e.uid for e in calendar_events(anonymous, path)] == [str(s.uid) for s in kept]
    assert "NAME:Cinema: Cléo" in lines_of(calendar_text(anonymous, path))
    lonely = make_movie(name="Not yet")
    text = calendar_text(anonymous, f"/movies/{lonely.pk}/programme.ics")
    assert "NAME:Cinema: Not yet" in lines_of(text)
    assert events_of(text) == []


def test_an_event_with_data_from_tmdb_has_the_attribution(anonymous: Client) -> None:
    movie = make_screening(starts_at=at(DAY, 20)).movie
    make_screening(starts_at=at(DAY, 21))
    Movie.objects.filter(pk=movie.pk).update(tmdb_fields=["overview"])
    theirs, ours = calendar_events(anonymous, **THAT_WEEK)
    assert theirs.description.endswith(f"\n\n{ATTRIBUTION}")
    assert ATTRIBUTION not in ours.description


# --- texts

NASTY = {
    "separators": "a,b;c:d=e\"f'g",
    "backslashes": r"C:\News \n \N \\ \, \; \\\ ",
    "line ends": "one\ntwo\n\nfour",
    "other line ends": "one\r\ntwo\rthree\u2028four\u2029five\x85six",
    "looks like iCalendar": "END:VEVENT\nBEGIN:VEVENT\nSUMMARY:x",
    "emoji": "👩‍👩‍👧‍👦🎬 " * 40,
    "right to left": "\u202eשלום\u202c \u200fمرحبا\u200f",
    "combining": "e\u0301" * 100,
    "markup": "<b>&amp;</b> </script> ]]>",
    "long": "ä" * 10_000,
    "backslashes without an end": "\\" * 999,
    "controls": "bell\x07 tab\t escape\x1b null-like\x01 delete\x7f",
}
READ_AS = {
    "other line ends": "one\ntwo\nthree\nfour\nfive\nsix",
    "controls": "bell tab  escape null-like delete",
}


@pytest.mark.parametrize("kind", NASTY)
def test_any_text_comes_back_as_it_was(anonymous: Client, kind: str) -> None:
    """Written past the API, which lets some of these in nowhere."""
    screening = make_screening(make_movie(genres=["drama"]), starts_at=at(DAY, 20), tags=["tag"])
    text, expected = NASTY[kind], READ_AS.get(kind, NASTY[kind])
    Movie.objects.update(name=text[:250], overview=text)
    Hall.objects.update(name=text[:60])
    Genre.objects.update(name=text[:60])
    calendar = calendar_text(anonymous, **THAT_WEEK)
    [event] = events_of(calendar)
    assert event.uid == str(screening.uid)
    assert event.summary == expected[:250]
    assert event.description == f"Original, French · 90 min · tag\n\n{expected}"
    assert event.location.endswith(", Cinema")
    assert event.categories == (expected[:60], "tag")


@pytest.mark.parametrize("kind", NASTY)
@pytest.mark.parametrize("shift", range(4))
def test_lines_are_folded_at_75_octets_between_characters(
    anonymous: Client, kind: str, shift: int
) -> None:
    make_screening(starts_at=at(DAY, 20))
    Movie.objects.update(overview="x" * shift + NASTY[kind] * 2)
    Screening.objects.update(tags=[("x" * shift + NASTY[kind])[:40]])
    body = anonymous.get("/programme.ics", **THAT_WEEK).content
    assert body.endswith(b"\r\n")
    assert b"\n" not in body.replace(b"\r\n", b"")
    for line in body.split(b"\r\n"):
        assert len(line) <= 75
        line.decode()
        assert not any(octet < 0x20 or octet == 0x7F for octet in line)
        assert (len(line) - len(line.rstrip(b"\\"))) % 2 == 0, "an escape is torn"


def test_an_address_in_any_script_is_a_valid_uri(anonymous: Client) -> None:
    make_screening(starts_at=at(DAY, 20), booking_url="https://kino.example/für?a=1,2;b=ü&c=%20")
    [event] = calendar_events(anonymous, **THAT_WEEK)
    assert event.url == "https://kino.example/f%C3%BCr?a=1,2;b=%C3%BC&c=%20"


def test_a_category_may_hold_a_comma(anonymous: Client) -> None:
    make_screening(make_movie(genres=["drama"]), starts_at=at(DAY, 20), tags=["drama", "a, b; c"])
    Genre.objects.update(name="Drama, Comedy")
    [event] = calendar_events(anonymous, **THAT_WEEK)
    assert event.categories == ("Drama, Comedy", "drama", "a, b; c")
