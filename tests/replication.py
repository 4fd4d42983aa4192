"""A second PostgreSQL that follows the one of the tests by streaming replication, and its reads."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psutil
import psycopg
from django.conf import settings
from django.db import connection, connections
from django.test import override_settings

from cinema import replicas
from cinema.database import ReplicaConnection
from cinema.development.embedded_servers import postgres_account
from cinema.development.processes import Child, stop, wait_for
from cinema.replicas import Replica
from tests.builders import Client
from tests.environment import HOME

ALIAS = "replica 1"
RATINGS = "/users/me/ratings"


def binary(name: str) -> str:
    """A binary of the running primary; root has started a copy of the package's binaries."""
    [log] = (HOME / "postgres").glob("postmaster.opts")
    return str(Path(log.read_text().split()[0].strip('"')).with_name(name))


class Standby:
    """A hot standby of the server of the tests, or of the one that listens in a directory."""

    def __init__(self, primary: str = "") -> None:
        self._primary = primary or connection.settings_dict["HOST"]
        self.directory = Path(tempfile.mkdtemp(prefix="cinema-test-"))
        self._account = postgres_account()
        if self._account:
            os.chown(self.directory, self._account.uid, self._account.gid)
        self._child: Child | None = None

    @property
    def database(self) -> dict[str, Any]:
        primary = connection.settings_dict
        pool = {
            **primary["OPTIONS"]["pool"],
            "connection_class": ReplicaConnection,
            "timeout": 2,  # the product's
        }
        return {
            **primary,
            "HOST": str(self.directory),
            "OPTIONS": {**primary["OPTIONS"], "pool": pool},
            "TEST": {**primary["TEST"], "MIRROR": "default"},
        }

    @property
    def url(self) -> str:
        where = urlencode({"host": str(self.directory)})
        name = quote(connection.settings_dict["NAME"])
        return f"postgres://{quote(connection.settings_dict['USER'])}@/{name}?{where}"

    def copy_primary(self) -> None:
        account = self._account
        subprocess.run(
            [
                binary("pg_basebackup"), f"--host={self._primary}",
                f"--username={connection.settings_dict['USER']}", "--checkpoint=fast",
                f"--pgdata={self.directory / 'data'}", "--write-recovery-conf", "--no-sync",
            ],
            check=True,
            cwd="/",
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )  # fmt: skip

    def start(self) -> None:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.directory),
            "max_connections": "100",
            "timezone": "UTC",
            "fsync": "off",
            "wal_retrieve_retry_interval": "100ms",
        }
        self._child = Child(
            name="standby",
            command=[binary("postgres"), "-D", str(self.directory / "data"),
                     *(f"--{name}={value}" for name, value in options.items())],
            home=HOME,
            stop_signal=signal.SIGINT,
            account=self._account,
            directory=Path("/"),
        )  # fmt: skip
        self._child.start()
        assert wait_for(self._answers, timeout_s=60), self._child.last_lines()

    def stop(self) -> None:
        if self._child:
            stop([self._child], timeout_s=10)
            self._child = None

    def is_running(self) -> bool:
        return self._child is not None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, query: str) -> Any:
        with self._connect() as server:
            found = server.execute(query)
            return found.fetchone() if found.description else None

    def pause(self) -> None:
        """Receive further changes, and show none."""
        self.run("SELECT pg_wal_replay_pause()")
        paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'"
        assert wait_for(lambda: self.run(paused)[0], timeout_s=30)

    def resume(self) -> None:
        self.run("SELECT pg_wal_replay_resume()")

    def delay(self, by: str) -> None:
        """Show each change so much later."""
        self.run(f"ALTER SYSTEM SET recovery_min_apply_delay = '{by}'")
        self.run("SELECT pg_reload_conf()")

    def promote(self) -> None:
        self.run("SELECT pg_promote()")

    def hang(self) -> None:
        """Stop all its processes, as the kernel does with those of a disk that does not answer."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._child
        server = psutil.Process(self._child.pid)
        for process in (*server.children(recursive=True), server):
            process.send_signal(number)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.directory),
            user=connection.settings_dict["USER"],
            dbname="postgres",
            autocommit=True,
            connect_timeout=5,
        )

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def read_from(standby: Standby) -> Iterator[Replica]:
    """This process reads from the replica, as with DATABASE_REPLICA_URLS."""
    forget_connection()
    connections.settings[ALIAS] = standby.database
    replica = Replica(ALIAS)
    before, replicas.REPLICAS = replicas.REPLICAS, (replica,)
    try:
        with override_settings(DATABASE_ROUTERS=["cinema.replicas.Router"]):
            yield replica
    finally:
        replicas.REPLICAS = before
        assert wait_for(lambda: not replica.is_watched(), timeout_s=20)
        forget_connection()
        assert settings.DATABASE_ROUTERS == []


def forget_connection() -> None:
    connections[ALIAS].close()
    connections[ALIAS].close_pool()  # type: ignore[attr-defined]
    del connections[ALIAS]


def position() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        return int(cursor.fetchone()[0])


def caught_up(replica: Replica) -> None:
    now = position()
    assert wait_for(lambda: replica.holds(now), timeout_s=60), replica._problem


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """The number of statements of this thread by database."""
    counts = dict.fromkeys(("default", ALIAS), 0)

    def count(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        counts[context["connection"].alias] += 1
        return execute(sql, parameters, many, context)

    with ExitStack() as stack:
        for alias in counts:
            stack.enter_context(connections[alias].execute_wrapper(count))
        yield counts


def names(client: Client, path: str) -> list[str]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    return [row.get("name") or row["movie"]["name"] for row in answer.json()["data"]]


def read_until_replica(replica: Replica, read: Callable[[], Any]) -> dict[str, int]:
    """Repeat a read until the replica answers it; return the statements of the last one.

    The response must not come from memory.
    """
    read()  # raises what it has to raise first, such as the position of a new release
    counts: dict[str, int] = {}

    def is_read_there() -> bool:
        nonlocal counts
        caught_up(replica)
        with counted() as counts:
            read()
        return counts[ALIAS] > 0

    # A replica that was too slow once is left out for a moment.
    assert wait_for(is_read_there, timeout_s=60), replica._problem
    return counts


def read_twice(replica: Replica, read: Callable[[], Any]) -> None:
    """As `read_until_replica`, where the second response may come from memory."""
    read()
    caught_up(replica)
    read()


def reads(client: Client) -> dict[str, int]:
    with counted() as counts:
        assert client.get(RATINGS).status_code == 200
    return counts
