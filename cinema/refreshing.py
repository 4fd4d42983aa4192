"""Values that a process keeps in memory and that follow the database within a moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Refreshing(Generic[T]):
    """A value that the first request after `interval_s` brings up to date.

    The other requests go on with what is there meanwhile; only the very first value is waited
    for. No thread runs in the background, so a process that nobody asks does nothing.

    Args:
        renew: From the old value, or None, to the one that holds now; it may be the same.
        interval_s: How old the last look may be.
    """

    def __init__(self, renew: Callable[[T | None], T], interval_s: Callable[[], float]) -> None:
        self._renew = renew
        self._interval_s = interval_s
        self._value: T | None = None
        self._looked_at = 0.0
        self._looking = threading.Lock()
        self._counting = threading.Lock()
        self._changes = self._changes_seen = 0

    def get(self) -> T:
        """The value. Whatever `renew` raises passes through."""
        value = self._value
        if value is None or self._changes_seen != self._changes:
            with self._looking:
                if self._value is None or self._changes_seen != self._changes:
                    return self._look()
                return self._value
        if time.monotonic() - self._looked_at < self._interval_s():
            return value
        if not self._looking.acquire(blocking=False):
            return value
        try:
            return self._look()
        finally:
            self._looking.release()

    def expire(self) -> None:
        """Let whoever asks next look, and wait for it: this process has just changed something.

        A look that is under way may have begun before the change, and does not count.
        """
        with self._counting:
            self._changes += 1

    def forget(self) -> None:
        """Begin anew, as a process does that has just started."""
        self._value = None

    def _look(self) -> T:
        """Renew the value. A failed or slow look counts too, or each request would wait for one."""
        changes = self._changes
        try:
            self._value = value = self._renew(self._value)
        finally:
            self._looked_at = time.monotonic()
            self._changes_seen = changes
        return value
