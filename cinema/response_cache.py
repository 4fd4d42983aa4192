"""What an answer is that is kept: of a kind, to a question, as things stood when it was made."""

from __future__ import annotations

import hashlib
import threading
import time
import zlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Generic, Literal, TypeVar, cast, get_args
from uuid import uuid4

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from cinema.cache import shared
from cinema.http import Document

#: Larger ones are made anew each time: some hostile pages could otherwise fill the cache.
MAX_BYTES = 128 * 1024
#: At the least an old answer stays for so long after its lifetime, to be served while one request
#: makes it anew.
GRACE_S = 60


@dataclass(frozen=True)
class CacheKind:
    """Answers that are kept in the same way.

    Attributes:
        lifetime_s: How long one holds if nothing is written meanwhile.
        places: How many of them the cache holds at the most. Questions share a place by their
            checksum, and the last one has it: whatever is asked, memory is bounded.
        patience_s: How long a request waits for another one that is making its answer, before it
            makes its own.
        is_revocable: Whether single ones can be revoked, which costs a look at the cache where
            memory alone would do.
    """

    name: str
    lifetime_s: Callable[[], int]
    places: int
    patience_s: float = 2.0
    is_revocable: bool = False

    @property
    def kept_s(self) -> int:
        """Old ones are served while one is made anew, and while Postgres is away."""
        return self.lifetime_s() + max(self.lifetime_s(), GRACE_S)

    def place(self, question: str) -> str:
        return f"answers:{self.name}:{zlib.crc32(question.encode()) % self.places}"

    def token(self, question: str) -> str:
        """The key of what changes when the answer is revoked."""
        digest = hashlib.blake2b(question.encode(), digest_size=12).hexdigest()
        return f"answers:revoked:{self.name}:{digest}"


@dataclass(frozen=True)
class CachedResponse:
    """An answer with what it was made from.

    Attributes:
        label: The state of the data, such as the catalogue's version. It was read before the
            data: what has changed since makes the entry useless, and never the other way round.
        token: As the question's stood at that time; None: the cache was away, nobody could say.
        made_at: Unix seconds.
    """

    question: str
    label: str
    token: str | None
    made_at: float
    document: Document

    def is_of(self, label: str, token: str | None) -> bool:
        return token is not None and (self.label, self.token) == (label, token)

    def is_young(self, kind: CacheKind) -> bool:
        # Negative after the clock was set back: the entry would stay young for too long.
        return 0 <= time.time() - self.made_at < kind.lifetime_s()

    @property
    def size_bytes(self) -> int:
        return self.document.size_bytes + len(self.question)

    def pack(self) -> bytes:
        document = self.document
        head = [
            self.question,
            self.label,
            self.token,
            self.made_at,
            document.content_type,
            document.etag,
        ]
        return orjson.dumps(head) + b"\n" + document.body

    @classmethod
    def unpack(cls, packed: object, question: str) -> CachedResponse | None:
        """The entry, if it is one and answers this question."""
        if not isinstance(packed, bytes):
            return None
        head, _, body = packed.partition(b"\n")
        try:
            asked, label, token, made_at, content_type, etag = orjson.loads(head)
        except (ValueError, TypeError):  # as another version of this program left it there
            return None
        if asked != question:
            return None
        return cls(question, label, token, made_at, Document(body, content_type, etag))


def limit_bytes() -> int:
    """Half of CACHE_SIZE. `movies.catalogue` has the other half for documents of the programme."""
    return int(settings.CACHE_SIZE * 1024 * 1024) // 2


@dataclass(frozen=True)
class Remembered:
    """An entry, and when it was last held against the cache (monotonic seconds)."""

    entry: CachedResponse
    checked_at: float

    def was_checked(self, within_s: float) -> bool:
        return time.monotonic() - self.checked_at < within_s


@dataclass
class _Shelf:
    entries: OrderedDict[str, Remembered] = field(default_factory=OrderedDict)
    size_bytes: int = 0


class Memory:
    """The answers that were asked for last, up to a size in all.

    Once it is full, the kind that takes most memory loses the answer that was asked for longest
    ago. Many different searches therefore push out searches, and nothing else.
    """

    def __init__(self) -> None:
        self._shelves: defaultdict[str, _Shelf] = defaultdict(_Shelf)
        self._lock = threading.Lock()

    def get(self, kind: CacheKind, question: str) -> Remembered | None:
        with self._lock:
            entries = self._shelves[kind.name].entries
            found = entries.get(question)
            if found:
                entries.move_to_end(question)
            return found

    def put(self, kind: CacheKind, entry: CachedResponse, checked_at: float) -> None:
        with self._lock:
            shelf = self._shelves[kind.name]
            self._drop(shelf, entry.question)
            shelf.entries[entry.question] = Remembered(entry, checked_at)
            shelf.size_bytes += entry.size_bytes
            self._shrink()

    def drop(self, kind: CacheKind, question: str) -> None:
        with self._lock:
            self._drop(self._shelves[kind.name], question)

    def clear(self) -> None:
        with self._lock:
            self._shelves.clear()

    def _shrink(self) -> None:
        while sum(shelf.size_bytes for shelf in self._shelves.values()) > limit_bytes():
            largest = max(self._shelves.values(), key=lambda shelf: shelf.size_bytes)
            self._drop(largest, next(iter(largest.entries)))

    @staticmethod
    def _drop(shelf: _Shelf, question: str) -> None:
        if found := shelf.entries.pop(question, None):
            shelf.size_bytes -= found.entry.size_bytes


#: What came of a question. A hit was in this process's memory or in the cache; or it is old, and
#: another request is at it, or Postgres away. For a miss one request makes it, and others wait.
#: Fresh is what signed-in callers get, always from Postgres.
CacheOutcome = Literal["memory", "cache", "stale", "last_known", "waited", "made", "fresh"]
HITS: Sequence[CacheOutcome] = ("memory", "cache", "stale", "last_known")
MISSES: Sequence[CacheOutcome] = ("waited", "made")
OUTCOMES: Sequence[CacheOutcome] = get_args(CacheOutcome)

DAYS_KEPT = 8
#: So seldom that counting costs next to nothing. A process that is killed takes these along.
FLUSH_EVERY_S = 10.0


class CacheTally:
    """Counts in memory, and now and then adds up in the cache what has come together."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._flushed_at = time.monotonic()

    def count(self, kind: str, outcome: CacheOutcome) -> None:
        with self._lock:
            self._counts[f"{kind}:{outcome}"] += 1
            is_due = time.monotonic() - self._flushed_at > FLUSH_EVERY_S
            if is_due:  # for the other threads it no longer is
                self._flushed_at = time.monotonic()
        if is_due:
            self.flush()

    def flush(self) -> None:
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if counts and not shared().increase(_key(timezone.localdate()), counts, _LIFETIME_S):
            with self._lock:  # the cache is away: they stay for the next time
                self._counts += counts

    def totals(self, days: int) -> tuple[Counter[tuple[str, CacheOutcome]], bool]:
        """The counts by kind and outcome, of today and the days before; and whether those of
        other processes are in it."""
        self.flush()
        today = timezone.localdate()
        found = [shared().counters(_key(today - timedelta(days=n))) for n in range(days)]
        with self._lock:
            total = Counter(self._counts)
        for counters in found:
            total.update(counters or {})
        by_outcome = {_split(name): count for name, count in total.items()}
        return Counter(by_outcome), None not in found


_LIFETIME_S = int(timedelta(days=DAYS_KEPT).total_seconds())


def _key(day: date) -> str:
    return f"answers:counts:{day.isoformat()}"


def _split(name: str) -> tuple[str, CacheOutcome]:
    kind, _, outcome = name.partition(":")
    return kind, cast("CacheOutcome", outcome)


#: How often it looks whether another process is done.
LOOK_EVERY_S = 0.02
#: After so long another process may begin: the one that began has died. Longer than any patience.
CLAIM_S = 15
#: A cache that takes longer for one look is left alone for the rest of the request.
SLOW_S = 0.25

DATABASE_AWAY = (OperationalError, InterfaceError)


@dataclass(frozen=True)
class _Question:
    kind: CacheKind
    text: str
    label: str
    build: Callable[[], Document]

    @property
    def claim(self) -> str:
        """The key that says that some process is making this answer."""
        return f"{self.kind.place(self.text)}:making:{self.label}"


@dataclass(frozen=True)
class _Look:
    """What the cache says of a question.

    Attributes:
        token: Empty for what was never revoked; None: nobody can say.
        looked_at: Monotonic seconds.
        cache_is_there: And fast enough to be asked for more.
    """

    entry: CachedResponse | None
    token: str | None
    is_being_made: bool
    looked_at: float
    cache_is_there: bool

    def is_answered_by(self, entry: CachedResponse, question: _Question) -> bool:
        return entry.is_of(question.label, self.token) and entry.is_young(question.kind)

    def answer_to(self, question: _Question) -> CachedResponse | None:
        entry = self.entry
        return entry if entry and self.is_answered_by(entry, question) else None


def _look(question: _Question) -> _Look:
    kind, started_at = question.kind, time.monotonic()
    place, token = kind.place(question.text), kind.token(question.text)
    keys = [place, question.claim, *([token] if kind.is_revocable else [])]
    answered = shared().find(keys)
    found = answered or {}
    return _Look(
        CachedResponse.unpack(found.get(place), question.text),
        None if answered is None and kind.is_revocable else str(found.get(token, "")),
        question.claim in found,
        started_at,
        cache_is_there=answered is not None and time.monotonic() - started_at < SLOW_S,
    )


def _wait(question: _Question) -> _Look:
    """Until another process has made the answer, has given up, or takes too long."""
    deadline = time.monotonic() + question.kind.patience_s
    while True:
        found = _look(question)
        if (
            found.answer_to(question)
            or not found.is_being_made
            or not found.cache_is_there
            or time.monotonic() > deadline
        ):
            return found
        time.sleep(LOOK_EVERY_S)


class ResponseCache:
    """The answers of one process, and its way to those that all share."""

    def __init__(self) -> None:
        self.tally = CacheTally()
        self._memory = Memory()
        self._flights: dict[Hashable, Future[CachedResponse]] = {}
        self._lock = threading.Lock()

    def get(
        self, kind: CacheKind, text: str, label: str, build: Callable[[], Document]
    ) -> tuple[Document, bool]:
        """The answer to a question, and whether it may be out of date as Postgres is away.

        Args:
            label: The state of the data that it must have been made from.
            build: Makes it. What it raises passes through, to all who wait for it.
        """
        question = _Question(kind, text, label, build)
        remembered = self._memory.get(kind, text)
        if remembered and self._holds(remembered, question):
            self.tally.count(kind.name, "memory")
            return remembered.entry.document, False
        found = _look(question)
        known = [e for e in (remembered and remembered.entry, found.entry) if e]
        standing = [e for e in known if e.is_of(label, found.token)]
        if young := next((e for e in standing if e.is_young(kind)), None):
            self._memory.put(kind, young, found.looked_at)
            self.tally.count(kind.name, "cache")
            return young.document, False
        try:
            return self._make(question, found, standing[0] if standing else None).document, False
        except DATABASE_AWAY:
            if not known:
                raise
            self.tally.count(kind.name, "last_known")
            return max(known, key=lambda e: e.made_at).document, True

    def last_known(self, kind: CacheKind, text: str) -> Document | None:
        """The answer as it was, whatever has changed since: for when Postgres is away."""
        remembered = self._memory.get(kind, text)
        entry = (
            remembered.entry
            if remembered
            else CachedResponse.unpack(shared().get(kind.place(text)), text)
        )
        if entry is None:
            return None
        self.tally.count(kind.name, "last_known")
        return entry.document

    def revoke(self, kind: CacheKind, *texts: str) -> bool:
        """Have these answers made anew, in every process; False if the cache could not be told."""
        for text in texts:
            self._memory.drop(kind, text)
        tokens: dict[str, object] = {kind.token(text): uuid4().hex for text in texts}
        # A token outlives what was made before it.
        return not shared().set_many(tokens, kind.kept_s + GRACE_S)

    def forget(self) -> None:
        """Begin anew, as a process does that has just started."""
        self._memory.clear()
        self.tally = CacheTally()

    @staticmethod
    def _holds(remembered: Remembered, question: _Question) -> bool:
        kind, entry = question.kind, remembered.entry
        return (
            entry.label == question.label
            and entry.is_young(kind)
            and (
                not kind.is_revocable
                or remembered.was_checked(within_s=settings.CATALOGUE_CHECK_INTERVAL_S)
            )
        )

    # --- making one

    def _make(
        self, question: _Question, found: _Look, old: CachedResponse | None
    ) -> CachedResponse:
        """The answer, made by this request or by the one that is at it already.

        Args:
            old: Of the same data, but beyond its lifetime: good enough while another is at it.
        """
        # With the token: who has seen that it was revoked does not wait for what was begun before.
        key = (question.kind.name, question.text, question.label, found.token)
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if not leads:
            return self._of_another(question, flight, found, old)
        try:
            entry = self._lead(question, found, old)
        except Exception as error:
            flight.set_exception(error)
            raise
        else:
            flight.set_result(entry)
            return entry
        finally:
            with self._lock:
                del self._flights[key]

    def _of_another(
        self,
        question: _Question,
        flight: Future[CachedResponse],
        found: _Look,
        old: CachedResponse | None,
    ) -> CachedResponse:
        """What another thread is making, or the old one."""
        if old is not None:
            self.tally.count(question.kind.name, "stale")
            return old
        try:
            entry = flight.result(timeout=question.kind.patience_s)
        except TimeoutError:
            return self._build(question, found)
        self.tally.count(question.kind.name, "waited")
        return entry

    def _lead(
        self, question: _Question, found: _Look, old: CachedResponse | None
    ) -> CachedResponse:
        """Be the one of this process; of all processes one makes it."""
        remembered = self._memory.get(question.kind, question.text)
        if remembered and found.is_answered_by(remembered.entry, question):
            self.tally.count(question.kind.name, "waited")  # for a thread that has just ended
            return remembered.entry
        if not found.cache_is_there:
            return self._build(question, found)
        if not shared().add(question.claim, 1, CLAIM_S):
            if old is not None:
                self.tally.count(question.kind.name, "stale")
                return old
            return self._take_over_or_build(question, _wait(question))
        try:
            # Another process may have been done in between.
            return self._take_over_or_build(question, _look(question))
        finally:
            shared().delete(question.claim)

    def _take_over_or_build(self, question: _Question, found: _Look) -> CachedResponse:
        if entry := found.answer_to(question):
            self._memory.put(question.kind, entry, found.looked_at)
            self.tally.count(question.kind.name, "waited")
            return entry
        return self._build(question, found)

    def _build(self, question: _Question, found: _Look) -> CachedResponse:
        """Make the answer. The look, and with it the token, must be older than what it reads."""
        kind, made_at = question.kind, time.time()
        document = question.build()
        entry = CachedResponse(question.text, question.label, found.token, made_at, document)
        self.tally.count(kind.name, "made")
        if entry.size_bytes <= MAX_BYTES:
            self._memory.put(kind, entry, found.looked_at)
            if found.cache_is_there:
                shared().set(kind.place(question.text), entry.pack(), kind.kept_s)
        return entry


#: Those of this process.
responses = ResponseCache()


T = TypeVar("T")


class PolledValue(Generic[T]):
    """A value that the first request after `interval_s` brings up to date.

    The other requests go on with what is there meanwhile; only the very first value is waited
    for. No thread runs in the background, so a process that nobody asks does nothing.

    Args:
        renew: From the old value, or None, to the one that holds now; it may be the same.
        interval_s: How old the last look may be.
    """

    def __init__(self, renew: Callable[[T | None], T], interval_s: Callable[[], float]) -> None:
        self._renew = renew
        self._interval_s = interval_s
        self._value: T | None = None
        self._looked_at = 0.0
        self._looking = threading.Lock()
        self._counting = threading.Lock()
        self._changes = self._changes_seen = 0

    def get(self) -> T:
        """The value. Whatever `renew` raises passes through."""
        value = self._value
        if value is None or self._changes_seen != self._changes:
            with self._looking:
                if self._value is None or self._changes_seen != self._changes:
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

    def expire(self) -> None:
        """Let whoever asks next look, and wait for it: this process has just changed something.

        A look that is under way may have begun before the change, and does not count.
        """
        with self._counting:
            self._changes += 1

    def forget(self) -> None:
        """Begin anew, as a process does that has just started."""
        self._value = None

    def _look(self) -> T:
        """Renew the value. A failed or slow look counts too, or each request would wait for one."""
        changes = self._changes
        try:
            self._value = value = self._renew(self._value)
        finally:
            self._looked_at = time.monotonic()
            self._changes_seen = changes
        return value
