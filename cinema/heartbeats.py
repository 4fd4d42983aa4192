"""Heartbeats: a file for each worker and for beat, touched while they work.

`cinema/healthcheck.py` looks at its age, and `manage.py doctor` also at the version in it. The
check needs no connection, and a worker few system calls every two seconds. To ask a worker by a
message would need a process that imports Celery.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from cinema import __version__


def heartbeat_file(name: str) -> Path:
    return Path(settings.CINEMA_HOME) / "heartbeats" / name


def beat_name() -> str:
    """The name of beat on this host, as `cinema/healthcheck.py` knows it."""
    return f"beat@{socket.gethostname()}"


def touch_heartbeat(name: str) -> None:
    """Touch the file. One that cannot be written grows old, and the health check then fails."""
    file = heartbeat_file(name)
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_text(__version__)
