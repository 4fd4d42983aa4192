"""Limits are counted over all processes, at little cost, and also while the cache is away."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from pytest_django.fixtures import Settings

from cinema.cache import shared
from cinema.throttling import counters
from cinema.throttling.counters import BATCH, LocalCounters, Rate, hidden_name, requests
from tests.running import ROOT
from tests.settings import RUN
from tests.throttling import NOON, login, statuses

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as coordinates:
        yield coordinates


ASK = """
import os, sys, django
django.setup()
from django.conf import settings
from cinema.throttling.counters import Rate, hidden_name, requests, take
name = hidden_name("limit", "of a test")
how, count = sys.argv[1], int(sys.argv[2])
if how == "exact":
    taken = [take(Rate(10, 3600), [name]) for _ in range(count)]
else:
    taken = [requests.take_in_batches(Rate(320, 3600), "test", "192.0.2.1") for _ in range(count)]
print(taken.count(0.0))
"""


def let_in(how: str, count: int, processes: int) -> list[int]:
    """The number of requests that each of these processes lets in, which share our Valkey."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, how, str(count)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    try:
        return [int(process.communicate(timeout=60)[0]) for process in running]
    finally:
        for process in running:
            process.kill()


def test_processes_share_a_limit() -> None:
    assert sum(let_in("exact", 10, processes=2)) == 10


def test_processes_share_a_general_limit_but_for_a_batch_each() -> None:
    found = let_in("general", 400, processes=3)
    assert 320 <= sum(found) <= 320 + 3 * BATCH


# --- what it costs


@pytest.mark.usefixtures("clock")  # or the next minute may begin meanwhile
def test_a_general_limit_asks_the_cache_once_per_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    add = counters._add
    monkeypatch.setattr(
        counters,
        "_add",
        lambda *given: asked.append(given) or add(*given),  # type: ignore[func-returns-value]
    )
    for _ in range(10 * BATCH):
        requests.take_in_batches(Rate(1200, 60), "address", "192.0.2.1")
    assert len(asked) == 10


def test_calls_of_the_cache_share_a_client() -> None:
    """Making one takes as long as a call."""
    assert shared()._cache.get_client() is shared()._cache.get_client(write=True)


def test_many_addresses_take_no_more_memory_than_some(monkeypatch: pytest.MonkeyPatch) -> None:
    small = LocalCounters(capacity=100)
    allowed = Rate(3, 60)
    for number in range(5000):
        small.take_in_batches(allowed, "address", f"192.0.2.{number}")
        small.take_in_batches(allowed, "address", "who comes often")
    assert len(small._windows) == 100
    assert small.take_in_batches(allowed, "address", "who comes often") > 0
    names = LocalCounters(capacity=100)
    for number in range(5000):
        names.take(allowed, [f"{number}", f"{number + 1}"])
    assert len(names._windows) == 100


def test_many_threads_lose_no_count() -> None:
    """Reports of one thread do not undo what others have counted meanwhile."""
    counted, allowed = LocalCounters(), Rate(500, 3600)
    found: list[float] = []

    def ask() -> None:
        found.extend(counted.take_in_batches(allowed, "address", "192.0.2.1") for _ in range(200))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count(0.0) == 500


# --- the cache


@pytest.mark.usefixtures("without_cache")
def test_without_a_cache_each_process_counts_for_itself(
    settings: Settings, clock: time_machine.Traveller
) -> None:
    settings.THROTTLE_ANONYMOUS = Rate(64, 60)
    assert statuses(65) == [200] * 64 + [429]
    settings.THROTTLE_ANONYMOUS, settings.THROTTLE_LOGIN = None, Rate(2, 60)
    assert [login().status_code for _ in range(3)] == [401, 401, 429]
    clock.shift(90)
    assert login().status_code == 401


def test_stored_counts_name_nobody_and_expire(settings: Settings) -> None:
    settings.THROTTLE_LOGIN = settings.THROTTLE_ANONYMOUS = Rate(1, 3600)
    login()
    server: Any = shared()._cache.get_client()
    keys = list(server.scan_iter(f"{RUN}:*throttling*"))
    assert len(keys) >= 4
    for key in keys:
        shown = key.decode() + repr(server.get(key))
        assert "127.0.0.1" not in shown
        assert "nobody" not in shown
        assert 0 < server.ttl(key) <= 7200
    assert hidden_name("address", "192.0.2.1") != hidden_name("account", "192.0.2.1")
    before = hidden_name("address", "192.0.2.1")
    settings.SECRET_KEY = "another"
    assert hidden_name("address", "192.0.2.1") != before


def test_an_emptied_cache_begins_again(settings: Settings) -> None:
    settings.THROTTLE_LOGIN = Rate(1, 3600)
    assert [login().status_code for _ in range(2)] == [401, 429]
    cache.clear()
    assert login().status_code == 401
