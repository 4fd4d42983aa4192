"""Viewers who leave while others do, or while they do something else themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

import pytest
from django.db import transaction

from recommendations.models import Interaction
from tests.audience import rate
from tests.belongings import PASSWORD, counted, leave
from tests.builders import Client, interact, make_movie, make_user
from tests.concurrency import and_disconnect, at_once
from users import erasure
from users.erasure import erase
from users.models import Favourite, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def patient_erasure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty attempts of less than Postgres' `deadlock_timeout`, for a busy machine."""
    monkeypatch.setattr(erasure, "LOCK_TIMEOUT", "900ms")


def test_viewers_of_the_same_films_leave_at_once() -> None:
    films = [make_movie() for _ in range(6)]
    viewers = [Client(make_user(password=PASSWORD)) for _ in range(6)]
    for viewer in viewers:
        for film in films:
            interact(viewer.user, film, "rating", half_stars=6)
    answers = at_once([partial(leave, viewer) for viewer in viewers])
    assert [answer.status_code for answer in answers] == [204] * len(viewers)
    assert not Interaction.objects.exists()
    assert {counted(film)[:2] for film in films} == {(len(viewers), 3)}


def test_simultaneous_erasures_by_two_devices_erase_once() -> None:
    user = make_user(password=PASSWORD)
    devices = [Client(user) for _ in range(4)]
    statuses = {answer.status_code for answer in at_once([partial(leave, d) for d in devices])}
    assert 204 in statuses
    assert statuses <= {204, 401}
    assert not User.objects.exists()


def test_ratings_written_during_the_erasure_leave_nothing() -> None:
    """Whatever comes before the end is erased, and whatever comes after it is refused."""
    films = [make_movie() for _ in range(5)]
    for _ in range(4):
        user = make_user(password=PASSWORD)
        devices = [Client(user) for _ in range(5)]

        def busy(device: Client) -> set[int]:
            favourites = [f"/users/me/favourites/{film.pk}" for film in films]
            statuses = {rate(device, film, 4).status_code for film in films}
            statuses |= {device.put(path).status_code for path in favourites}
            return statuses | {device.delete(path).status_code for path in favourites}

        def go(device: Client) -> set[int]:
            return {leave(device).status_code}

        done = at_once([partial(go, devices[0]), *(partial(busy, d) for d in devices[1:])])
        assert done[0] == {204}
        assert set().union(*done[1:]) <= {200, 204, 401, 404}
        assert not User.objects.filter(pk=user.pk).exists()
    assert not Interaction.objects.exists()
    assert not Favourite.objects.exists()


def test_a_write_that_waits_for_the_erasure_is_401(viewer: Client) -> None:
    """It was found out who sends it before there was nobody any more."""
    film, user_id = make_movie(), viewer.user.pk
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            erase(user_id=user_id)
            answer = pool.submit(and_disconnect, partial(rate, viewer, film, 4))
            assert not wait([answer], timeout=0.5).done
        assert answer.result(timeout=60).status_code == 401
    assert counted(film)[0] == 0


def test_one_of_the_last_two_superusers_remains() -> None:
    boss = {"is_staff": True, "is_superuser": True, "password": PASSWORD}
    both = [Client(make_user(**boss)) for _ in range(2)]
    statuses = sorted(answer.status_code for answer in at_once([partial(leave, c) for c in both]))
    assert statuses == [204, 409]
    assert User.objects.filter(is_superuser=True).count() == 1
