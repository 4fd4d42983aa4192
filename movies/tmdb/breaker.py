"""Leaves TMDb alone when it fails again and again, in all processes at once.

Closed: calls go through, and failures without a success between them are counted. Open: nobody
calls for `PAUSE_S`. Half open: one call goes through as a probe; its success closes, its failure
opens again. The state is a handful of keys in Valkey that end by themselves; while Valkey is
away, each process has its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from movies.tmdb import valkey
from movies.tmdb.errors import TmdbBusy

FAILURES = 5
#: Failures further apart are not a row.
WITHIN_S = 60
PAUSE_S = 30
#: How long the others wait for the probe before one of them becomes the next.
PROBE_S = 30
#: Nobody asked for so long since it opened: begin anew.
FORGOTTEN_AFTER_S = 600

COUNT, PAUSED, TRIPPED, PROBE = map(valkey.key, ("failures", "paused", "tripped", "probe"))


@dataclass
class LocalKeys:
    """Keys that end by themselves, as in Valkey, in this process alone."""

    clock: Callable[[], float] = time.monotonic
    _keys: dict[str, tuple[int, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def left(self, key: str) -> float:
        """The seconds that it still lasts; 0 if it is not there."""
        _, ends = self._keys.get(key, (0, 0.0))
        return max(0.0, ends - self.clock())

    def put(self, key: str, seconds: float, value: int = 1) -> None:
        self._keys[key] = value, self.clock() + seconds

    def claim(self, key: str, seconds: float) -> bool:
        """Put it if it is not there."""
        with self._lock:
            if self.left(key):
                return False
            self.put(key, seconds)
            return True

    def count(self, key: str, seconds: float) -> int:
        """One more, from 1."""
        with self._lock:
            value, _ = self._keys.get(key, (0, 0.0)) if self.left(key) else (0, 0.0)
            self.put(key, seconds, value + 1)
            return value + 1

    def drop(self, *keys: str) -> None:
        for key in keys:
            self._keys.pop(key, None)


@dataclass
class SharedKeys:
    """The same in Valkey, and in `local` while it is away."""

    local: LocalKeys = field(default_factory=LocalKeys)

    def left(self, key: str) -> float:
        return valkey.ask(
            lambda server: max(0, int(server.pttl(key))) / 1000,
            otherwise=lambda: self.local.left(key),
        )

    def put(self, key: str, seconds: float) -> None:
        valkey.ask(
            lambda server: server.set(key, 1, px=round(seconds * 1000)),
            otherwise=lambda: self.local.put(key, seconds),
        )

    def claim(self, key: str, seconds: float) -> bool:
        return valkey.ask(
            lambda server: bool(server.set(key, 1, px=round(seconds * 1000), nx=True)),
            otherwise=lambda: self.local.claim(key, seconds),
        )

    def count(self, key: str, seconds: float) -> int:
        def in_valkey(server: valkey.Server) -> int:
            with server.pipeline() as together:
                together.incr(key).pexpire(key, round(seconds * 1000))
                return int(together.execute()[0])

        return valkey.ask(in_valkey, otherwise=lambda: self.local.count(key, seconds))

    def drop(self, *keys: str) -> None:
        self.local.drop(*keys)
        valkey.ask(lambda server: server.delete(*keys), otherwise=lambda: None)


@dataclass
class Breaker:
    keys: LocalKeys | SharedKeys = field(default_factory=SharedKeys)

    def check(self) -> None:
        """Let the caller through.

        Raises:
            TmdbBusy: TMDb is to be left alone for now.
        """
        if (left_s := self.keys.left(PAUSED)) > 0:
            raise TmdbBusy("failed several times and is left alone", retry_after_s=left_s)
        if self.keys.left(TRIPPED) and not self.keys.claim(PROBE, PROBE_S):
            raise TmdbBusy(
                "failed several times and is being tried again",
                retry_after_s=self.keys.left(PROBE),
            )

    def succeeded(self) -> None:
        self.keys.drop(COUNT, PAUSED, TRIPPED, PROBE)

    def failed(self) -> None:
        is_probe = self.keys.left(TRIPPED) > 0
        if is_probe or self.keys.count(COUNT, WITHIN_S) >= FAILURES:
            self.keys.put(PAUSED, PAUSE_S)
            self.keys.put(TRIPPED, FORGOTTEN_AFTER_S)
            self.keys.drop(COUNT, PROBE)
