"""The three programs that Cinema is made of, and how each is started.

`python -m cinema.programs worker` becomes the worker: compose.yaml starts what `make run` starts.
More arguments are added to its command: `python -m cinema.programs worker --queues=training`.
"""

from __future__ import annotations

import os
import sys

from django.conf import settings

from cinema.development.processes import Child

ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "2",  # glibc keeps an arena for each thread otherwise
    "PYTHONDONTWRITEBYTECODE": "",  # each process would compile all of Django by itself
    "PYTHONUNBUFFERED": "1",
}


def programs() -> list[Child]:
    """The web and, with ENABLE_BACKGROUND_JOBS, the worker and beat."""
    log_level = f"--loglevel={settings.LOG_LEVEL}"
    alone = ["--without-mingle", "--without-gossip"]  # which nothing here needs: a second less
    web = [
        "granian", "--interface=rsgi", f"--host={settings.HOST}", f"--port={settings.PORT}",
        f"--workers={settings.WEB_WORKERS}", "--respawn-failed-workers",
        "--workers-kill-timeout=2", "--no-ws",
        # With HTTP/2 beside it, granian waits without limit for the first byte of a connection.
        "--http=1", "--http1-header-read-timeout=15000",
        "cinema.web.application:application",
    ]  # fmt: skip
    # It serves both queues: a training runs in a process of its own (`cinema/task_process.py`).
    worker = [
        "celery", "--app=cinema", "worker", "--pool=gevent", "--concurrency=20",
        "--hostname=worker@%h", *alone, log_level,
    ]  # fmt: skip
    beat = ["celery", "--app=cinema", "beat", "--pidfile=", log_level]
    jobs = {"worker": worker, "beat": beat}
    commands = {"web": web, **(jobs if settings.ENABLE_BACKGROUND_JOBS else {})}
    return [
        Child(
            name=name,
            command=[sys.executable, "-m", *command],
            home=settings.CINEMA_HOME,
            environment=ENVIRONMENT,
            directory=settings.BASE_DIR,
        )
        for name, command in commands.items()
    ]


def main(arguments: list[str]) -> None:
    """Become the program that is named first. The other arguments are added to its command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cinema.settings")
    commands = {program.name: program.command for program in programs()}
    name, *added = arguments or [""]
    if name not in commands:
        sys.exit(f"usage: python -m cinema.programs {'|'.join(commands)} [ARGUMENT ...]")
    command = [*commands[name], *added]
    os.execve(command[0], command, {**os.environ, **ENVIRONMENT})  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
