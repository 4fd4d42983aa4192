"""The Celery application. docs/answers.md explains how its tasks become reliable."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from billiard import current_process
from celery import Celery, Task
from celery.signals import (
    after_task_publish,
    beat_init,
    before_task_publish,
    celeryd_init,
    heartbeat_sent,
    task_prerun,
    worker_process_init,
    worker_ready,
    worker_shutdown,
)
from django.conf import settings
from django.db import InterfaceError, OperationalError

import cinema.metrics.tasks  # noqa: F401 - connects its signals
from cinema.heartbeats import beat_name, heartbeat_file, touch_heartbeat
from cinema.home import keep_private
from cinema.logs import NO_REQUEST, current_request_id, request_id_variable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cinema.settings")
# Django's system checks import the URLs, and with them the API, GraphQL and the admin: twice the
# memory and the time to start. `manage.py check` and `manage.py migrate` run them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

#: A server that a task needs is away.
SERVER_AWAY = (
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,  # of `cinema.locks`, which has a connection of its own
    ConnectionError,
    TimeoutError,
)


class ReliableTask(Task):  # type: ignore[type-arg]  # not generic at run time
    """A task that is repeated, at growing intervals, while a server that it needs is away.

    Any other error is a fault of the code: the task fails at once, and `manage.py
    requeue_failed_tasks` sends it again by its result record.
    """

    autoretry_for = SERVER_AWAY
    max_retries = 5
    retry_backoff = 2
    retry_backoff_max = 60
    retry_jitter = True


class CinemaCelery(Celery):
    @cached_property
    def Beat(self) -> Any:  # noqa: N802 - Celery's name
        beat: Any = "cinema.beat:ScheduleBeat"
        return self.subclass_with_self(beat)

    def _connection(self, url: str, *args: Any, **options: Any) -> Any:
        """Connect to the address in the settings.

        Celery reads CELERY_BROKER_URL itself, before its settings. It would miss the password, and
        it divides several hosts in another way.
        """
        connect: Any = Celery._connection  # type: ignore[attr-defined]
        return connect(self, settings.CELERY_BROKER_URL, *args, **options)


app = CinemaCelery("cinema", task_cls=ReliableTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect
def keep_files_private(**kwargs: object) -> None:
    keep_private()


# --- the id of the request that led to a task, for its lines in the log


@before_task_publish.connect
def send_request_id(headers: dict[str, Any], **kwargs: object) -> None:
    if (identifier := current_request_id()) != NO_REQUEST:
        headers["request_id"] = identifier


@task_prerun.connect
def take_request_id(task_id: str, task: Any, **kwargs: object) -> None:
    """Beat's tasks have no request. The id of the task is on all their lines instead."""
    request_id_variable.set(task.request.get("request_id") or task_id)


# --- priority: viewers who wait for a response go before tasks

#: The niceness of a process that runs tasks: a tenth of a core that others want too.
NICE = 10


def lower_priority() -> None:
    """Lower the priority of this process.

    Linux weighs a process within its session alone, and sessions by a figure of their own. That
    figure outlives the process, so only the leader of a session sets it: they end together.
    """
    os.nice(max(0, NICE - os.nice(0)))
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICE))


@worker_process_init.connect
def lower_priority_of_child(**kwargs: object) -> None:
    """Lower it once a child of a prefork pool has imported everything, which must not take long.

    A solo pool sends this signal too, in the process that has started it.
    """
    if current_process().name != "MainProcess":
        lower_priority()


@celeryd_init.connect
def lower_priority_once_ready(**kwargs: object) -> None:
    """Celery sends this signal in its own program alone, not in a worker inside a test."""
    worker_ready.connect(lower_priority_of_worker)


def lower_priority_of_worker(sender: Any, **kwargs: object) -> None:
    """Lower it in a pool without processes, which runs tasks in the worker itself."""
    if "prefork" not in sender.controller.pool_cls.__module__:
        lower_priority()


# --- heartbeats


@heartbeat_sent.connect
def touch_worker_heartbeat(sender: Any, **kwargs: object) -> None:
    """A worker sends this signal only while it has a connection to the broker."""
    touch_heartbeat(sender.eventer.hostname)  # worker@host


@worker_shutdown.connect
def delete_worker_heartbeat(sender: Any, **kwargs: object) -> None:
    with suppress(OSError):
        heartbeat_file(sender.hostname).unlink(missing_ok=True)


@beat_init.connect
def watch_beat(**kwargs: object) -> None:
    after_task_publish.connect(touch_beat_heartbeat)


def touch_beat_heartbeat(**kwargs: object) -> None:
    """Beat sends a task at least every ten seconds, and this signal only if the broker takes it."""
    touch_heartbeat(beat_name())
