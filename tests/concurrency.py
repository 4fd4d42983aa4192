"""Things that happen at the same moment, as they do on a busy server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread
from typing import TypeVar

from django.db import connection

from cinema.development.processes import wait_for

T = TypeVar("T")


def and_disconnect(call: Callable[[], T]) -> T:
    """Return the result of the call; its thread's connection goes back to the pool."""
    try:
        return call()
    finally:
        connection.close()


def somebody_waits() -> bool:
    """Whether a session of this test's database waits for a lock."""
    with connection.cursor() as cursor:
        # A transaction sees the sessions of its first look otherwise.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        return bool(cursor.fetchone()[0])


def until_it_waits(thread: Thread) -> None:
    """Let a thread run until it has ended or waits for a lock."""
    assert wait_for(lambda: not thread.is_alive() or somebody_waits(), timeout_s=60)


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Return the results of the calls, made together, each in its own thread and connection.

    The test needs `django_db(transaction=True)`, or the threads see nothing of its data.
    """
    together = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        together.wait(timeout=60)
        return and_disconnect(call)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))
