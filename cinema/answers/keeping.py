"""Answers from memory, from the cache, or made: by one request, while the others wait or go on.

Nothing is ever looked for and deleted. An entry counts while its label is that of the data as
they stand; and an answer that was made from older data carries an older label, whichever process
writes it, and whenever.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from uuid import uuid4

from django.conf import settings
from django.db import InterfaceError, OperationalError

from cinema.answers.kinds import GRACE_S, MAX_BYTES, Entry, Kind
from cinema.answers.memory import Memory, Remembered
from cinema.answers.tally import Tally
from cinema.cache import shared
from cinema.http import Document

#: How often it looks whether another process is done.
LOOK_EVERY_S = 0.02
#: After so long another process may begin: the one that began has died. Longer than any patience.
CLAIM_S = 15
#: A cache that takes longer for one look is left alone for the rest of the request.
SLOW_S = 0.25

DATABASE_AWAY = (OperationalError, InterfaceError)


@dataclass(frozen=True)
class _Question:
    kind: Kind
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

    entry: Entry | None
    token: str | None
    is_being_made: bool
    looked_at: float
    cache_is_there: bool

    def is_answered_by(self, entry: Entry, question: _Question) -> bool:
        return entry.is_of(question.label, self.token) and entry.is_young(question.kind)

    def answer_to(self, question: _Question) -> Entry | None:
        entry = self.entry
        return entry if entry and self.is_answered_by(entry, question) else None


def _look(question: _Question) -> _Look:
    kind, started_at = question.kind, time.monotonic()
    place, token = kind.place(question.text), kind.token(question.text)
    keys = [place, question.claim, *([token] if kind.is_revocable else [])]
    answered = shared().find(keys)
    found = answered or {}
    return _Look(
        Entry.unpack(found.get(place), question.text),
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


class Answers:
    """The answers of one process, and its way to those that all share."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._memory = Memory()
        self._flights: dict[Hashable, Future[Entry]] = {}
        self._lock = threading.Lock()

    def get(
        self, kind: Kind, text: str, label: str, build: Callable[[], Document]
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

    def last_known(self, kind: Kind, text: str) -> Document | None:
        """The answer as it was, whatever has changed since: for when Postgres is away."""
        remembered = self._memory.get(kind, text)
        entry = (
            remembered.entry if remembered else Entry.unpack(shared().get(kind.place(text)), text)
        )
        if entry is None:
            return None
        self.tally.count(kind.name, "last_known")
        return entry.document

    def revoke(self, kind: Kind, *texts: str) -> bool:
        """Have these answers made anew, in every process; False if the cache could not be told."""
        for text in texts:
            self._memory.drop(kind, text)
        tokens: dict[str, object] = {kind.token(text): uuid4().hex for text in texts}
        # A token outlives what was made before it.
        return not shared().set_many(tokens, kind.kept_s + GRACE_S)

    def forget(self) -> None:
        """Begin anew, as a process does that has just started."""
        self._memory.clear()
        self.tally = Tally()

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

    def _make(self, question: _Question, found: _Look, old: Entry | None) -> Entry:
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
        self, question: _Question, flight: Future[Entry], found: _Look, old: Entry | None
    ) -> Entry:
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

    def _lead(self, question: _Question, found: _Look, old: Entry | None) -> Entry:
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

    def _take_over_or_build(self, question: _Question, found: _Look) -> Entry:
        if entry := found.answer_to(question):
            self._memory.put(question.kind, entry, found.looked_at)
            self.tally.count(question.kind.name, "waited")
            return entry
        return self._build(question, found)

    def _build(self, question: _Question, found: _Look) -> Entry:
        """Make the answer. The look, and with it the token, must be older than what it reads."""
        kind, made_at = question.kind, time.time()
        document = question.build()
        entry = Entry(question.text, question.label, found.token, made_at, document)
        self.tally.count(kind.name, "made")
        if entry.size_bytes <= MAX_BYTES:
            self._memory.put(kind, entry, found.looked_at)
            if found.cache_is_there:
                shared().set(kind.place(question.text), entry.pack(), kind.kept_s)
        return entry


#: Those of this process.
answers = Answers()
