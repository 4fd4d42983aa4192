"""How often something may be done, and what is left of it in a moving window.

The window moves by two fixed ones: of what was counted in the last whole period, as much counts
as still lies within a period from now. Two numbers hold it, whatever the limit; a list of every
moment would be exact to the second, and as long as the limit is high.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from django.conf import settings

from cinema.cache import shared

#: What floating point numbers may be off by.
ROUNDING = 1e-6

_PERIODS_S = {"s": 1, "min": 60, "h": 3600, "day": 86400}


@dataclass(frozen=True)
class Rate:
    """At most so many in any so many seconds."""

    limit: int
    period_s: int

    def period_at(self, now: float) -> int:
        """The number of the period that `now` lies in, the same in every process."""
        return int(now // self.period_s)

    def wait_s(self, now: float, current: int, previous: int) -> float:
        """The seconds until one more fits: zero if it does now.

        Args:
            now: Seconds since 1970.
            current, previous: What was counted in this period, and in the one before.
        """
        elapsed = now % self.period_s
        free = self.limit - 1 - current
        if previous * (1 - elapsed / self.period_s) <= free + ROUNDING:
            return 0.0
        if free >= 0:
            return self.period_s * (1 - free / previous) - elapsed
        # Not within this period. In the next one, all that is in this is the previous.
        return self.period_s * (2 - (self.limit - 1) / current) - elapsed


def rate(text: str) -> Rate | None:
    """`30/min` as a rate, `off` as none."""
    if text.lower() == "off":
        return None
    limit, slash, period = text.partition("/")
    if not slash or period not in _PERIODS_S or not limit.isdecimal() or int(limit) < 1:
        raise ValueError(f"expected something like 30/min, of {', '.join(_PERIODS_S)}, or off")
    return Rate(int(limit), _PERIODS_S[period])


def whole_seconds(wait_s: float) -> int:
    """For `Retry-After`: never too early, and never now."""
    return max(1, math.ceil(wait_s - ROUNDING))


def hidden_name(kind: str, *who: str) -> str:
    """The key of a counter: a keyed hash, as addresses are few enough to try all.

    Args:
        who: An address, an account, or both.
    """
    key = hashlib.blake2b(settings.SECRET_KEY.encode(), person=b"cinema throttle").digest()
    told = hashlib.blake2b("\0".join(who).encode("utf-8", "replace"), key=key, digest_size=16)
    # The braces keep all of a counter on one server of a cluster.
    return shared().make_and_validate_key(f"throttling:{kind}:{{{told.hexdigest()}}}")


#: Of redis-py, whose annotations leave open whether an answer has to be awaited.
Server: TypeAlias = Any
#: How many of a name in the current period, and in the one before.
Count: TypeAlias = tuple[int, int]

#: Names that a process remembers: about 4 MB of them.
COUNTS_CAPACITY = 20_000


@dataclass
class LocalCounts:
    """The counters of this process. Beyond the capacity the one idle for longest is forgotten."""

    capacity: int = COUNTS_CAPACITY
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


local_counts = LocalCounts()


def take_exactly(rate: Rate, names: Sequence[str]) -> float:
    """Count one under each of the names, if all have room; else the seconds until they have.

    Each adds first and looks then, so of any number at once exactly the limit gets through.
    """
    now = time.time()
    counts = add_to_counters(rate, names, 1, now) or local_counts.add(_periods(rate, names, now), 1)
    wait_s = max(rate.wait_s(now, current - 1, previous) for current, previous in counts)
    # Or whoever goes on asking would never be let in again.
    if wait_s > 0 and add_to_counters(rate, names, -1, now) is None:
        local_counts.add(_periods(rate, names, now), -1)
    return wait_s


def add_to_counters(
    rate: Rate, names: Sequence[str], amount: int, now: float
) -> list[Count] | None:
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


#: A low limit is reported more often: never less than sixteen times until it is reached.
BATCH = 16
#: Callers that a process remembers: about 7 MB of them.
CAPACITY = 20_000


@dataclass
class _Caller:
    """What was counted of one.

    Attributes:
        period: Of the count, which begins anew with the next one.
        counted: In this period, with what other processes have told.
        unreported: How much of it they have not been told.
        previous: In the period before.
    """

    period: int
    counted: int = 0
    unreported: int = 0
    previous: int = 0

    def move_to(self, period: int) -> None:
        if period != self.period:
            self.previous = self.counted if period == self.period + 1 else 0
            self.period, self.counted, self.unreported = period, 0, 0


@dataclass
class RequestCounters:
    """The counts of one process. Beyond the capacity who was idle for longest is forgotten."""

    capacity: int = CAPACITY
    _callers: OrderedDict[tuple[str, str], _Caller] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_s(self, rate: Rate, kind: str, who: str) -> float:
        """The seconds until one more request is within the limit, and zero if it is now."""
        now = time.time()
        with self._lock:
            if (caller := self._callers.get((kind, who))) is None:
                return 0.0
            caller.move_to(rate.period_at(now))
            return rate.wait_s(now, caller.counted, caller.previous)

    def take(self, rate: Rate, kind: str, who: str) -> float:
        """Count a request that is within the limit; else the seconds until one is."""
        now = time.time()
        with self._lock:
            caller = self._caller(kind, who, rate.period_at(now))
            if (wait_s := rate.wait_s(now, caller.counted, caller.previous)) > 0:
                return wait_s
            caller.counted += 1
            caller.unreported += 1
            if caller.unreported < min(BATCH, max(1, rate.limit // 16)):
                return 0.0
            amount, caller.unreported = caller.unreported, 0
        # Without the lock: the others go on counting while the cache is asked.
        self._report(rate, caller, hidden_name(kind, who), amount, now)
        return 0.0

    def _caller(self, kind: str, who: str, period: int) -> _Caller:
        caller = self._callers.pop((kind, who), None) or _Caller(period)
        caller.move_to(period)
        self._callers[kind, who] = caller
        if len(self._callers) > self.capacity:
            self._callers.popitem(last=False)
        return caller

    def _report(self, rate: Rate, caller: _Caller, name: str, amount: int, now: float) -> None:
        counts = add_to_counters(rate, [name], amount, now)
        if counts is None:
            return  # each process for itself
        [(current, previous)] = counts
        with self._lock:
            if caller.period == rate.period_at(now):
                caller.counted = max(caller.counted, current + caller.unreported)
                caller.previous = max(caller.previous, previous)

    def forget(self) -> None:
        self._callers.clear()


request_counters = RequestCounters()
