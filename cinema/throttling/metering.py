"""Every request, counted at next to no cost: in memory, and told to all processes in batches.

A round trip for each request would cost as much as an answer that is kept. So each process counts
for itself and reports every `BATCH` requests of a caller, and learns then what all have counted.
By `P` processes a limit may be passed by `P * BATCH` requests, and by no more.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from cinema.throttling import counting
from cinema.throttling.names import hidden_name
from cinema.throttling.rates import Rate

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
class Meter:
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
        counts = counting.add(rate, [name], amount, now)
        if counts is None:
            return  # each process for itself
        [(current, previous)] = counts
        with self._lock:
            if caller.period == rate.period_at(now):
                caller.counted = max(caller.counted, current + caller.unreported)
                caller.previous = max(caller.previous, previous)

    def forget(self) -> None:
        self._callers.clear()


meter = Meter()
