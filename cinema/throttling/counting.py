"""What is counted by all processes together; by this one alone while the cache is away."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cinema.cache import shared
from cinema.throttling.rates import Rate

#: Of redis-py, whose annotations leave open whether an answer has to be awaited.
Server: TypeAlias = Any
#: How many of a name in the current period, and in the one before.
Count: TypeAlias = tuple[int, int]

#: Names that a process remembers: about 4 MB of them.
CAPACITY = 20_000


@dataclass
class LocalCounts:
    """The counters of this process. Beyond the capacity the one idle for longest is forgotten."""

    capacity: int = CAPACITY
    _counts: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, names: Sequence[tuple[str, str]], amount: int) -> list[Count]:
        with self._lock:
            return [(self._add(now, amount), self._counts.get(before, 0)) for now, before in names]

    def _add(self, name: str, amount: int) -> int:
        self._counts[name] = found = self._counts.pop(name, 0) + amount
        if len(self._counts) > self.capacity:
            self._counts.popitem(last=False)
        return found

    def forget(self) -> None:
        self._counts.clear()


local = LocalCounts()


def take(rate: Rate, names: Sequence[str]) -> float:
    """Count one under each of the names, if all have room; else the seconds until they have.

    Each adds first and looks then, so of any number at once exactly the limit gets through.
    """
    now = time.time()
    counts = add(rate, names, 1, now) or local.add(_periods(rate, names, now), 1)
    wait_s = max(rate.wait_s(now, current - 1, previous) for current, previous in counts)
    # Or whoever goes on asking would never be let in again.
    if wait_s > 0 and add(rate, names, -1, now) is None:
        local.add(_periods(rate, names, now), -1)
    return wait_s


def add(rate: Rate, names: Sequence[str], amount: int, now: float) -> list[Count] | None:
    """Add to the counters of all processes, in one round trip; None while the cache is away."""
    periods = _periods(rate, names, now)

    def run(server: Server) -> list[Count]:
        pipeline = server.pipeline(transaction=False)
        for current, previous in periods:
            pipeline.incrby(current, amount)
            pipeline.expire(current, 2 * rate.period_s)
            pipeline.get(previous)
        answered = pipeline.execute()
        return [
            (int(current), int(previous or 0))
            for current, previous in zip(answered[::3], answered[2::3], strict=True)
        ]

    return shared().ask(run)


def _periods(rate: Rate, names: Sequence[str], now: float) -> list[tuple[str, str]]:
    """Of each name the keys of this period and of the one before."""
    period = rate.period_at(now)
    return [(f"{name}:{period}", f"{name}:{period - 1}") for name in names]
