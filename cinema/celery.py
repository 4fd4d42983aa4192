"""The Celery application. What makes its tasks reliable is told in docs/answers.md."""

import os
from contextlib import suppress
from pathlib import Path

import psycopg
from celery import Celery, Task
from celery.signals import celeryd_init
from django.db import InterfaceError, OperationalError

from cinema import heartbeat  # noqa: F401 - its receivers of signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cinema.settings")


class ReliableTask(Task):  # type: ignore[type-arg]  # not generic at run time
    """A task that tries again, later and later, when a server that it needs is away.

    Any other error is a fault of ours: it fails at once, and its result record is the dead
    letter, which `manage.py requeue_failed_tasks` sends again.
    """

    autoretry_for = (
        OperationalError,
        InterfaceError,
        psycopg.OperationalError,  # of `cinema.locks`, whose connection is its own
        ConnectionError,
        TimeoutError,
    )
    max_retries = 5
    retry_backoff = 2
    retry_backoff_max = 60
    retry_jitter = True


#: Of worker and trainer: they get a tenth of a core that others want too.
NICE = 10

app = Celery("cinema", task_cls=ReliableTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
ROOMS = ("importing", "impressions", "lists", "matches", "ratings", "similar")
app.autodiscover_tasks(["users.recovery", *(f"recommendations.{room}" for room in ROOMS)])


@celeryd_init.connect
def give_way(**kwargs: object) -> None:
    """Viewers who wait for an answer go before what is done in the background.

    Linux weighs a process within its session alone, and sessions by a figure of their own.
    """
    os.nice(NICE)
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICE))
