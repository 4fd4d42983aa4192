"""Responses that a process keeps in memory and, for costly kinds, shares through Valkey.

Nothing is searched for and deleted. A response counts while its version is that of the data. The
version is read before the data, so a response can be newer than its version says, never older.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import LRUCache
from django.conf import settings
from django.db import InterfaceError, OperationalError

from cinema import replicas
from cinema.cache import shared
from cinema.cache_statistics import CacheOutcome, CacheTally, tally
from cinema.database import release_old_connection
from cinema.http import Document
from cinema.metrics.counters import count_cache_request

T = TypeVar("T")

DATABASE_AWAY = (OperationalError, InterfaceError)
#: Larger responses are not kept, so that no client can fill Valkey with large pages.
MAX_SHARED_BYTES = 128 * 1024
#: Valkey keeps a response for at least this long after its lifetime: Postgres may be away then.
GRACE_S = 60


@dataclass(frozen=True, eq=False)
class CacheKind:
    """Responses that are kept in the same way.

    Attributes:
        lifetime_s: How long a response counts while its version stays the same.
        memory_share: Share of CACHE_SIZE. Each kind has its own, so that many different searches
            push out searches and nothing else.
        entries: In place of `memory_share`: a number of responses, whatever their size. For
            questions that no client can choose.
        places: Number of keys in Valkey; 0 keeps the kind out of it. Questions share a key by their
            checksum, and the last one has it, so that no client can fill Valkey.
        patience_s: How long a request waits for another one that builds its response.
        is_counted: Whether the staff's statistics name the kind.
    """

    name: str
    lifetime_s: Callable[[], float]
    memory_share: float = 0.0
    entries: int = 0
    places: int = 0
    patience_s: float = 2.0
    is_counted: bool = True

    def key(self, question: Hashable) -> str:
        return f"responses:{self.name}:{zlib.crc32(str(question).encode()) % self.places}"

    def new_memory(self) -> LRUCache[Hashable, CachedResponse]:
        if self.entries:
            return LRUCache(self.entries)
        limit = self.memory_share * settings.CACHE_SIZE * 1024 * 1024
        return LRUCache(limit, getsizeof=lambda response: response.size_bytes)


@dataclass(frozen=True)
class CachedResponse:
    """A response with the version of the data that it was built from; `made_at` is Unix time."""

    question: Hashable
    version: str
    made_at: float
    document: Document

    def counts(self, kind: CacheKind, version: str) -> bool:
        # `abs`: after the clock was set back, the response would otherwise count for too long.
        age_s = abs(time.time() - self.made_at)
        return self.version == version and age_s < kind.lifetime_s()

    @property
    def size_bytes(self) -> int:
        return self.document.size_bytes + len(str(self.question))


@dataclass(frozen=True)
class _Wanted:
    """A response that is not in memory; requests with the same key wait for one another."""

    kind: CacheKind
    question: Hashable
    version: str
    build: Callable[[], Document]

    @property
    def key(self) -> Hashable:
        return self.kind, self.question, self.version


@dataclass(frozen=True)
class Repeatable:
    """An attribute of responses that the web server may send again (`cinema.web.event_loop_cache`).

    Attributes:
        is_current: Whether the same request would have the same response now. It asks no server.
    """

    kind: CacheKind
    is_current: Callable[[], bool]


class ResponseCache:
    """The responses of one process."""

    def __init__(self, counts: CacheTally = tally) -> None:
        self.tally = counts
        self._memory: dict[CacheKind, LRUCache[Hashable, CachedResponse]] = {}
        self._building: dict[Hashable, Future[Document]] = {}
        self._lock = threading.Lock()

    def get(
        self,
        kind: CacheKind,
        question: Hashable,
        version: str | None,
        build: Callable[[], Document],
    ) -> tuple[Document, bool]:
        """Return a response, and whether it may be old because Postgres is away.

        Args:
            version: Of the data. None while Postgres is away: the last known response is served
                at once, as each attempt to build one would wait for the database's time-out.
            build: Makes the response. What it raises reaches every request that waits for it.
        """
        try:
            if version is not None:
                return self.get_current(kind, question, version, build), False
            known = self._last_known(kind, question)
            return (known, True) if known else (build(), False)
        except DATABASE_AWAY:
            if known := self._last_known(kind, question):
                return known, True
            raise

    def get_current(
        self, kind: CacheKind, question: Hashable, version: str, build: Callable[[], Document]
    ) -> Document:
        """Return a response of this version; one request builds it while the others wait."""
        found = self._remembered(kind, question)
        if found and found.counts(kind, version):
            return self._counted(kind, "memory", found.document)
        wanted = _Wanted(kind, question, version, build)
        with self._lock:
            leads = wanted.key not in self._building
            building = self._building.setdefault(wanted.key, Future())
        if leads:
            return self._lead(wanted, building)
        if found and found.version == version:  # beyond its lifetime, and good enough meanwhile
            return self._counted(kind, "stale", found.document)
        try:
            document = building.result(timeout=kind.patience_s)
        except TimeoutError:
            release_old_connection()  # it was kept during the wait
            return self._build(wanted)
        return self._counted(kind, "waited", document)

    def count_again(self, kind: CacheKind) -> None:
        """Count a response that is sent again, without asking a server."""
        count_cache_request(kind.name, "memory")
        if kind.is_counted:
            self.tally.add(kind.name, "memory")

    def forget(self) -> None:
        """Start again with nothing, like a process that has just started."""
        with self._lock:
            self._memory.clear()
        self.tally.forget()

    def _lead(self, wanted: _Wanted, building: Future[Document]) -> Document:
        """Get the response from Valkey or by building it, for all requests of this process."""
        try:
            document = self._found_meanwhile(wanted) or self._build(wanted)
        except BaseException as error:
            building.set_exception(error)
            raise
        else:
            building.set_result(document)
            return document
        finally:
            with self._lock:
                del self._building[wanted.key]

    def _found_meanwhile(self, wanted: _Wanted) -> Document | None:
        kind = wanted.kind
        found = self._remembered(kind, wanted.question)
        if found and found.counts(kind, wanted.version):  # built by a request that has just ended
            return self._counted(kind, "waited", found.document)
        found = self._load(kind, wanted.question)
        if found and found.counts(kind, wanted.version):
            self._remember(kind, found)
            return self._counted(kind, "cache", found.document)
        return None

    def _build(self, wanted: _Wanted) -> Document:
        kind, made_at = wanted.kind, time.time()
        response = CachedResponse(wanted.question, wanted.version, made_at, wanted.build())
        if not kind.places:
            self._remember(kind, response)
        elif response.size_bytes <= MAX_SHARED_BYTES:
            self._remember(kind, response)
            self._share(kind, response)
        return self._counted(kind, "made", response.document)

    def _last_known(self, kind: CacheKind, question: Hashable) -> Document | None:
        found = self._remembered(kind, question) or self._load(kind, question)
        return self._counted(kind, "last_known", found.document) if found else None

    def _counted(self, kind: CacheKind, outcome: CacheOutcome, document: Document) -> Document:
        count_cache_request(kind.name, outcome)
        if kind.is_counted:
            self.tally.count(kind.name, outcome)
        return document

    # --- memory

    def _remembered(self, kind: CacheKind, question: Hashable) -> CachedResponse | None:
        with self._lock:
            memory = self._memory.get(kind)
            return memory.get(question) if memory is not None else None

    def _remember(self, kind: CacheKind, response: CachedResponse) -> None:
        with self._lock, suppress(ValueError):  # larger than all of the kind's memory
            memory = self._memory.setdefault(kind, kind.new_memory())
            memory[response.question] = response

    # --- Valkey

    def _load(self, kind: CacheKind, question: Hashable) -> CachedResponse | None:
        if not kind.places:
            return None
        match shared().get(kind.key(question)):
            # The check of the types passes over the formats of other editions of the program.
            case [asked, str(version), float(made_at), str(body)] if asked == question:
                return CachedResponse(question, version, made_at, Document(body.encode()))
        return None

    def _share(self, kind: CacheKind, response: CachedResponse) -> None:
        body = response.document.body.decode()
        packed = [response.question, response.version, response.made_at, body]
        lifetime_s = kind.lifetime_s()
        shared().set(kind.key(response.question), packed, lifetime_s + max(lifetime_s, GRACE_S))


#: The responses of this process.
responses = ResponseCache()


class PolledValue(Generic[T]):
    """A value in memory that follows the database: the first request after `interval_s` renews it.

    The other requests go on with the old value meanwhile; only the very first value is waited for.
    No thread runs in the background, so a process without requests does nothing.

    Args:
        renew: Returns the present value, given the old one or None; it may be the same.
        interval_s: How old the last look may be.
    """

    def __init__(self, renew: Callable[[T | None], T], interval_s: Callable[[], float]) -> None:
        self._renew = renew
        self._interval_s = interval_s
        self._value: T | None = None
        self._began_at = self._looked_at = 0.0
        self._looking = threading.Lock()
        self._counting = threading.Lock()
        self._changes_seen = 0
        #: The number of calls of `expire`.
        self.changes = 0

    def get(self) -> T:
        """Return the value. Whatever `renew` raises passes through."""
        value = self._value
        if value is None or self._changes_seen != self.changes:
            with self._turn():
                if self._value is None or self._changes_seen != self.changes:
                    return self._look()
                return self._value
        if time.monotonic() - self._looked_at < self._interval_s():
            return value
        if not self._looking.acquire(blocking=False):
            return value
        try:
            return self._look()
        finally:
            self._looking.release()

    def is_current(self, value: T) -> bool:
        """Whether `get` would return this object without a look."""
        return (
            value is self._value
            and self._changes_seen == self.changes
            and time.monotonic() - self._looked_at < self._interval_s()
        )

    def fresh(self) -> T:
        """Renew the value, and return it. Callers that wait for a look share the next one."""
        called_at = time.monotonic()
        with self._turn():
            if self._value is not None and self._began_at > called_at:
                return self._value
            return self._look()

    def latest(self) -> T:
        """Return the value of the last look."""
        value = self._value
        return self.get() if value is None else value

    def expire(self) -> None:
        """Make the next request renew the value, and wait: this process has changed something.

        A look that is under way may have begun before the change, and does not count.
        """
        with self._counting:
            self.changes += 1

    def forget(self) -> None:
        """Start again with nothing, like a process that has just started."""
        self._value = None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for the look of another thread, and keep others from looking."""
        if not self._looking.acquire(blocking=False):
            self._looking.acquire()
            # The database may hang by now. The pool checks a connection that this thread kept;
            # else the look would wait for the time-out once more, and all other threads with it.
            release_old_connection()
        try:
            yield
        finally:
            self._looking.release()

    def _look(self) -> T:
        """Renew the value. A failed or slow look counts too, or each request would wait for one."""
        changes, self._began_at = self.changes, time.monotonic()
        try:
            if replicas.REPLICAS:
                value = replicas.renewed(self._renew, self._value)
            else:
                value = self._renew(self._value)
            self._value = value
        finally:
            self._looked_at = time.monotonic()
            self._changes_seen = changes
        return value
