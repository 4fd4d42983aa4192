"""When a list that is kept ends: at midnight, and when staff change what goes into lists."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import time_machine
from django.utils import timezone
from pytest_django.fixtures import Settings

from recommendations.models import Experiment, Promotion
from tests.audience import ids, listed
from tests.builders import Client, make_movie, make_screening, make_user
from tests.tastes import publish_popularity

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


@pytest.mark.parametrize(
    ("zone", "asked_at", "midnight"),
    [
        ("Europe/Berlin", "2026-12-03T19:30:00+01:00", "2026-12-04T00:00:00+01:00"),
        ("Europe/Berlin", "2026-12-03T00:00:00+01:00", "2026-12-04T00:00:00+01:00"),
        ("Europe/Berlin", "2026-10-24T23:59:59+02:00", "2026-10-25T00:00:00+02:00"),
        # The day with 25 hours, and the one with 23.
        ("Europe/Berlin", "2026-10-25T00:30:00+02:00", "2026-10-26T00:00:00+01:00"),
        ("Europe/Berlin", "2026-03-29T00:30:00+01:00", "2026-03-30T00:00:00+02:00"),
        # The clock leaves midnight out, and shows the hour before it twice.
        ("Africa/Cairo", "2026-04-23T20:00:00+02:00", "2026-04-24T01:00:00+03:00"),
        ("Africa/Cairo", "2026-10-29T23:30:00+03:00", "2026-10-30T00:00:00+02:00"),
    ],
)
def test_a_list_stands_until_midnight(
    settings: Settings, zone: str, asked_at: str, midnight: str
) -> None:
    settings.TIME_ZONE = settings.CINEMA_TIME_ZONE = zone
    make_movie()
    user = make_user()
    with time_machine.travel(datetime.fromisoformat(asked_at), tick=False):
        first = listed(Client(user))
        assert first["expires_at"] == midnight
    ends_at = datetime.fromisoformat(midnight)
    with time_machine.travel(ends_at - timedelta(seconds=1), tick=False):
        assert listed(Client(user))["list_id"] == first["list_id"]
        assert Client(user).get("/recommendations/next", batch=1).status_code == 200
    with time_machine.travel(ends_at, tick=False):
        assert Client(user).get("/recommendations/next", batch=1).status_code == 404
        assert listed(Client(user))["list_id"] != first["list_id"]


def test_promotions_and_experiments_make_a_new_list_when_they_begin_and_end(
    viewer: Client, settings: Settings
) -> None:
    film, now = make_movie(), timezone.now()
    times = {"starts_at": now + timedelta(minutes=2), "ends_at": now + timedelta(minutes=4)}
    publish_popularity()
    lists = {
        "hybrid": [listed(viewer)],
        "popularity": [listed(viewer, algorithm="popularity")],
    }
    Promotion.objects.create(movie=film, kind="boost", strength=0.5, **times)
    later = {name: moment + timedelta(minutes=4) for name, moment in times.items()}
    Experiment.objects.create(name="x", algorithm_a="als", algorithm_b="content", **later)
    for minutes in (1, 3, 5, 7, 9):
        with time_machine.travel(now + timedelta(minutes=minutes), tick=False):
            for algorithm, given in lists.items():
                given.append(listed(viewer, algorithm=algorithm))
                assert listed(viewer, algorithm=algorithm) == given[-1]
    made = {algorithm: [each["list_id"] for each in given] for algorithm, given in lists.items()}
    assert len(set(made["hybrid"])) == 5
    assert made["hybrid"][0] == made["hybrid"][1]
    assert len(set(made["popularity"])) == 1


def test_a_film_leaves_a_list_of_the_programme_when_its_last_screening_begins() -> None:
    noon = datetime.fromisoformat("2026-12-03T12:00:00+01:00")
    shown, lists = [], set()
    with time_machine.travel(noon, tick=False) as clock:
        user, films = make_user(), [make_movie() for _ in range(3)]
        for film, minutes in zip([*films, films[0]], (5, 10, 300, 15), strict=True):
            make_screening(film, starts_at=noon + timedelta(minutes=minutes))
        for minutes in (0, 4, 5, 9, 10, 15):
            clock.move_to(noon + timedelta(minutes=minutes))
            given = listed(Client(user), scope="programme")
            assert listed(Client(user), scope="programme") == given
            shown.append(set(ids(given)))
            lists.add(given["list_id"])
    one, two, three = (film.pk for film in films)
    assert shown == [{one, two, three}] * 4 + [{one, three}, {three}]
    assert len(lists) == 1
