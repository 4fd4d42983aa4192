"""Locks over all processes, kept by Postgres; and what to do when two of them have met."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import psycopg
from django.db import OperationalError, connection
from psycopg.errors import DeadlockDetected

from cinema.database import BoundedConnection

P = ParamSpec("P")
T = TypeVar("T")

#: Of a transaction that Postgres ended.
ATTEMPTS = 3


@contextmanager
def single_run(name: str) -> Iterator[bool]:
    """Whether this process may run the thing called `name`, which runs once at a time.

    The lock stands on a connection of its own: it ends with the block and with the process,
    however that dies, and no pool or reconnect in between can lose it.
    """
    settings: dict[str, Any] = dict(connection.get_connection_params())
    for django_only in ("pool", "cursor_factory", "context", "prepare_threshold"):
        settings.pop(django_only, None)
    with BoundedConnection.connect(**settings, autocommit=True) as own:
        row = own.execute("SELECT pg_try_advisory_lock(%s)", [zlib.crc32(name.encode())]).fetchone()
        try:
            yield bool(row and row[0])
        finally:
            # Postgres sees some moments later that a connection was closed: whoever runs the same
            # thing again at once would find it under way.
            with suppress(psycopg.OperationalError):
                own.execute("SELECT pg_advisory_unlock_all()")


def is_held(*names: str) -> bool:
    """Whether a process holds a lock of `single_run` by one of these names."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND classid = 0 AND objsubid = 1 AND objid::bigint = ANY(%s))",
            [[zlib.crc32(name.encode()) for name in names]],
        )
        row = cursor.fetchone()
        return bool(row and row[0])


def hold_shared(name: str) -> None:
    """Until the transaction ends nobody can hold the thing called `name` alone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [zlib.crc32(name.encode())])


def hold_alone(name: str) -> None:
    """Wait for the thing called `name`, and hold it until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [zlib.crc32(name.encode())])


def try_hold_alone(name: str) -> bool:
    """Hold the thing called `name` until the transaction ends, unless somebody else does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [zlib.crc32(name.encode())])
        row = cursor.fetchone()
        return bool(row and row[0])


def again_after_deadlock(write: Callable[P, T]) -> Callable[P, T]:
    """Make the transaction anew if Postgres ended it to free others.

    The clock's ticks, ratings and imports lock many movies, in whatever order they meet them.
    """

    @wraps(write)
    def attempts(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(ATTEMPTS - 1):
            try:
                return write(*args, **kwargs)
            except OperationalError as error:
                if not isinstance(error.__cause__, DeadlockDetected):
                    raise
        return write(*args, **kwargs)

    return attempts
