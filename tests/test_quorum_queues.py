"""Tasks in quorum queues of RabbitMQ, also after an upgrade from classic queues. A real server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from django_celery_results.models import TaskResult
from kombu import Connection, Exchange, Queue

from cinema.broker import celery_address, task_queues
from cinema.development.processes import wait_for
from tests.running import free_port, running_worker

PATIENCE_S = 90
RABBITMQ = ("127.0.0.1", 5672)


def _is_there() -> bool:
    try:
        socket.create_connection(RABBITMQ, timeout=1).close()
    except OSError:
        return False
    return os.geteuid() == 0 and shutil.which("rabbitmqctl") is not None


pytestmark = [
    pytest.mark.scale,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not _is_there(), reason="no RabbitMQ here, or no right to add a vhost"),
]


def rabbitmqctl(*arguments: str) -> None:
    subprocess.run(["rabbitmqctl", "--quiet", *arguments], check=True, capture_output=True)


@pytest.fixture
def url() -> Iterator[str]:
    """A virtual host of this test, behind two addresses. Nobody listens at the first one."""
    vhost = f"cinema-test-{uuid4().hex[:8]}"
    rabbitmqctl("add_vhost", vhost)
    try:
        rabbitmqctl("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
        host, port = RABBITMQ
        yield f"amqp://guest:guest@{host}:{free_port()},{host}:{port}/{vhost}"
    finally:
        rabbitmqctl("delete_vhost", vhost)


def worker(url: str, tmp_path: Path, *arguments: str) -> AbstractContextManager[Path]:
    return running_worker(tmp_path, {"CELERY_BROKER_URL": url}, *arguments)


def sender(url: str) -> Celery:
    address, options = celery_address(url)
    app = Celery(set_as_current=False, broker=address)
    app.conf.broker_transport_options = options
    app.conf.task_queues = task_queues("cinema", "training", url=url)
    app.conf.task_default_queue = "cinema"
    return app


def is_done(task_id: str, status: str = "SUCCESS") -> bool:
    return TaskResult.objects.filter(task_id=task_id, status=status).exists()


def broker(url: str) -> Any:
    connection = Connection(celery_address(url)[0])
    connection.ensure_connection(max_retries=5)
    return connection


def test_an_upgrade_leaves_the_classic_queues_alone(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program before had queues of the same names. RabbitMQ refuses to change their type."""
    monkeypatch.delenv("CELERY_BROKER_URL")
    with broker(url) as connection:
        old = Queue("cinema", Exchange("cinema"), routing_key="cinema")
        producer = connection.Producer()
        producer.publish({}, exchange=old.exchange, routing_key="cinema", declare=[old])
        app = sender(url)
        task_id = app.send_task("movies.advance_statuses").id
        with worker(url, tmp_path, "--queues=cinema") as log:
            assert wait_for(lambda: is_done(task_id), timeout_s=PATIENCE_S), log.read_text()
        channel: Any = connection.channel()
        assert channel.queue_declare("cinema", passive=True).message_count == 1
        _, quorum_error = refused(connection, Queue("cinema.quorum", durable=True))
        assert "'x-queue-type'" in quorum_error
        assert "quorum" in quorum_error


def refused(connection: Any, queue: Queue) -> tuple[int, str]:
    with pytest.raises(connection.channel_errors) as error:
        queue(connection.channel()).queue_declare()
    return error.value.code, str(error.value)


def test_each_worker_serves_the_queues_that_it_is_given(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CELERY_BROKER_URL")
    app = sender(url)
    other = app.send_task("movies.advance_statuses", queue="training").id
    mine = app.send_task("movies.advance_statuses", queue="cinema").id
    with worker(url, tmp_path, "--queues=cinema") as log:
        assert wait_for(lambda: is_done(mine), timeout_s=PATIENCE_S), log.read_text()
        assert not TaskResult.objects.filter(task_id=other).exists()
    with worker(url, tmp_path) as log:
        assert wait_for(lambda: is_done(other), timeout_s=PATIENCE_S), log.read_text()


def test_delayed_tasks_wait_in_rabbitmq_and_block_no_worker(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than the worker runs at once. A task that is repeated is delayed too."""
    monkeypatch.delenv("CELERY_BROKER_URL")
    with worker(url, tmp_path, "--concurrency=2") as log:
        app = sender(url)
        first = app.send_task("movies.advance_statuses").id  # once the worker has its exchanges
        assert wait_for(lambda: is_done(first), timeout_s=PATIENCE_S), log.read_text()
        sent_at = time.monotonic()
        delayed = [app.send_task("movies.advance_statuses", countdown=15).id for _ in range(6)]
        soon = app.send_task("movies.advance_statuses").id
        assert wait_for(lambda: is_done(soon), timeout_s=PATIENCE_S), log.read_text()
        if time.monotonic() - sent_at < 12:
            assert not TaskResult.objects.filter(task_id__in=delayed).exists()
        for task_id in delayed:
            assert wait_for(lambda: is_done(task_id), timeout_s=PATIENCE_S), log.read_text()  # noqa: B023
        assert time.monotonic() - sent_at >= 14
