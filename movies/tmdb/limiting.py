"""At most so many requests a second, over all processes.

Each request takes a slot: a moment at which it may go out. The last slots stand in Valkey, where
one script takes the next one; so nobody asks twice, and who came first goes first. In any second
there are at most `per_second` slots, not only on average.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from movies.tmdb import valkey
from movies.tmdb.errors import TmdbBusy

SLOTS, HOLD = map(valkey.key, ("slots", "hold"))

#: Times in microseconds, written out: Lua would round a number of that length.
TAKE_SLOT = """
local limit, longest_wait, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local slot = now + math.max(0, redis.call('PTTL', KEYS[2])) * 1000
local newest = redis.call('LINDEX', KEYS[1], -1)
if newest then slot = math.max(slot, tonumber(newest)) end
local earlier = redis.call('LINDEX', KEYS[1], -limit)
if earlier then slot = math.max(slot, tonumber(earlier) + 1000000) end
local wait = slot - now
if wait > longest_wait then return {0, wait} end
redis.call('RPUSH', KEYS[1], string.format('%.0f', slot))
redis.call('LTRIM', KEYS[1], -limit, -1)
redis.call('PEXPIRE', KEYS[1], math.ceil(wait / 1000) + 2000)
return {1, wait}
"""


@dataclass
class LocalSlots:
    """The same for this process alone."""

    per_second: int
    _slots: deque[float] = field(init=False)
    _held_until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._slots = deque(maxlen=self.per_second)

    def take(self, longest_wait_s: float, now: float) -> tuple[bool, float]:
        with self._lock:
            slot = max(now, self._held_until, self._slots[-1] if self._slots else 0.0)
            if len(self._slots) == self.per_second:
                slot = max(slot, self._slots[0] + 1)
            if taken := slot - now <= longest_wait_s:
                self._slots.append(slot)
            return taken, slot - now

    def hold(self, now: float, seconds: float) -> None:
        self._held_until = now + seconds


@dataclass
class Limiter:
    """Hands out slots.

    Args:
        per_second: By all processes together.
        processes: How many share them while Valkey is away and each counts for itself.
        clock: Seconds; by default that of the Valkey server, which all processes have in common.
    """

    per_second: int
    processes: int = 1
    clock: Callable[[], float] | None = None
    _local: LocalSlots = field(init=False)

    def __post_init__(self) -> None:
        self._local = LocalSlots(max(1, self.per_second // self.processes))

    def take_slot(self, longest_wait_s: float) -> float:
        """The seconds until the next free slot, which then belongs to the caller.

        Raises:
            TmdbBusy: It is further away than `longest_wait_s`; nothing was taken.
        """
        now = self.clock() if self.clock else None
        arguments = [
            str(self.per_second),
            f"{longest_wait_s * 1e6:.0f}",
            "" if now is None else f"{now * 1e6:.0f}",
        ]

        def from_valkey(server: valkey.Server) -> tuple[bool, float]:
            taken, wait = server.eval(TAKE_SLOT, 2, SLOTS, HOLD, *arguments)
            return bool(taken), wait / 1e6

        taken, wait_s = valkey.ask(
            from_valkey, otherwise=lambda: self._local.take(longest_wait_s, self._local_now())
        )
        if not taken:
            raise TmdbBusy("is asked too often", retry_after_s=wait_s)
        return wait_s

    def hold(self, seconds: float) -> None:
        """Hand out no slot of the next seconds: TMDb has asked for that."""
        self._local.hold(self._local_now(), seconds)
        milliseconds = max(1, round(seconds * 1000))
        valkey.ask(lambda server: server.set(HOLD, 1, px=milliseconds), otherwise=lambda: None)

    def _local_now(self) -> float:
        return self.clock() if self.clock else time.monotonic()
