"""Clicks: films that viewers open from their lists."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.core.cache import cache
from django.utils import timezone
from pytest_django.fixtures import Settings

from cinema.cache import ForgivingRedisCache, shared
from movies.models import Movie
from recommendations.impressions import storage, stream
from recommendations.models import Impression
from recommendations.tasks import store_impressions
from tests.audience import body, ids, listed
from tests.builders import Client, make_movie, make_user
from tests.showing import left

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


@pytest.fixture
def films() -> list[Movie]:
    return [make_movie() for _ in range(6)]


def click(client: Client, list_id: Any, movie_id: Any) -> int:
    payload = {"movie_id": movie_id}
    return client.post(f"/recommendations/{list_id}/clicks", payload).status_code


def clicked() -> dict[int, datetime]:
    """The time of the click by film."""
    rows = Impression.objects.exclude(clicked_at=None)
    return {row.movie_id: row.clicked_at for row in rows if row.clicked_at}


def test_a_click_is_in_the_table_once_the_task_has_run(viewer: Client, films: list[Movie]) -> None:
    answer = listed(viewer, limit=3)
    opened = ids(answer)[1]
    began_at = timezone.now()
    assert click(viewer, answer["list_id"], opened) == 204
    store_impressions()
    assert list(clicked()) == [opened]
    assert began_at <= clicked()[opened] <= timezone.now()
    assert left() == 0


def test_a_click_long_after_its_impression(viewer: Client, films: list[Movie]) -> None:
    answer = listed(viewer, limit=3)
    store_impressions()
    cache.clear()  # the list has ended
    assert click(viewer, answer["list_id"], ids(answer)[0]) == 204
    assert click(viewer, answer["list_id"], ids(answer)[2]) == 204
    store_impressions()
    assert clicked().keys() == {ids(answer)[0], ids(answer)[2]}


def test_the_first_of_several_clicks_counts(viewer: Client, films: list[Movie]) -> None:
    """Within one run of the task and after it; also if they come in another order."""
    answer = listed(viewer)
    opened = ids(answer)[0]
    now = timezone.now()
    for minutes in (5, 9):
        with time_machine.travel(now + timedelta(minutes=minutes), tick=False):
            assert click(viewer, answer["list_id"], opened) == 204
    store_impressions()
    assert clicked() == {opened: now + timedelta(minutes=5)}
    for minutes in (12, 2):
        with time_machine.travel(now + timedelta(minutes=minutes), tick=False):
            assert click(viewer, answer["list_id"], opened) == 204
        store_impressions()
    assert clicked() == {opened: now + timedelta(minutes=2)}


def test_a_click_that_comes_before_its_impression_waits_for_it(
    viewer: Client, films: list[Movie]
) -> None:
    """The process that showed the list could not reach Valkey; another one took the click."""
    answer = listed(viewer)
    key = stream.stream_key()
    messages: Any = shared().ask(lambda server: server.xrange(key))
    shared().ask(lambda server: server.delete(key))
    assert click(viewer, answer["list_id"], ids(answer)[0]) == 204
    for _ in range(2):
        store_impressions()
        assert (left(), Impression.objects.count()) == (1, 0)
    shared().ask(lambda server: server.xadd(key, messages[0][1]))
    store_impressions()
    store_impressions()
    assert list(clicked()) == [ids(answer)[0]]
    assert left() == 0


def test_a_click_does_not_wait_for_ever(viewer: Client, films: list[Movie]) -> None:
    answer = listed(viewer, limit=2)
    never_shown = next(film.pk for film in films if film.pk not in ids(answer))
    long_ago = timezone.now() - storage.CLICKS_WAIT - timedelta(minutes=1)
    with time_machine.travel(long_ago, tick=False):
        soon = Client(viewer.user)
        assert click(soon, answer["list_id"], never_shown) == 204
    store_impressions()
    assert (left(), clicked()) == (0, {})


@pytest.mark.parametrize("is_stored", [False, True])
def test_only_films_of_the_own_list_can_be_clicked(
    viewer: Client, films: list[Movie], is_stored: bool
) -> None:
    answer = listed(viewer)
    other = Client(make_user())
    listed(other)
    new = make_movie().pk
    if is_stored:
        store_impressions()
        cache.clear()
    refused: list[tuple[Client, Any, Any]] = [
        (other, answer["list_id"], ids(answer)[0]),
        (viewer, uuid4(), ids(answer)[0]),
        (viewer, answer["list_id"], new),
        (viewer, answer["list_id"], 2**63 - 1),
    ]
    assert [click(*each) for each in refused] == [404] * 4
    store_impressions()
    assert (clicked(), left()) == ({}, 0)


@pytest.mark.parametrize("list_id", ["7", "next", "x" * 36, "a" * 5000, "..", "%00", "ü"])
def test_an_invalid_list_id_is_404(viewer: Client, list_id: str) -> None:
    answer = viewer.post(f"/recommendations/{list_id}/clicks", {"movie_id": 1})
    assert answer.status_code in (404, 405)
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "payload",
    [None, {}, [], {"movie_id": "1"}, {"movie_id": 0}, {"movie_id": 2**63}, {"movie_id": None},
     {"movie_id": True}, {"movie_id": 1.5}, {"movie_id": 1, "user_id": 2}],
)  # fmt: skip
def test_a_malformed_click_is_refused(viewer: Client, films: list[Movie], payload: Any) -> None:
    answer = listed(viewer)
    refused = viewer.post(f"/recommendations/{answer['list_id']}/clicks", payload)
    assert refused.status_code == 422


def test_a_click_needs_a_sign_in(anonymous: Client) -> None:
    assert click(anonymous, uuid4(), 1) == 401


def test_films_of_a_later_batch_and_films_acted_on_can_be_clicked(
    viewer: Client, films: list[Movie]
) -> None:
    listed(viewer, limit=2)
    second = body(viewer.get("/recommendations/next"))
    viewer.post("/interactions", {"movie_id": ids(second)[0], "kind": "seen"})
    for movie_id in ids(second):
        assert click(viewer, second["list_id"], movie_id) == 204
    store_impressions()
    assert clicked().keys() == set(ids(second))


def test_while_valkey_is_away_clicks_are_taken_and_stored_later(
    viewer: Client, films: list[Movie], settings: Settings, tmp_path: Any
) -> None:
    standing = settings.CACHES
    dead = {**standing["default"], "LOCATION": f"unix://{tmp_path}/nobody.sock"}
    settings.CACHES = {"default": dead}
    answer = listed(viewer)
    opened = ids(answer)[0]
    stranger = Client(make_user())
    assert click(viewer, answer["list_id"], opened) == 204
    assert click(stranger, answer["list_id"], ids(answer)[1]) == 204  # nobody can tell
    settings.CACHES = standing
    ForgivingRedisCache._away_until = 0.0
    listed(stranger)
    store_impressions()
    assert list(clicked()) == [opened]


def test_a_click_costs_no_query_while_the_list_is_kept(
    viewer: Client, films: list[Movie], django_assert_num_queries: Any
) -> None:
    answer = listed(viewer)
    with django_assert_num_queries(1):  # who asks
        assert click(viewer, answer["list_id"], ids(answer)[0]) == 204
