"""Temporary homes: an embedded PostgreSQL and Valkey with data to measure on, and web servers."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.load import HOST
from cinema.development.embedded_servers import Servers, lock_file, servers_lock
from cinema.development.processes import Child, stop, wait_for

REPOSITORY = Path(__file__).resolve().parent.parent
STARTS_WITHIN_S = 180
OURS = "cinema.web.application:application"
#: An empty variable counts as unset, and stands against one in `.env`.
OWN_SERVERS = dict.fromkeys(("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "SECRET_KEY"), "")
#: All requests come from one address. bench/unlimited.py has the fixed limits.
NO_LIMITS = {f"THROTTLE_{name}": "1000000/s" for name in ("ANONYMOUS", "VIEWER", "LOGIN", "HEAVY")}


@dataclass(frozen=True)
class Home:
    """A CINEMA_HOME of our own, whose embedded servers run for as long as `running` lasts."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of embedded servers, whatever the caller's environment and `.env` say."""
        return {
            **os.environ,
            **OWN_SERVERS,
            **NO_LIMITS,
            "CINEMA_HOME": str(self.path),
            "DJANGO_SETTINGS_MODULE": "bench.unlimited",
            "OPENBLAS_NUM_THREADS": "1",
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        servers = Servers(self.path, postgres=True, valkey=True)
        # Held so that `manage.py` uses these servers and does not start its own.
        with lock_file(servers_lock(self.path)):
            try:
                servers.start()
                yield
            finally:
                servers.stop(timeout_s=30)

    def manage(self, *arguments: str) -> None:
        self._python("manage.py", *arguments)

    def call(self, function: str, **arguments: object) -> Any:
        """Call `bench.inside.<function>` in a fresh process that has Django."""
        answer = self._python("-m", "bench.inside", function, json.dumps(arguments))
        return json.loads(answer)

    def _python(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    @contextmanager
    def web(
        self,
        application: str = OURS,
        *,
        workers: int | None = None,
    ) -> Iterator[int]:
        """The port of a web server with the options of `make run`."""
        port = free_port()
        child = Child(
            name=application.partition(":")[0],
            command=[sys.executable, "-m", "bench.program", "web", application],
            home=self.path,
            environment={
                **self.environment,
                "PORT": str(port),
                **({"WEB_WORKERS": str(workers)} if workers else {}),
            },
            directory=REPOSITORY,
        )
        with serving(child, port):
            yield port

    @contextmanager
    def program(self, name: str) -> Iterator[None]:
        """Another of the programs that `make run` starts, until the block ends."""
        child = Child(
            name=name,
            command=[sys.executable, "-m", "bench.program", name],
            home=self.path,
            environment=self.environment,
            directory=REPOSITORY,
        )
        try:
            child.start()
            yield
        finally:
            stop([child], timeout_s=5)

    def remove(self) -> None:
        """Delete it, also where PostgreSQL's data had to be kept elsewhere."""
        data = self.path / "postgres"
        if data.is_symlink():
            shutil.rmtree(data.resolve().parent, ignore_errors=True)
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def serving(child: Child, port: int) -> Iterator[None]:
    """Run a web server until the block ends."""
    try:
        child.start()
        answers = wait_for(
            lambda: not child.is_running() or _accepts(port), timeout_s=STARTS_WITHIN_S
        )
        if not answers or not child.is_running():
            raise RuntimeError(f"{child.name} did not start:\n{child.last_lines()}")
        fetch(port, "/health/live")
        yield
    finally:
        stop([child], timeout_s=5)


def fetch(
    port: int, path: str, headers: Mapping[str, str] | None = None
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of an answer, whatever its status; waits for a starting server."""
    connection = http.client.HTTPConnection(HOST, port, timeout=STARTS_WITHIN_S)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
