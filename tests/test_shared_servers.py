"""Tests leave alone what other programs keep on a server, and what a developer has configured."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from redis import Redis

from cinema.development.embedded_servers import Servers
from tests.environment import SETTINGS
from tests.running import ROOT, new_home

#: They use the cache, TMDb's keys, both queues of the broker, and the database.
USERS_OF_SERVERS = [
    "tests/test_requeue_failed_tasks.py::test_a_failed_task_returns_to_its_queue_and_its_record_is_deleted",
    "tests/test_throttling_counted.py::test_processes_share_a_limit",
    "tests/test_clicks.py::test_a_click_long_after_its_impression",
    "tests/test_throttling_counted.py::test_an_emptied_cache_begins_again",
]


def test_clearing_the_cache_keeps_the_keys_of_others() -> None:
    with Redis.from_url(settings.REDIS_URL) as server:
        try:
            server.set("cinema-of-another-program", "kept")
            server.rpush("queue-of-another-program", "message")
            cache.set_many({str(number): number for number in range(2500)})
            cache.clear()
            assert cache.get_many(["0", "2499"]) == {}
            assert server.get("cinema-of-another-program") == b"kept"
            assert server.lrange("queue-of-another-program", 0, -1) == [b"message"]
        finally:
            server.delete("cinema-of-another-program", "queue-of-another-program")


def test_clearing_a_cache_that_is_away_raises_nothing(without_cache: None) -> None:
    cache.clear()


@pytest.fixture
def other_valkey() -> Iterator[str]:
    """The address of a server that has nothing to do with this run."""
    servers = Servers(new_home(), postgres=False, valkey=True, durable=False)
    servers.start()
    yield str(servers.sockets.valkey)
    servers.stop()


def test_a_run_deletes_only_what_it_made(db: None, other_valkey: str) -> None:
    """The variables of tests name the servers; every setting has another value."""
    named = dict.fromkeys(SETTINGS, "nonsense")
    # Values such as in a developer's `.env`.
    named |= {
        "DATABASE_URL": "postgres://nobody@127.0.0.1:1/cinema",
        "REDIS_URL": f"unix://{other_valkey}?db=1",
        "CELERY_BROKER_URL": f"redis+socket://{other_valkey}?virtual_host=2",
    }
    tested = {
        "TEST_DATABASE_URL": database_url(),
        "TEST_REDIS_URL": f"unix://{other_valkey}?db=3",
        "TEST_CELERY_BROKER_URL": f"redis+socket://{other_valkey}?virtual_host=4",
    }
    before = databases()
    for number in range(1, 5):
        with Redis(unix_socket_path=other_valkey, db=number) as server:
            server.set("cinema:1:key", "kept")
            server.rpush("training", "message")
            server.rpush("cinema", "message")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *USERS_OF_SERVERS],
        cwd=ROOT,
        env={**os.environ, **named, **tested},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for number in range(1, 5):
        with Redis(unix_socket_path=other_valkey, db=number, decode_responses=True) as server:
            assert set(server.keys()) == {"cinema:1:key", "training", "cinema"}
            assert server.lrange("training", 0, -1) == ["message"]
    assert databases() == before


def database_url() -> str:
    """The server of this run, as an address."""
    if url := os.environ["DATABASE_URL"]:
        return url
    found: dict[str, Any] = connection.settings_dict
    return f"postgres://{found['USER']}@/cinema?host={found['HOST']}"


def databases() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        return {str(name) for (name,) in cursor.fetchall()}
