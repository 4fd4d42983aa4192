"""The task that makes lists anew, and what is kept of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from redis import Redis

from cinema.cache import ForgivingRedisCache
from movies.models import Movie
from recommendations.lists import list_builder, list_cache, renewal
from recommendations.tasks import renew_lists
from tests.audience import body, ids, listed, say
from tests.builders import Client, make_movie, make_screening, make_user
from tests.renewing import find, keyed_to, lose_patience, messages, waiting
from tests.settings import RUN
from users.erasure import erase

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone", "committing")]


@pytest.fixture
def films() -> list[Movie]:
    return [make_movie() for _ in range(12)]


def test_many_who_act_at_once_send_one_task(films: list[Movie]) -> None:
    clients = [Client(make_user()) for _ in range(20)]
    before = messages()
    for client in clients:
        say(client, films[0], "like")
    assert messages() == before + 1
    assert sorted(waiting()) == sorted(client.user.pk for client in clients)
    renew_lists()
    assert waiting() == []
    say(clients[0], films[1], "like")
    assert messages() == before + 2


def test_viewers_are_renewed_in_blocks(films: list[Movie], monkeypatch: pytest.MonkeyPatch) -> None:
    clients = [Client(make_user()) for _ in range(5)]
    before = {client: listed(client)["list_id"] for client in clients}
    for client in clients:
        say(client, films[0], "like")
    monkeypatch.setattr(renewal, "BLOCK", 2)
    with CaptureQueriesContext(connection) as queries:
        renew_lists()
    assert sum("string_agg" in query["sql"] for query in queries) == 3
    for client in clients:
        found = find(client)
        assert found.renewed is not None
        assert found.renewed.list_id != before[client]
        assert found.asked_at is None


def test_a_task_without_time_leaves_the_rest_to_another(
    films: list[Movie], monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [Client(make_user()) for _ in range(3)]
    for client in clients:
        say(client, films[0], "like")
    before = messages()
    monkeypatch.setattr(renewal, "BLOCK", 2)
    monkeypatch.setattr(renewal, "RUN_AT_MOST_S", 0.0)
    renew_lists()
    assert (len(waiting()), messages()) == (1, before + 1)
    say(clients[0], films[1], "like")
    assert messages() == before + 1


def test_to_run_again_changes_nothing(viewer: Client, films: list[Movie]) -> None:
    listed(viewer)
    say(viewer, films[0], "like")
    renew_lists()
    renewed = listed(viewer)
    list_cache.request_renewal(viewer.user.pk, may_wait=True)
    renew_lists()
    renew_lists()
    assert listed(viewer) == renewed


def test_who_has_no_list_or_is_gone_costs_nothing(viewer: Client, films: list[Movie]) -> None:
    for user_id in (viewer.user.pk, 10**12):
        list_cache.request_renewal(user_id, may_wait=True)
    with CaptureQueriesContext(connection) as queries:
        renew_lists()
    assert not any("recommendations_evidence" in query["sql"] for query in queries)
    assert keyed_to(viewer.user) == []
    list_cache.request_renewal(10**12, may_wait=True)
    renew_lists()
    assert ForgivingRedisCache._away_until == 0


def test_no_list_comes_back_of_who_is_erased_meanwhile(
    viewer: Client, films: list[Movie], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(viewer)
    say(viewer, films[0], "like")
    user = viewer.user
    build_lists = list_builder.build_lists

    def interrupted(*args: Any, **kwargs: Any) -> Iterator[list_builder.ViewerList]:
        made = list(build_lists(*args, **kwargs))
        erase(user_id=user.pk)
        yield from made

    monkeypatch.setattr(renewal, "build_lists", interrupted)
    renew_lists()
    assert keyed_to(user) == []


@pytest.mark.usefixtures("without_cache")
def test_without_valkey_each_request_makes_its_list(viewer: Client, films: list[Movie]) -> None:
    listed(viewer)
    assert say(viewer, films[0], "like").status_code == 201
    assert films[0].pk not in ids(listed(viewer))
    renew_lists()


def test_without_a_broker_words_are_taken_and_lists_are_made(
    viewer: Client, films: list[Movie], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise ConnectionRefusedError

    first = listed(viewer)
    monkeypatch.setattr(renew_lists, "apply_async", away)
    assert say(viewer, films[0], "like").status_code == 201
    assert films[0].pk not in ids(listed(viewer))
    lose_patience(viewer)
    assert listed(viewer)["list_id"] != first["list_id"]


# --- what is kept


def test_each_key_has_an_end(viewer: Client, films: list[Movie]) -> None:
    """But the stream of impressions, which are no cache, and which a task empties."""
    listed(viewer, limit=4)
    body(viewer.get("/recommendations/next"))
    say(viewer, films[0], "like")
    renewal._renew([viewer.user.pk])
    say(viewer, films[1], "like")
    with Redis.from_url(django_settings.REDIS_URL, decode_responses=True) as server:
        keys = list(server.scan_iter(f"{RUN}:*recommendations:*"))
        without_end = [key for key in keys if server.ttl(key) < 0]
    assert len(keys) >= 7
    assert [key.rpartition(":")[2] for key in without_end] == ["impressions"]


def test_of_many_questions_the_latest_are_kept(viewer: Client, films: list[Movie]) -> None:
    make_screening(films[0])
    for days in range(1, list_cache.MOST_LISTS + 4):
        listed(viewer, scope="programme", days=days)
    kept = [key for key in keyed_to(viewer.user) if ":programme:" in key]
    assert sorted(int(key.rpartition(":")[2]) for key in kept) == list(
        range(4, list_cache.MOST_LISTS + 4)
    )
