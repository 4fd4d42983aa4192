"""The Celery application. What makes its tasks reliable is told in docs/answers.md."""

import os
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from billiard import current_process
from celery import Celery, Task
from celery.signals import beat_init, celeryd_init, worker_process_init, worker_ready
from django.db import InterfaceError, OperationalError

from cinema import heartbeat  # noqa: F401 - its receivers of signals
from cinema.home import keep_private

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cinema.settings")
# Django's system checks import the URLs, and with them the API, GraphQL and the admin: twice the
# memory and the time to start. `manage.py check` and `manage.py migrate` run them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

#: A server that a task needs is away.
SERVER_AWAY = (
    OperationalError,
    InterfaceError,
    psycopg.OperationalError,  # of `cinema.locks`, whose connection is its own
    ConnectionError,
    TimeoutError,
)


class ReliableTask(Task):  # type: ignore[type-arg]  # not generic at run time
    """A task that tries again, later and later, when a server that it needs is away.

    Any other error is a fault of ours: it fails at once, and its result record is the dead
    letter, which `manage.py requeue_failed_tasks` sends again.
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


#: Niceness of a process that carries out tasks: it gets a tenth of a core that others want too.
NICE = 10

app = CinemaCelery("cinema", task_cls=ReliableTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
ROOMS = ("importing",)
app.autodiscover_tasks([*(f"recommendations.{room}" for room in ROOMS)])


@celeryd_init.connect
@beat_init.connect
def keep_files_private(**kwargs: object) -> None:
    keep_private()


def lower_priority() -> None:
    """Lower the priority of this process: viewers who wait for an answer go before tasks.

    Linux weighs a process within its session alone, and sessions by a figure of their own. It
    outlives the process, so only the leader of a session, whose session ends with it, sets it.
    """
    os.nice(max(0, NICE - os.nice(0)))
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICE))


@worker_process_init.connect
def lower_priority_of_child(**kwargs: object) -> None:
    """Once the child of a prefork pool has imported everything: it has a time limit for that.

    A solo pool sends this signal too, in the process that has started it.
    """
    if current_process().name != "MainProcess":
        lower_priority()


@celeryd_init.connect
def lower_priority_once_ready(**kwargs: object) -> None:
    """Celery sends this signal in its own program alone, not in a worker inside of a test."""
    worker_ready.connect(lower_priority_of_worker)


def lower_priority_of_worker(sender: Any, **kwargs: object) -> None:
    """In a pool without processes, whose tasks run in the worker itself."""
    if "prefork" not in sender.controller.pool_cls.__module__:
        lower_priority()
