"""`scope=programme` means the cinema days of `GET /programme`, by the clock of the cinema."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

import pytest
import time_machine
from django.conf import settings
from django.utils import timezone

from movies import catalogue
from movies.days import cinema_day, local_time, moment_of, start_of_cinema_day
from movies.models import Movie
from tests.audience import ids, listed
from tests.builders import Client, make_movie, make_screening, make_user
from tests.tastes import publish_popularity
from tests.test_graphql import ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

#: Clock readings: a small hour, just before and after the cinema day begins, days on which the
#: clock changes or is about to, the end of a year, 29 February.
READINGS = (
    "2026-12-03T00:30",
    "2026-12-03T05:59",
    "2026-12-03T06:00",
    "2026-12-06T20:15",
    "2026-10-20T21:00",
    "2026-10-25T05:30",
    "2027-03-22T12:00",
    "2026-12-31T23:59",
    "2028-02-29T03:00",
)


def moment(reading: str) -> datetime:
    return moment_of(datetime.fromisoformat(reading))[0]


@pytest.fixture(params=READINGS)
def now(request: pytest.FixtureRequest) -> Iterator[datetime]:
    with time_machine.travel(moment(request.param), tick=False):
        yield timezone.now()


def show_around(day: date) -> None:
    """One film in the last minute before this cinema day, one in its first moment."""
    begins_at = start_of_cinema_day(day)
    make_screening(make_movie(), starts_at=begins_at - timedelta(minutes=1))
    make_screening(make_movie(), starts_at=begins_at)


def in_programme(client: Client, days: int) -> set[int]:
    """The films of the programme that have a screening to come in it."""
    programme = client.get("/programme", days=days).json()
    return {
        movie["id"]
        for day in programme["days"]
        for movie in day["movies"]
        for screening in movie["screenings"]
        if datetime.fromisoformat(screening["starts_at"]) > timezone.now()
    }


@pytest.mark.parametrize("days", [1, 7])
def test_a_list_of_the_programme_has_the_films_of_those_days(now: datetime, days: int) -> None:
    today, viewer = cinema_day(now), Client(make_user())
    for distance in (0, 1, days, days + 1):
        show_around(today + timedelta(days=distance))
    make_screening(make_movie(), starts_at=now + timedelta(days=days, minutes=-30))
    make_screening(make_movie(), starts_at=now + timedelta(days=days, minutes=30))
    expected = in_programme(viewer, days)
    assert len(expected) < Movie.objects.count()
    assert set(ids(listed(viewer, scope="programme", days=days, limit=40))) == expected
    found = ask(
        viewer,
        "query($days: Int!) { recommendations(scope: PROGRAMME, days: $days, limit: 40) "
        "{ items { movie { pk } } } }",
        days=days,
    )
    assert {item["movie"]["pk"] for item in found["recommendations"]["items"]} == expected


def test_the_default_period_is_today_and_six_days(now: datetime) -> None:
    viewer = Client(make_user())
    for distance in (6, 7):
        show_around(cinema_day(now) + timedelta(days=distance))
    week = viewer.get("/programme").json()
    shown = {movie["id"] for day in week["days"] for movie in day["movies"]}
    assert len(shown) == 3
    assert set(ids(listed(viewer, scope="programme"))) == shown


@pytest.mark.parametrize("algorithm", ["hybrid", "popularity"])
def test_the_next_cinema_day_makes_a_new_list_with_its_films(algorithm: str) -> None:
    """After midnight, when every list is made again, and before the evening ends."""
    tomorrow = start_of_cinema_day(date(2026, 12, 4))
    with time_machine.travel(moment("2026-12-04T00:30"), tick=False) as clock:
        viewer = make_user()
        make_screening(movie := make_movie(), starts_at=tomorrow + timedelta(days=6))
        make_screening(other := make_movie(), starts_at=tomorrow + timedelta(days=5))
        publish_popularity()
        before = listed(Client(viewer), scope="programme", algorithm=algorithm)
        assert ids(before) == [other.pk]
        clock.move_to(tomorrow - timedelta(seconds=1))
        assert listed(Client(viewer), scope="programme", algorithm=algorithm) == before
        clock.move_to(tomorrow)
        after = listed(Client(viewer), scope="programme", algorithm=algorithm)
        assert set(ids(after)) == {movie.pk, other.pk}


def test_the_audience_is_counted_for_the_same_days(now: datetime) -> None:
    staff = Client(make_user(is_staff=True))
    for distance in (7, 8):
        show_around(cinema_day(now) + timedelta(days=distance))
    expected = in_programme(staff, 7)
    assert set(catalogue.current().snapshot.upcoming.showing(7)) == expected
    assert len(expected) == 1
    assert Movie.objects.count() == 4


def test_a_cinema_day_that_begins_at_midnight_is_a_calendar_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "CINEMA_DAY_STARTS_AT", time(0))
    with time_machine.travel(moment("2026-12-03T22:00"), tick=False):
        viewer = Client(make_user())
        show_around(date(2026, 12, 10))
        [movie_id] = ids(listed(viewer, scope="programme"))
        [screening] = Movie.objects.get(pk=movie_id).screenings.all()
        assert local_time(screening.starts_at).date() == date(2026, 12, 9)
