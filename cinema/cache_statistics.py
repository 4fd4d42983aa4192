"""Counts of responses that were cached and of those that were built, by day, of all processes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import date, timedelta
from typing import Annotated, Literal, TypeAlias, get_args

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema

from cinema.auth import staff
from cinema.cache import shared
from cinema.errors import problems

#: The first four are hits: the response was in this process's memory or in Valkey, or it is old and
#: another request is building it, or Postgres is away. The next two are misses: one request builds
#: the response, others wait for it. `fresh` are signed-in callers, who always get it from Postgres.
CacheOutcome: TypeAlias = Literal[
    "memory", "cache", "stale", "last_known", "waited", "made", "fresh"
]
OUTCOMES: tuple[CacheOutcome, ...] = get_args(CacheOutcome)
HITS, MISSES = OUTCOMES[:4], OUTCOMES[4:6]

DAYS_KEPT = 8
#: Rare enough that counting costs next to nothing. A process that is killed loses these counts.
FLUSH_EVERY_S = 10.0


class CacheTally:
    """Counts in memory, and adds the counts to those in Valkey now and then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self._counts: Counter[str] = Counter()
        self._flushed_at = time.monotonic()

    def add(self, kind: str, outcome: CacheOutcome) -> None:
        """Count; a later `count` sends it to Valkey."""
        with self._lock:
            self._counts[f"{kind}:{outcome}"] += 1

    def count(self, kind: str, outcome: CacheOutcome) -> None:
        self.add(kind, outcome)
        with self._lock:
            is_due = time.monotonic() - self._flushed_at > FLUSH_EVERY_S
            if is_due:  # within the lock, so that one thread flushes
                self._flushed_at = time.monotonic()
        if is_due:
            self.flush()

    def flush(self) -> None:
        with self._lock:
            counts, self._counts = self._counts, Counter()
        lifetime_s = DAYS_KEPT * 86_400
        if counts and not shared().increase(_key(timezone.localdate()), counts, lifetime_s):
            with self._lock:  # Valkey is away
                self._counts += counts

    def totals(self, days: int) -> tuple[Counter[str], bool]:
        """Return the counts by "kind:outcome" of the last days, and whether Valkey was there."""
        self.flush()
        today = timezone.localdate()
        found = [shared().counters(_key(today - timedelta(days=n))) for n in range(days)]
        with self._lock:
            total = Counter(self._counts)
        for counters in found:
            total.update(counters or {})
        return total, None not in found


def _key(day: date) -> str:
    return f"answers:counts:{day.isoformat()}"


#: The counts of this process.
tally = CacheTally()


router = Router(tags=["Operations"])

Days = Annotated[int, Field(ge=1, le=DAYS_KEPT, description="So many, today being the first.")]


class AnswersOut(Schema):
    """Counts of one kind by origin. The first four are hits, the next two are misses."""

    kind: str = Field(examples=["trending"])
    memory: int = Field(description="Responses from the memory of the process.")
    cache: int = Field(description="Responses from Valkey.")
    stale: int = Field(description="Expired ones, while another request built a new one.")
    last_known: int = Field(description="Responses served while Postgres was unavailable.")
    waited: int = Field(description="Requests that waited for another one to build the response.")
    made: int = Field(description="Responses built from Postgres.")
    fresh: int = Field(description="Responses to signed-in callers, always built from Postgres.")
    hit_rate: float | None = Field(description="Hits as a share of all.", examples=[0.97])


class CacheStatisticsOut(Schema):
    days: int
    all_processes: bool = Field(description="False while Valkey is away: one process counts.")
    answers: list[AnswersOut]


@router.get(
    "/cache/statistics", auth=staff, response={200: CacheStatisticsOut, **problems(401, 403, 422)}
)
def get_cache_statistics(request: HttpRequest, days: Days = 1) -> CacheStatisticsOut:
    """Counts of cached responses, by kind and level. They are up to ten seconds old."""
    counts, all_processes = tally.totals(days)
    kinds = sorted({name.partition(":")[0] for name in counts})
    answers = [_counts_of(kind, counts) for kind in kinds]
    return CacheStatisticsOut(days=days, all_processes=all_processes, answers=answers)


def _counts_of(kind: str, counts: Counter[str]) -> AnswersOut:
    found: dict[str, int] = {outcome: counts[f"{kind}:{outcome}"] for outcome in OUTCOMES}
    hits, misses = (sum(found[outcome] for outcome in group) for group in (HITS, MISSES))
    rate = round(hits / (hits + misses), 4) if hits + misses else None
    return AnswersOut(kind=kind, **found, hit_rate=rate)
