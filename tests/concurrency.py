"""Things that happen at the same moment, as they do on a busy server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

from django.db import connection

T = TypeVar("T")


def and_disconnect(call: Callable[[], T]) -> T:
    """Return the result of the call; its thread's connection goes back to the pool."""
    try:
        return call()
    finally:
        connection.close()


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
