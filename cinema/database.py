"""Connections to Postgres that do not wait without limit."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from django.conf import settings
from psycopg.abc import PQGen

#: Postgres ends a statement itself after `STATEMENT_TIMEOUT_S`. After so much more it hangs.
GRACE_S = 2.0
#: How long the check of a pooled connection may take.
CHECK_S = 2.0
_INTERVAL_S = 0.1


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server does not answer in time.

    `statement_timeout` is the server's own promise, and TCP keepalives are answered by the kernel
    of its machine: neither helps against a server process that hangs.
    """

    _longest_wait_s: float | None = None

    def wait(
        self, gen: PQGen[Any], interval: float = _INTERVAL_S, timeout: float | None = None
    ) -> Any:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        limit_s = self._longest_wait_s or settings.STATEMENT_TIMEOUT_S + GRACE_S
        deadline = time.monotonic() + limit_s
        try:
            return super().wait(gen, interval, limit_s)
        except psycopg.OperationalError as error:
            if time.monotonic() < deadline:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the database has not answered for {limit_s:.0f} s"
            ) from error

    def execute(self, query: Any, *args: Any, **options: Any) -> psycopg.Cursor[Any]:
        if query != "":  # the pool's check: psycopg_pool.ConnectionPool.check_connection
            return super().execute(query, *args, **options)
        self._longest_wait_s = CHECK_S
        try:
            return super().execute(query, *args, **options)
        finally:
            self._longest_wait_s = None
