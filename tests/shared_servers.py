"""Servers that a run shares with other programs: the run deletes what it made, and nothing else."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from redis import Redis

from cinema.celery import app
from tests.settings import IS_AMQP, RUN


def training_queue() -> str:
    """The queue of the trainer, by the name that it has in this run."""
    return str(settings.CELERY_TASK_ROUTES["recommendations.train"]["queue"])


def delete_what_this_run_made() -> None:
    """Delete the keys and the queues. Django deletes the database."""
    delete_keys(settings.REDIS_URL)
    if IS_AMQP:
        delete_queues()
    else:
        delete_keys(app.conf.broker_url)


def delete_keys(url: str) -> None:
    # Celery has a notation of its own for a socket.
    url = url.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
    with Redis.from_url(url) as server:
        for key in server.scan_iter(match=f"{RUN}:*", count=1000):
            server.unlink(key)


def delete_queues() -> None:
    queues = [settings.CELERY_TASK_DEFAULT_QUEUE, training_queue()]
    with app.connection_for_write() as broker:
        channel: Any = broker.default_channel
        for queue in queues:
            channel.queue_delete(queue)
        for exchange in (*queues, f"{RUN}.pidbox", f"reply.{RUN}.pidbox", RUN):
            channel.exchange_delete(exchange)
