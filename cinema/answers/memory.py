"""The answers that a process keeps by itself."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field

from django.conf import settings

from cinema.answers.kinds import Entry, Kind


def limit_bytes() -> int:
    """Half of CACHE_SIZE. `movies.catalogue` has the other half for documents of the programme."""
    return int(settings.CACHE_SIZE * 1024 * 1024) // 2


@dataclass(frozen=True)
class Remembered:
    """An entry, and when it was last held against the cache (monotonic seconds)."""

    entry: Entry
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

    def get(self, kind: Kind, question: str) -> Remembered | None:
        with self._lock:
            entries = self._shelves[kind.name].entries
            found = entries.get(question)
            if found:
                entries.move_to_end(question)
            return found

    def put(self, kind: Kind, entry: Entry, checked_at: float) -> None:
        with self._lock:
            shelf = self._shelves[kind.name]
            self._drop(shelf, entry.question)
            shelf.entries[entry.question] = Remembered(entry, checked_at)
            shelf.size_bytes += entry.size_bytes
            self._shrink()

    def drop(self, kind: Kind, question: str) -> None:
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
