"""The four programs that Cinema is made of, and how each is started.

`python -m cinema.programs worker` becomes the worker: compose.yaml starts what `make run` starts.
"""

from __future__ import annotations

import os
import sys

from django.conf import settings

from cinema.processes import Child

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # more, beside implicit's own, slow it down tenfold
    "PYTHONDONTWRITEBYTECODE": "",  # each process would compile all of Django by itself
    "PYTHONUNBUFFERED": "1",
}


def programs() -> list[Child]:
    """The web, the worker, the trainer and beat."""
    log_level = f"--loglevel={settings.LOG_LEVEL}"
    alone = ["--without-mingle", "--without-gossip"]  # which nothing here needs: a second less
    web = [
        "granian", "--interface=wsgi", f"--host={settings.HOST}", f"--port={settings.PORT}",
        f"--workers={settings.WEB_WORKERS}", f"--blocking-threads={settings.WEB_THREADS}",
        "--respawn-failed-workers", "--workers-kill-timeout=2", "--no-ws",
        "cinema.wsgi:application",
    ]  # fmt: skip
    worker = [
        "celery", "--app=cinema", "worker", "--pool=gevent", "--concurrency=20",
        "--queues=cinema", "--hostname=worker@%h", *alone, log_level,
    ]  # fmt: skip
    trainer = [
        "celery", "--app=cinema", "worker", "--pool=prefork", "--concurrency=1",
        "--max-tasks-per-child=1", "--queues=training", "--hostname=trainer@%h", *alone, log_level,
    ]  # fmt: skip
    beat = ["celery", "--app=cinema", "beat", "--pidfile=", log_level]
    commands = {"web": web, "worker": worker, "trainer": trainer, "beat": beat}
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
    """Become the program that is named."""
    commands = {program.name: program.command for program in programs()}
    if len(arguments) != 1 or arguments[0] not in commands:
        sys.exit(f"usage: python -m cinema.programs {'|'.join(commands)}")
    command = commands[arguments[0]]
    os.execve(command[0], command, {**os.environ, **ENVIRONMENT})  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
