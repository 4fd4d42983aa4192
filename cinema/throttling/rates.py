"""How often something may be done, and what is left of it in a moving window.

The window moves by two fixed ones: of what was counted in the last whole period, as much counts
as still lies within a period from now. Two numbers hold it, whatever the limit; a list of every
moment would be exact to the second, and as long as the limit is high.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
