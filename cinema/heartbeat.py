"""A file for each worker and for beat, touched while it does its work.

`cinema/healthcheck.py` looks at its age. It costs a worker one system call every two seconds, and
the check no connection; asking a worker by a message costs a process that imports Celery.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery.signals import after_task_publish, beat_init, heartbeat_sent, worker_shutdown
from django.conf import settings

#: Celery names a worker `worker@host`; beat has no name of its own.
_BEAT = f"beat@{socket.gethostname()}"


def _file(name: str) -> Path:
    return Path(settings.CINEMA_HOME) / "heartbeats" / name


def beat_once(name: str) -> None:
    """Touch the file. Where it cannot be written, it grows old: the check then fails."""
    file = _file(name)
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch()


@heartbeat_sent.connect
def _worker_beats(sender: Any, **kwargs: object) -> None:
    """A worker sends these only while it has a connection to the broker."""
    beat_once(sender.eventer.hostname)


@worker_shutdown.connect
def _worker_ends(sender: Any, **kwargs: object) -> None:
    with suppress(OSError):
        _file(sender.hostname).unlink(missing_ok=True)


@beat_init.connect
def _watch_beat(**kwargs: object) -> None:
    """Beat sends a task at least every ten seconds, and none that the broker does not take."""
    after_task_publish.connect(_beat_sends)


def _beat_sends(**kwargs: object) -> None:
    beat_once(_BEAT)
