"""Sliding-window counters: in Valkey for all processes together, in memory while Valkey is away.

Two fixed windows approximate the sliding one: of the count of the last whole period, that share
counts which still lies within one period from now. Two numbers are enough, whatever the limit.

`limits` 5.8 was measured and not taken (2026-11-29): it asks Valkey for each request, its
`Retry-After` is not the moment at which a caller is let in, it counts address and account apart, so
that a refusal by one uses up the other, and its memory storage grows with the number of addresses.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from cinema.cache import shared

#: Floating point numbers may be off by this.
ROUNDING = 1e-6
#: The largest `Rate.batch`.
BATCH = 16
#: Names in the memory of a process, about 7 MB.
CAPACITY = 20_000

_PERIODS_S = {"s": 1, "min": 60, "h": 3600, "day": 86400}


@dataclass(frozen=True)
class Rate:
    """At most `limit` requests in any `period_s` seconds."""

    limit: int
    period_s: int

    @property
    def batch(self) -> int:
        """Requests of one caller that a process counts before it reports them to the others.

        A low limit is reported at least sixteen times until it is reached.
        """
        return min(BATCH, max(1, self.limit // 16))

    def period_at(self, now: float) -> int:
        """The number of the period that `now` lies in, the same in every process."""
        return int(now // self.period_s)

    def wait_s(self, now: float, current: int, previous: int) -> float:
        """The seconds until one more request fits; zero if it fits now.

        Args:
            now: Seconds since 1970.
            current, previous: The counts of this period and of the one before.
        """
        elapsed = now % self.period_s
        free = self.limit - 1 - current
        if previous * (1 - elapsed / self.period_s) <= free + ROUNDING:
            return 0.0
        if free >= 0:
            return self.period_s * (1 - free / previous) - elapsed
        # The request does not fit within this period. In the next one, this period is the previous.
        return self.period_s * (2 - (self.limit - 1) / current) - elapsed


def rate(text: str) -> Rate | None:
    """Read `30/min` as a rate and `off` as none."""
    if text.lower() == "off":
        return None
    limit, slash, period = text.partition("/")
    if not slash or period not in _PERIODS_S or not limit.isdecimal() or int(limit) < 1:
        raise ValueError(f"expected something like 30/min, of {', '.join(_PERIODS_S)}, or off")
    return Rate(int(limit), _PERIODS_S[period])


def whole_seconds(wait_s: float) -> int:
    """Round up for `Retry-After`, to at least one second."""
    return max(1, math.ceil(wait_s - ROUNDING))


def hidden_name(kind: str, *parts: str) -> str:
    """A counter's key in Valkey: a keyed hash, because addresses are few enough to try all."""
    key = hashlib.blake2b(settings.SECRET_KEY.encode(), person=b"cinema throttle").digest()
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), key=key, digest_size=16)
    # The braces keep the counters of one name on one server of a cluster.
    return shared().make_and_validate_key(f"throttling:{kind}:{{{digest.hexdigest()}}}")


def take(rate: Rate, names: Sequence[str]) -> float:
    """Count one request under each name if all have room; else the seconds until they have.

    All processes share the counts. Each adds before it looks, so that of any number of requests at
    once exactly the limit gets through.
    """
    now = time.time()
    if (counts := _add(rate, names, 1, now)) is None:
        return while_away.take(rate, names)
    wait_s = max(rate.wait_s(now, current - 1, previous) for current, previous in counts)
    if wait_s > 0:  # A refused request does not count, or a caller who goes on would never get in.
        _add(rate, names, -1, now)
    return wait_s


def _add(rate: Rate, names: Sequence[str], amount: int, now: float) -> list[tuple[int, int]] | None:
    """Add to the shared counters, in one round trip.

    Returns:
        The counts of this period and of the one before, by name; None while Valkey is away.
    """
    period = rate.period_at(now)

    def run(server: Any) -> list[tuple[int, int]]:  # redis-py's annotations mix sync and async
        pipeline = server.pipeline(transaction=False)
        for name in names:
            pipeline.incrby(f"{name}:{period}", amount)
            pipeline.expire(f"{name}:{period}", 2 * rate.period_s)
            pipeline.get(f"{name}:{period - 1}")
        results = pipeline.execute()
        return [
            (current, int(previous or 0))
            for current, previous in zip(results[::3], results[2::3], strict=True)
        ]

    return shared().ask(run)


@dataclass
class _Window:
    """The counts of one name.

    Attributes:
        period: The number of the current period.
        current: Requests in it, with those that other processes have reported.
        unreported: How many of them the other processes do not know of.
        previous: Requests in the period before.
    """

    period: int
    current: int = 0
    unreported: int = 0
    previous: int = 0

    def move_to(self, period: int) -> None:
        if period != self.period:
            self.previous = self.current if period == self.period + 1 else 0
            self.period, self.current, self.unreported = period, 0, 0


class LocalCounters:
    """The windows of one process. Beyond its capacity it forgets the name idle for longest."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._windows: OrderedDict[str, _Window] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, rate: Rate, kind: str, caller: str) -> float:
        """The seconds until a request would be let in; it is not counted."""
        now = time.time()
        with self._lock:
            if (window := self._windows.get(f"{kind}:{caller}")) is None:
                return 0.0
            window.move_to(rate.period_at(now))
            return rate.wait_s(now, window.current, window.previous)

    def take(self, rate: Rate, names: Sequence[str]) -> float:
        """Count one request under each name if all have room; else the seconds until they have."""
        now = time.time()
        with self._lock:
            windows = [self._window(name, rate.period_at(now)) for name in names]
            wait_s = max(rate.wait_s(now, each.current, each.previous) for each in windows)
            if wait_s <= 0:
                for window in windows:
                    window.current += 1
        return wait_s

    def take_in_batches(self, rate: Rate, kind: str, caller: str) -> float:
        """`take`, shared with the other processes at next to no cost.

        A round trip for each request would cost as much as a cached response. So each process
        reports every `BATCH` requests of a caller, and learns the count of all processes. `P`
        processes let at most `P * BATCH` requests too many through.
        """
        now = time.time()
        with self._lock:
            window = self._window(f"{kind}:{caller}", rate.period_at(now))
            if (wait_s := rate.wait_s(now, window.current, window.previous)) > 0:
                return wait_s
            window.current += 1
            window.unreported += 1
            if window.unreported < rate.batch:
                return 0.0
            amount, window.unreported = window.unreported, 0
        # The lock is free here: other threads count on while Valkey is asked.
        if counts := _add(rate, [hidden_name(kind, caller)], amount, now):
            [(current, previous)] = counts
            with self._lock:
                if window.period == rate.period_at(now):
                    window.current = max(window.current, current + window.unreported)
                    window.previous = max(window.previous, previous)
        return 0.0

    def take_alone(self, rate: Rate, kind: str, caller: str) -> bool:
        """Count one request if there is room and no report is due; whether it was counted."""
        now = time.time()
        with self._lock:
            window = self._window(f"{kind}:{caller}", rate.period_at(now))
            if window.unreported + 1 >= rate.batch or rate.wait_s(
                now, window.current, window.previous
            ):
                return False
            window.current += 1
            window.unreported += 1
            return True

    def _window(self, name: str, period: int) -> _Window:
        window = self._windows.pop(name, None) or _Window(period)
        window.move_to(period)
        self._windows[name] = window
        if len(self._windows) > self._capacity:
            self._windows.popitem(last=False)
        return window

    def clear(self) -> None:
        self._windows.clear()


#: Every request, by address or account.
requests = LocalCounters()
#: Requests with a limit of their own, counted here while Valkey is away.
while_away = LocalCounters()
