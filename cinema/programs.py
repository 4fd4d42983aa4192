"""The programs that Cinema consists of, and the command of each.

`python -m cinema.programs worker` becomes the worker. `make run` and compose.yaml start the same
commands. Further arguments are added: `python -m cinema.programs worker --queues=training`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

from django.conf import settings

ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "2",  # otherwise glibc keeps an arena for each thread
    "PYTHONDONTWRITEBYTECODE": "",  # otherwise each process compiles all of Django
    "PYTHONUNBUFFERED": "1",
}
_FOREVER_S = str(2**31 - 1)


def commands() -> dict[str, list[str]]:
    """The command of each program, by its name."""
    log_level = f"--loglevel={settings.LOG_LEVEL}"
    programs = {
        "web": [
            "granian", "--interface=rsgi", f"--host={settings.HOST}", f"--port={settings.PORT}",
            f"--workers={settings.WEB_WORKERS}", "--respawn-failed-workers",
            "--workers-kill-timeout=2", "--no-ws",
            # With HTTP/2, granian waits without limit for the first byte of a connection.
            "--http=1", "--http1-header-read-timeout=15000",
            # Connections of a process, also idle ones: with 512, the default for two processes, the
            # last of a thousand viewers waited until others left. The queue of requests is ours.
            "--backpressure=4096",
            f"--log-config={settings.BASE_DIR / 'cinema/web/logging.json'}",
            "cinema.web.application:application",
        ],
        # It serves both queues, as a training runs in its own process (cinema/task_process.py).
        "worker": [
            "celery", "--quiet", "--app=cinema", "worker", "--pool=gevent", "--concurrency=20",
            "--hostname=worker@%h",
            # Workers do not use each other's state. This saves a second at the start.
            "--without-mingle", "--without-gossip", log_level,
        ],
        "beat": ["celery", "--quiet", "--app=cinema", "beat", "--pidfile=", log_level],
    }  # fmt: skip
    return {name: [sys.executable, "-m", *command] for name, command in programs.items()}


def enabled_commands() -> dict[str, list[str]]:
    """The commands of the programs that have work: the web alone without background jobs."""
    every = commands()
    return every if settings.ENABLE_BACKGROUND_JOBS else {"web": every["web"]}


def die_with_parent(number: signal.Signals, parent: int) -> Callable[[], None] | None:
    """A function that asks Linux to signal this process when its parent dies. None elsewhere."""
    if sys.platform != "linux":
        return None
    # Loaded here: between fork and exec the function itself must not load anything.
    libc = ctypes.CDLL(None)
    set_parent_death_signal = 1

    def ask() -> None:
        libc.prctl(set_parent_death_signal, int(number))
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return ask


def main(arguments: list[str]) -> None:
    """Become the program that is named first."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cinema.settings")
    every, enabled = commands(), enabled_commands()
    name, *added = arguments or [""]
    if name not in every:
        sys.exit(f"usage: python -m cinema.programs {'|'.join(every)} [ARGUMENT ...]")
    if name not in enabled:
        # A container that ended would be started again and again.
        sys.stderr.write(f"ENABLE_BACKGROUND_JOBS is false: {name} waits and does nothing.\n")
        os.execvp("sleep", ["sleep", _FOREVER_S])  # noqa: S606, S607
    command = [*every[name], *added]
    os.execve(command[0], command, {**os.environ, **ENVIRONMENT})  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
