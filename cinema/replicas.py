"""Reads from replicas of the database, for sites that name some in DATABASE_REPLICA_URLS.

Reads of the API's GET requests go to a replica that has replayed all that the caller may have seen:
the caller's own writes, and the catalogue and release that this process serves. This is decided by
positions in the write-ahead log (docs/decisions/0061). Writes, transactions, sign-ins, the admin
and GraphQL stay on the primary.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, TypeVar

import psycopg
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.backends.utils import CursorWrapper
from django.http import HttpRequest, HttpResponseBase

from cinema.database import BoundedConnection, connect_for_checks
from cinema.errors import database_away

T = TypeVar("T")

#: A process that reads from a replica asks it so often for its position.
INTERVAL_S = 0.2
#: An answer counts for so long: after that the replica counts as away.
ANSWER_KEPT_S = 1.5
#: A replica that lags for longer than this is left out.
LONGEST_LAG_S = 5.0
#: The wait of a read of everything for a replica that has everything.
PATIENCE_S = 10.0
#: A page of the write-ahead log, and its longest header. No record ends within 40 bytes of the end
#: of a record that fills a page.
PAGE_BYTES, PAGE_HEADER_BYTES = 8192, 40
#: No replica has this position.
UNREACHABLE = sys.maxsize
#: The problem of a replica that lags, and of one that has not answered yet.
TOO_FAR_BEHIND = "it is too far behind"

#: Positions are bytes of the write-ahead log since its beginning. A replica has the system
#: identifier of its primary, and a promoted one keeps its last position.
_REPLAYED = """
SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint, system_identifier || ' ' || current_database(),
       pg_is_in_recovery()
FROM pg_control_system()
"""
_INSERTED = """
SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint,
       system_identifier || ' ' || current_database()
FROM pg_control_system()
"""

log = logging.getLogger(__name__)


class Replica:
    """The state of a replica as this process knows it. A thread asks, so that no request waits."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._position = -1
        self._usable_until = 0.0
        self._problem = TOO_FAR_BEHIND
        #: The primary's positions by time. The first one is LONGEST_LAG_S old, or the oldest.
        self._inserted: deque[tuple[float, int]] = deque()
        self._is_primary_away = False
        self._connections: dict[str, BoundedConnection] = {}
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def holds(self, position: int) -> bool:
        """Whether it can be read from, and has replayed the log to this position."""
        if not self.is_watched():  # also after a fork
            self._start()
        return position <= self._position and time.monotonic() < self._usable_until

    @property
    def problem(self) -> str:
        """Why nothing is read from it; empty if it is read from."""
        if time.monotonic() < self._usable_until:
            return ""
        return self._problem or "it has not answered lately"

    def is_watched(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def leave_out(self, problem: str) -> None:
        """Read nothing from it until it answers well."""
        # The reason is known before any other thread sees that the replica is left out.
        before, self._problem = self._problem, problem
        self._usable_until = 0.0
        if problem != before:
            log.warning("%s is left out: %s", self.alias, problem)

    def look(self) -> None:
        """Ask it for its position, and the primary."""
        asked_at = time.monotonic()
        try:
            position, database, is_replica = self._ask(self.alias, _REPLAYED)
        except psycopg.Error as error:
            self.leave_out(f"it does not answer ({type(error).__name__})")
            return
        if not is_replica:
            self.leave_out("it is not a replica, or no longer")
            return
        if self._is_of_another(database, position):
            self.leave_out("it is not a replica of this database")
            return
        if position % PAGE_BYTES == 0:
            # The primary's position is already behind the header of the next page, where the next
            # record begins. After a switch of the log's file it can stay there for long.
            position += PAGE_HEADER_BYTES
        if not self._inserted or position < self._inserted[0][1]:
            self.leave_out(TOO_FAR_BEHIND)
        else:
            self._position, self._usable_until = position, asked_at + ANSWER_KEPT_S
            if self._problem:
                log.info("%s is read from", self.alias)
            self._problem = ""

    def _is_of_another(self, database: str, replayed: int) -> bool:
        """Note the primary's position; return whether the replica is of another primary."""
        try:
            inserted, database_of_primary = self._ask(DEFAULT_DB_ALIAS, _INSERTED)
        except psycopg.Error:
            self._is_primary_away = True
            return False
        if self._is_primary_away:
            # A crash may have lost the latest positions of sessions, which are not flushed. A
            # replica that has all of today's log has their writes.
            self._is_primary_away = False
            self._inserted.clear()
        now = time.monotonic()
        self._inserted.append((now, inserted))
        while len(self._inserted) > 1 and self._inserted[1][0] <= now - LONGEST_LAG_S:
            self._inserted.popleft()
        return bool(database != database_of_primary or replayed > inserted)

    def _ask(self, alias: str, query: str) -> Any:
        known = self._connections.get(alias)
        try:
            known = known or connect_for_checks(alias)
            [row] = known.execute(query).fetchall()
        except psycopg.Error:
            if known:
                known.close()
            self._connections.pop(alias, None)
            raise
        self._connections[alias] = known
        return row

    def _start(self) -> None:
        with self._starting:
            if not self.is_watched():
                self._thread = threading.Thread(target=self._watch, daemon=True, name=self.alias)
                self._thread.start()

    def _watch(self) -> None:
        self._connections = {}  # after a fork, the old ones are the other process's
        while self in REPLICAS:
            try:
                self.look()
            except Exception:
                log.exception("%s cannot be watched", self.alias)
            time.sleep(INTERVAL_S)
        for known in self._connections.values():
            known.close()


REPLICAS = tuple(Replica(alias) for alias in settings.DATABASES if alias != DEFAULT_DB_ALIAS)

_turns = count()


class _Route(threading.local):
    """The server that this thread reads from, while a call of `read` runs."""

    is_open = False
    #: The position that the caller's reads need.
    position = 0
    #: The position with which `alias` was chosen; negative before the first read.
    checked = -1
    alias = DEFAULT_DB_ALIAS
    #: The replica that the call has read from.
    replica: Replica | None = None
    turn = 0

    def open(self) -> None:
        self.is_open, self.position, self.checked = True, 0, -1
        self.alias, self.replica, self.turn = DEFAULT_DB_ALIAS, None, next(_turns)

    def close(self) -> None:
        self.is_open = False
        if self.replica:
            connections[self.replica.alias].close()

    def choose(self, needed: int) -> None:
        """Choose a replica, or keep it. From the primary nothing leads back: time would too."""
        first = self.turn % len(REPLICAS)
        candidates = (*REPLICAS[first:], *REPLICAS[:first])
        if self.replica:
            candidates = (self.replica,)
        self.use(next((each for each in candidates if each.holds(needed)), None), needed)

    def use(self, replica: Replica | None, position: int) -> None:
        if replica is None:
            self.alias, self.checked = DEFAULT_DB_ALIAS, UNREACHABLE
        else:
            if self.replica is None:
                connections[replica.alias].errors_occurred = False
            self.alias, self.checked, self.replica = replica.alias, position, replica

    def has_failed(self, error: Exception | None = None) -> bool:
        """Whether the replica failed; then it is left out.

        Django notes errors of a connection, except for those of COPY, which are psycopg's own.
        """
        if self.replica is None:
            return False
        is_noted = connections[self.replica.alias].errors_occurred
        if not is_noted and not isinstance(error, psycopg.Error):
            return False
        self.replica.leave_out("a query failed")
        return True


class _Floor:
    """The position that all reads need: this process read its catalogue and release there."""

    def __init__(self) -> None:
        self.position = 0
        self._raising = threading.Lock()

    def raise_to_now(self) -> None:
        """Raise it to the present position; without the primary, beyond all replicas."""
        with self._raising:
            self.position = UNREACHABLE
            self.position = _position_now()


_route = _Route()
_floor = _Floor()


def alias() -> str:
    """The database for a read that may lag behind."""
    if not REPLICAS or not _route.is_open or connections[DEFAULT_DB_ALIAS].in_atomic_block:
        return DEFAULT_DB_ALIAS
    if _route.alias != DEFAULT_DB_ALIAS and connections[_route.alias].in_atomic_block:
        return _route.alias  # its transaction is one snapshot
    needed = max(_route.position, _floor.position)
    if needed > _route.checked:
        _route.choose(needed)
    return _route.alias


def cursor() -> CursorWrapper:
    """A cursor for a read that may lag behind."""
    return connections[alias()].cursor()


class Router:
    """Django's reads go where `alias` says, and everything else to the primary."""

    def db_for_read(self, model: object, **hints: object) -> str:
        return alias()

    def db_for_write(self, model: object, **hints: object) -> str:
        return DEFAULT_DB_ALIAS

    def allow_relation(self, *args: object, **hints: object) -> bool:
        return True

    def allow_migrate(self, db: str, *args: object, **hints: object) -> bool:
        return db == DEFAULT_DB_ALIAS


# --- reads


def read(call: Callable[[], T]) -> T:
    """Call a function whose reads may lag behind; once more on the primary if the replica fails.

    The function must have no effects: it may run twice.
    """
    if not REPLICAS or _route.is_open:
        return call()
    _route.open()
    return _read(call)


def read_everything(call: Callable[[], T]) -> T:
    """As `read`, for a read that must lack nothing that is committed before it begins."""
    if not REPLICAS or _route.is_open or connections[DEFAULT_DB_ALIAS].in_atomic_block:
        return call()
    now, deadline = _position_now(), time.monotonic() + PATIENCE_S
    _route.open()
    while (holder := next((r for r in REPLICAS if r.holds(now)), None)) is None:
        if time.monotonic() > deadline:
            break
        time.sleep(INTERVAL_S)
    _route.use(holder, UNREACHABLE)
    return _read(call)


def _read(call: Callable[[], T]) -> T:
    try:
        result = call()
    except (OperationalError, InterfaceError, psycopg.Error) as error:
        if not _route.has_failed(error):
            raise
    else:
        if not _route.has_failed():
            return result
    finally:
        _route.close()
    return call()


def renewed(renew: Callable[[T | None], T], old: T | None) -> T:
    """Renew a value that follows the primary. Reads from then on are at least as new as it."""
    is_open, _route.is_open = _route.is_open, False
    try:
        value = renew(old)
    finally:
        _route.is_open = is_open
    if value != old or _floor.position == UNREACHABLE:
        with suppress(OperationalError, InterfaceError):
            _floor.raise_to_now()
    return value


def _position_now() -> int:
    """The primary's position: all that is committed lies before it."""
    with connections[DEFAULT_DB_ALIAS].cursor() as asking:
        asking.execute(_INSERTED)
        return int(asking.fetchone()[0])


# --- the caller's own writes

#: Keeps the present position with a viewer's sessions; `users` registers it.
PositionKeeper = Callable[[int], object]
_keepers: list[PositionKeeper] = []


def register_position_keeper(keeper: PositionKeeper) -> None:
    """Set the function that keeps a position; an app calls this in `AppConfig.ready`."""
    _keepers[:] = [keeper]


def require(position: int, *, user_id: int) -> None:
    """Let the caller's reads lack nothing before this position.

    A viewer stays with one replica while it is sound, so that nothing that was shown disappears.
    """
    _route.position, _route.turn = max(_route.position, position), user_id


def keep_position(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Keep the position after a write. A write whose position cannot be kept is not confirmed."""
    user: AbstractBaseUser | None = getattr(request, "user", None)
    if user and user.pk and response.status_code < 400 and request.path != "/graphql":
        try:
            _keepers[0](user.pk)
        except (OperationalError, InterfaceError):
            return database_away()
    return response


def routed(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware that answers GET requests by reads that may lag behind."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.method != "GET" or not request.path.startswith("/api/"):
            return get_response(request)  # GraphQL, and health, which a replica must not delay
        return read(lambda: get_response(request))

    return middleware if REPLICAS else get_response
