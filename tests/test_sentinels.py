"""Valkey with a replica and Sentinels: what survives the loss of the primary, and in which time."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from celery import Celery
from django_celery_results.models import TaskResult
from kombu.exceptions import OperationalError
from pytest_django.fixtures import Settings
from redis.exceptions import ConnectionError as NotConnected

from cinema import health
from cinema.broker import celery_address
from cinema.cache import ForgivingRedisCache, shared
from cinema.development.processes import wait_for
from cinema.valkey import connect
from tests import sentinels
from tests.running import running_worker
from tests.sentinels import ValkeyPair

#: The Sentinels notice the loss, agree, and promote the replica.
REPLACED_WITHIN_S = 30
PATIENCE_S = 120


@pytest.fixture
def valkeys(tmp_path: Path) -> Iterator[ValkeyPair]:
    with sentinels.running(tmp_path) as pair:
        yield pair


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[ValkeyPair]:
    """With TLS, and with a password of the Sentinels."""
    with sentinels.running(tmp_path, is_secured=True) as pair:
        yield pair


def use(valkeys: ValkeyPair, settings: Settings, *, timeout_s: float = 20) -> ForgivingRedisCache:
    standing = settings.CACHES["default"]
    timeouts = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), timeout_s)
    options = {**standing["OPTIONS"], **timeouts}
    settings.CACHES = {"default": {**standing, "LOCATION": valkeys.url(), "OPTIONS": options}}
    settings.REDIS_URL = valkeys.url()
    return shared()


def is_written(cache: ForgivingRedisCache) -> bool:
    cache.set("a", "new")
    return cache.get("a") == "new"


def is_cache_sound() -> bool:
    return health.look_at("cache")["cache"]["state"] == "ok"


def lost(valkeys: ValkeyPair, how: str) -> Callable[[], None]:
    """Let the primary be lost; returns what brings it back."""
    primary = valkeys.primary()
    if how == "killed":
        valkeys.kill(primary)
        return lambda: valkeys.start_server(primary)
    valkeys.signal(primary, signal.SIGSTOP)
    return lambda: valkeys.signal(primary, signal.SIGCONT)


@pytest.mark.parametrize("how", ["killed", pytest.param("suspended", marks=pytest.mark.scale)])
def test_the_cache_goes_on_with_the_replica(
    valkeys: ValkeyPair, settings: Settings, how: str
) -> None:
    # A primary that is suspended never answers; one that runs has answered in the end.
    cache = use(valkeys, settings, timeout_s=0.5 if how == "suspended" else 20)
    cache.set("kept", "value")
    assert wait_for(valkeys.is_in_step, timeout_s=20)
    before = valkeys.primary()
    bring_back = lost(valkeys, how)
    started = time.monotonic()
    assert cache.get("kept") is None  # it raises nothing
    assert wait_for(lambda: is_written(cache), timeout_s=REPLACED_WITHIN_S, every_s=0.1)
    assert time.monotonic() - started < REPLACED_WITHIN_S
    assert valkeys.primary() != before
    assert wait_for(lambda: cache.get("kept") == "value", timeout_s=20)
    assert wait_for(is_cache_sound, timeout_s=20)
    bring_back()
    assert wait_for(valkeys.is_in_step, timeout_s=60)
    # The former primary has become the replica, and a client that is still connected to it
    # leaves it at its first write.
    assert wait_for(lambda: is_written(cache), timeout_s=30)
    assert wait_for(
        lambda: valkeys.client(before).info("replication")["role"] == "slave", timeout_s=60
    )


def test_a_sentinel_that_is_away_is_passed_over(valkeys: ValkeyPair) -> None:
    valkeys.kill(valkeys.sentinels[0])
    with connect(valkeys.url(1), timeout_s=20) as client:
        assert client.set("a", "1")
        assert client.connection_pool.connection_kwargs["db"] == 1
    for port in valkeys.sentinels[1:]:
        valkeys.kill(port)
    with connect(valkeys.url(), timeout_s=1) as client, pytest.raises(NotConnected):
        client.ping()


def worker(valkeys: ValkeyPair, tmp_path: Path) -> AbstractContextManager[Path]:
    addresses = {"REDIS_URL": valkeys.url(0), "CELERY_BROKER_URL": valkeys.url(1)}
    return running_worker(tmp_path, addresses)


def sender(url: str) -> Celery:
    address, options = celery_address(url)
    app = Celery(set_as_current=False)
    app.conf["broker_write_url"] = address  # before CELERY_BROKER_URL
    app.conf.broker_transport_options = options
    app.conf.task_default_queue = "cinema"
    return app


def is_done(task_id: str) -> bool:
    return TaskResult.objects.filter(task_id=task_id, status="SUCCESS").exists()


def send_until_taken(app: Celery, task: str) -> str:
    """Send a task; again while the broker is away."""
    sent: list[Any] = []

    def is_sent() -> bool:
        try:
            with app.connection_for_write() as connection:
                sent.append(
                    app.send_task(task, connection=connection, retry=False, confirm_timeout=5)
                )
        except Exception:  # noqa: BLE001 - of several libraries
            return False
        return True

    assert wait_for(is_sent, timeout_s=PATIENCE_S, every_s=0.2)
    return str(sent[0].id)


@pytest.mark.scale
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["killed", "suspended"])
def test_a_worker_goes_on_with_the_replica(valkeys: ValkeyPair, tmp_path: Path, how: str) -> None:
    """The tasks that waited in the queue survive."""
    app = sender(valkeys.url(1))
    waiting = [app.send_task("movies.advance_statuses").id for _ in range(3)]
    assert wait_for(valkeys.is_in_step, timeout_s=20)
    lost(valkeys, how)
    lost_at = time.monotonic()
    later = send_until_taken(app, "movies.advance_statuses")
    print(f"a task is sent {time.monotonic() - lost_at:.1f} s after the loss")  # noqa: T201
    with worker(valkeys, tmp_path) as log:
        for task_id in (*waiting, later):
            assert wait_for(lambda: is_done(task_id), timeout_s=PATIENCE_S), log.read_text()  # noqa: B023
        back = valkeys.replica()
        valkeys.signal(back, signal.SIGCONT)
        if how == "killed":
            valkeys.start_server(back)
        assert wait_for(valkeys.is_in_step, timeout_s=60)
        lost(valkeys, how)  # while the worker waits for tasks
        lost_at = time.monotonic()
        last = send_until_taken(app, "movies.advance_statuses")
        assert wait_for(lambda: is_done(last), timeout_s=PATIENCE_S), log.read_text()
        print(f"a task is done {time.monotonic() - lost_at:.1f} s after the loss")  # noqa: T201


needs_tls = pytest.mark.skipif(
    not sentinels.REDIS_WITH_TLS, reason="the wheel has no TLS: install redis-server"
)


@needs_tls
def test_cache_and_broker_use_tls_and_the_password_of_the_sentinels(
    secured: ValkeyPair, settings: Settings, tmp_path: Path
) -> None:
    cache = use(secured, settings)
    assert is_written(cache)
    assert wait_for(is_cache_sound, timeout_s=20)
    app = sender(secured.url(1))
    app.send_task("movies.advance_statuses")
    queue = secured.client(secured.primary(), database=1)
    assert queue.llen("cinema") == 1
    assert wait_for(secured.is_in_step, timeout_s=20)
    before = secured.primary()
    lost(secured, "killed")
    assert wait_for(lambda: is_written(cache), timeout_s=REPLACED_WITHIN_S, every_s=0.1)
    assert secured.primary() != before
    send_until_taken(app, "movies.advance_statuses")
    assert secured.client(secured.primary(), database=1).llen("cinema") == 2


@needs_tls
@pytest.mark.parametrize("removed", ["&ssl_ca_certs=.*", "(?<=sentinel_password=)[^&]*"])
def test_an_unknown_certificate_and_a_missing_password_are_refused(
    secured: ValkeyPair, removed: str
) -> None:
    url = re.sub(removed, "", secured.url(1))
    assert url != secured.url(1)
    with connect(url, timeout_s=1) as client, pytest.raises(NotConnected):
        client.ping()
    with pytest.raises(OperationalError):
        sender(url).send_task("movies.advance_statuses", retry=False)


@needs_tls
def test_a_broker_at_one_address_needs_a_known_certificate(secured: ValkeyPair) -> None:
    password = quote(sentinels.PASSWORD, safe="")
    url = f"rediss://:{password}@127.0.0.1:{secured.primary()}/1"
    # Outside the pool, whose connections have no regard to certificates.
    with sender(url).connection_for_write() as connection, pytest.raises(OperationalError):
        connection.ensure_connection(max_retries=1)
    sender(f"{url}?ssl_ca_certs={secured.certificate}").send_task("movies.advance_statuses")
    assert secured.client(secured.primary(), database=1).llen("cinema") == 1


@needs_tls
@pytest.mark.scale
@pytest.mark.django_db(transaction=True)
def test_a_worker_runs_tasks_behind_tls(
    secured: ValkeyPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CELERY_BROKER_URL")
    sent = sender(secured.url(1)).send_task("movies.advance_statuses").id
    with worker(secured, tmp_path) as log:
        assert wait_for(lambda: is_done(sent), timeout_s=PATIENCE_S), log.read_text()
