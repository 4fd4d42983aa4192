"""The connection to Postgres, which does not wait without limit."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.utils import CursorWrapper
from psycopg.abc import AdaptContext, PQGen
from psycopg.pq import Format

#: Postgres ends a statement itself after `STATEMENT_TIMEOUT_S`. So much later it counts as hung.
GRACE_S = 2.0
#: The time limit of the check of a pooled connection.
CHECK_S = 2.0
#: A connection that was used so lately is checked without a round trip, which took 0.05 ms here and
#: as much in Postgres.
RECENT_S = 0.1
_INTERVAL_S = 0.1


class StatementCount(threading.local):
    """The statements of this thread, and the seconds that it has waited for their results."""

    count = 0
    seconds = 0.0


statements = StatementCount()


class TimestampLoader:
    """psycopg's loader, which is written in C.

    Django's is written in Python and takes a third of the time of reading a movie.
    """

    format = Format.TEXT
    #: Django replaces a loader that has another one.
    timezone = UTC

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        loader = psycopg.adapters.get_loader(oid, Format.TEXT)
        assert loader
        self.load = loader(oid, context).load


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server does not answer in time.

    A server process that hangs does not end its statement after `statement_timeout`, and the kernel
    of its machine still answers TCP keepalives.
    """

    _longest_wait_s: float | None = None
    _statement_timeout_s: float | None = None
    _used_at = 0.0

    @classmethod
    def connect(cls, *args: Any, **options: Any) -> BoundedConnection:
        connection = super().connect(*args, **options)
        connection.adapters.register_loader("timestamptz", TimestampLoader)
        return connection

    def set_autocommit(self, value: bool) -> None:
        # Django sets it on each connection that it takes from the pool.
        if value != self.autocommit:
            super().set_autocommit(value)

    def wait(
        self, gen: PQGen[Any], interval: float = _INTERVAL_S, timeout: float | None = None
    ) -> Any:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        limit_s = self._longest_wait_s or (
            (self._statement_timeout_s or settings.STATEMENT_TIMEOUT_S) + GRACE_S
        )
        self._used_at = time.monotonic()
        deadline = self._used_at + limit_s
        try:
            return super().wait(gen, interval, limit_s)
        except psycopg.OperationalError as error:
            if time.monotonic() < deadline:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the database has not answered for {limit_s:.0f} s"
            ) from error
        finally:
            if not self._longest_wait_s:  # not the check of the pool
                statements.count += 1
                statements.seconds += time.monotonic() - self._used_at

    def execute(self, query: Any, *args: Any, **options: Any) -> psycopg.Cursor[Any]:
        if query != "":  # the pool's check: psycopg_pool.ConnectionPool.check_connection
            return super().execute(query, *args, **options)
        if self.is_fresh():
            return self.cursor()
        self._longest_wait_s = CHECK_S
        try:
            return super().execute(query, *args, **options)
        finally:
            self._longest_wait_s = None

    def is_fresh(self) -> bool:
        """Whether it was used lately, and the server has sent nothing since, such as its end."""
        if self.closed or time.monotonic() - self._used_at >= RECENT_S:
            return False
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return not poll.poll(0)


class ReplicaConnection(BoundedConnection):
    """A connection of the web to a replica. What takes longer there is left to the primary."""

    _statement_timeout_s = 5


def connect_for_checks(alias: str) -> BoundedConnection:
    """A connection outside the pool, each statement of which may take CHECK_S."""
    parameters = connections[alias].get_connection_params()
    connection = BoundedConnection.connect(**parameters, autocommit=True)
    connection._longest_wait_s = CHECK_S
    return connection


def prepared_cursor(alias: str = DEFAULT_DB_ALIAS) -> CursorWrapper:
    """A cursor for statements of the hot path, which Postgres plans once for each connection.

    The values are sent apart from the statement, and the rows are binary: psycopg converts their
    values as its documentation says, and not as Django does.
    """
    connection = connections[alias]
    if connection.queries_logged:  # the log has only statements that Django's cursor completes
        return connection.cursor()
    connection.ensure_connection()
    cursor: Any = psycopg.Cursor(connection.connection)
    cursor.format = Format.BINARY
    return connection.make_cursor(cursor)


def release_connection(*, keep: bool) -> None:
    """Give the connection of this thread back to the pool, after a request.

    Args:
        keep: A sound connection stays with the thread. To give it back and take one again takes a
            third of the time of signing in.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.connection is not None:
        is_sound = not connection.errors_occurred and connection.get_autocommit()
        if not (keep and is_sound):
            connection.close()


def release_old_connection() -> None:
    """Give a connection back outside a transaction, unless it was just used. The pool checks it."""
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.connection is None or connection.in_atomic_block:
        return
    if not connection.connection.is_fresh():
        connection.close()


def database_settings(
    address: Mapping[str, Any],
    *,
    name: str,
    statement_timeout_s: int,
    pool_size: int,
    connection_class: type[BoundedConnection] = BoundedConnection,
) -> dict[str, Any]:
    """The entry of `DATABASES` for the address of a database.

    Args:
        name: Postgres lists the connections of the program under it.
    """
    given = address.get("OPTIONS", {})  # such as sslmode
    # With parallel workers a statement costs more CPU, which other requests wait for.
    options = "-c max_parallel_workers_per_gather=0"
    # For `prepared_cursor`. Otherwise Postgres plans a history each time, because it estimates the
    # array in the statement: four times the CPU of reading it, and more with partitions.
    options += " -c plan_cache_mode=force_generic_plan"
    options += f" -c statement_timeout={statement_timeout_s}s {given.get('options', '')}"
    return {
        **address,
        "ENGINE": "django.db.backends.postgresql",
        # A request takes a connection from the pool and puts it back. Under threads and gevent,
        # CONN_MAX_AGE would leak connections instead.
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "application_name": name,
            # A server that has disappeared is noticed after a minute.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            # Only for `prepared_cursor`: Django's own cursors prepare nothing.
            "prepare_threshold": 0,
            **given,
            "options": options,
            "pool": {
                "connection_class": connection_class,
                "min_size": 1,
                # A connection costs Postgres about 3 MB, so those of a rush are closed soon.
                "max_idle": 60,
                "max_size": pool_size,
                # A request waits so long for a connection, also while the database is away.
                "timeout": 2,
                # Attempts become rarer within this time, and the next request starts again. With
                # the default of five minutes, a short absence lasted two minutes longer.
                "reconnect_timeout": 5,
            },
        },
    }
