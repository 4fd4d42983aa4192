"""The leadership of one process among several, kept by Postgres.

It is an advisory lock of a session that Postgres ends when it is idle for LEASE_S. So a leader must
renew it, and loses it when it is suspended, or cut off, or when its host disappears. Valkey could
not promise this: a fail-over may forget a lock. And while Postgres is away, no task could run.
"""

from __future__ import annotations

import logging
import zlib

import psycopg
from django.db import DEFAULT_DB_ALIAS

from cinema.database import BoundedConnection, connect_for_checks

#: A leader that has not renewed the lock for so long loses it.
LEASE_S = 30

log = logging.getLogger(__name__)


class Leadership:
    def __init__(self, name: str) -> None:
        self._name = name
        self._connection: BoundedConnection | None = None
        self._is_held = False
        self._state = ""

    def hold(self) -> bool:
        """Take the lock or renew it; return whether this process holds it.

        The call that notices a loss returns False, even if nobody else wants the lock.
        """
        was_held, self._is_held = self._is_held, False
        try:
            self._is_held = self._renew() if was_held else self._take()
        except psycopg.Error as error:
            self.give_up()
            self._tell(f"cannot take the lock: {type(error).__name__}")
        else:
            self._tell("leads" if self._is_held else "stands by, another process leads")
        return self._is_held

    def give_up(self) -> None:
        self._is_held = False
        if self._connection:
            self._connection.close()
            self._connection = None

    def _tell(self, state: str) -> None:
        if state != self._state:
            log.info("%s: %s", self._name, state)
            self._state = state

    def _take(self) -> bool:
        if self._connection is None:
            self._connection = connect_for_checks(DEFAULT_DB_ALIAS)
            self._connection.execute(f"SET idle_session_timeout = '{LEASE_S}s'")
        key = zlib.crc32(self._name.encode())
        found = self._connection.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone()
        return bool(found and found[0])

    def _renew(self) -> bool:
        assert self._connection
        self._connection.execute("SELECT 1")
        return True
