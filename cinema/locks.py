"""Locks that hold for all processes, kept by Postgres, and retries of transactions that met one."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ParamSpec, TypeVar

import psycopg
import stamina
from django.db import IntegrityError, OperationalError, connection
from django.db.models import Model
from psycopg.errors import DeadlockDetected, LockNotAvailable

from cinema.database import BoundedConnection

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def single_run(name: str) -> Iterator[bool]:
    """Take the lock `name` for the block, unless a process holds it; yield whether it was taken.

    The lock belongs to a connection of its own. It ends with the block and with the process, and
    neither the pool nor a reconnect can lose it.
    """
    settings: dict[str, Any] = dict(connection.get_connection_params())
    for django_only in ("pool", "cursor_factory", "context", "prepare_threshold"):
        settings.pop(django_only, None)
    with BoundedConnection.connect(**settings, autocommit=True) as own:
        row = own.execute("SELECT pg_try_advisory_lock(%s)", [zlib.crc32(name.encode())]).fetchone()
        try:
            yield bool(row and row[0])
        finally:
            # Postgres notices a closed connection after a delay. Without the explicit unlock, a
            # run that starts right after this one would find the lock held.
            with suppress(psycopg.OperationalError):
                own.execute("SELECT pg_advisory_unlock_all()")


def is_held(*names: str) -> bool:
    """Return whether a process holds one of these locks of `single_run`."""
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
    """Hold the lock `name` together with others until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [zlib.crc32(name.encode())])


def hold_exclusive(name: str) -> None:
    """Wait for the lock `name`, and hold it until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [zlib.crc32(name.encode())])


def try_hold_exclusive(name: str) -> bool:
    """Hold the lock `name` until the transaction ends; return False if another holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [zlib.crc32(name.encode())])
        row = cursor.fetchone()
        return bool(row and row[0])


def lock_table(model: type[Model]) -> None:
    """Block other writers of the model's table until the transaction ends; reads go on.

    It guards rows that do not exist yet, which no row lock can.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {model._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")


def is_lock_timeout(error: Exception) -> bool:
    """Whether a statement gave up waiting for a lock, after `lock_timeout`."""
    return isinstance(error, OperationalError) and isinstance(error.__cause__, LockNotAvailable)


def _is_deadlock(error: Exception) -> bool:
    return isinstance(error, OperationalError) and isinstance(error.__cause__, DeadlockDetected)


def retry_at_once(
    on: type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool],
    attempts: int = 3,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Repeat a transaction that raises `on`, without a pause: the other writer has committed."""
    return stamina.retry(
        on=on, attempts=attempts, timeout=None, wait_initial=0, wait_max=0, wait_jitter=0
    )


#: Repeats a transaction that Postgres ended to resolve a deadlock. Status changes, ratings and
#: imports lock many movies, each in an order of its own.
retry_on_deadlock = retry_at_once(_is_deadlock)

#: Repeats a transaction that refers to a row which was deleted before the commit. The next attempt
#: does not find the row, and raises the error of a missing one.
retry_if_deleted = retry_at_once(IntegrityError)
