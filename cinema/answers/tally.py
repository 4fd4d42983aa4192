"""How often answers were there and how often they had to be made: by day, of all processes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Literal, cast, get_args

from django.utils import timezone

from cinema.cache import shared

#: What came of a question. A hit was in this process's memory or in the cache; or it is old, and
#: another request is at it, or Postgres away. For a miss one request makes it, and others wait.
#: Fresh is what signed-in callers get, always from Postgres.
Outcome = Literal["memory", "cache", "stale", "last_known", "waited", "made", "fresh"]
HITS: Sequence[Outcome] = ("memory", "cache", "stale", "last_known")
MISSES: Sequence[Outcome] = ("waited", "made")
OUTCOMES: Sequence[Outcome] = get_args(Outcome)

DAYS_KEPT = 8
#: So seldom that counting costs next to nothing. A process that is killed takes these along.
FLUSH_EVERY_S = 10.0


class Tally:
    """Counts in memory, and now and then adds up in the cache what has come together."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._flushed_at = time.monotonic()

    def count(self, kind: str, outcome: Outcome) -> None:
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

    def totals(self, days: int) -> tuple[Counter[tuple[str, Outcome]], bool]:
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


def _split(name: str) -> tuple[str, Outcome]:
    kind, _, outcome = name.partition(":")
    return kind, cast("Outcome", outcome)
