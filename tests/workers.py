"""A real Celery worker in a thread, fed by the broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import celery.worker.state
from celery import signals
from celery.contrib.testing.worker import start_worker

from cinema.celery import app


@signals.setup_logging.connect
def keep_logging(**kwargs: object) -> None:
    """Keep Celery from raising the root logger's level, also for the tests that follow."""


@contextmanager
def working(queue: str) -> Iterator[None]:
    """Run a worker of this queue. Delete the messages that earlier tests left there.

    The queue is named because an app remembers the queues of the worker that it ran before.
    """
    with app.connection_for_write() as broker, broker.SimpleQueue(queue) as waiting:
        waiting.clear()
    of_any_task: Any = app  # celery-types knows of no task class but its own
    try:
        with start_worker(
            of_any_task, pool="solo", queues=[queue], perform_ping_check=False, shutdown_timeout=600
        ):
            yield
    finally:
        # A worker that does not end in time leaves this set, and the next one would end at once.
        celery.worker.state.should_terminate = None
