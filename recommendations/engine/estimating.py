"""How many of all are so, from how many of a sample are."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Of the normal distribution, for 95 of 100 samples.
Z = 1.959964


@dataclass(frozen=True)
class Estimate:
    """Of all; between `low` and `high` it lies for 95 of 100 such samples."""

    count: int
    low: int
    high: int

    def taken_from(self, total: int) -> Estimate:
        """How many of the total are not."""
        return Estimate(total - self.count, total - self.high, total - self.low)


def estimate(found: int, *, asked: int, total: int) -> Estimate:
    """So many of those asked, who are a simple random sample of all.

    The score interval by Wilson (1927), doi:10.2307/2276774, for a finite population: the more of
    it is asked, the more the sample counts. Exact once all are asked.
    """
    if asked >= total:
        return Estimate(found, found, found)
    if not asked:
        return Estimate(0, 0, total)
    share, weight = found / asked, asked * (total - 1) / (total - asked)
    spread = Z * math.sqrt(share * (1 - share) / weight + Z**2 / (4 * weight**2))
    middle, scale = share + Z**2 / (2 * weight), 1 + Z**2 / weight
    low = math.floor(total * (middle - spread) / scale)
    high = math.ceil(total * (middle + spread) / scale)
    return Estimate(round(total * share), max(low, found), min(high, total - (asked - found)))
