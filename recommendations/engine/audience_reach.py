"""Whom a programme of films reaches, by what models say to each member."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recommendations.engine.matrices import Scores

Counts = NDArray[np.int64]
Places = NDArray[np.integer]


def top_share(scores: Scores, share: float) -> NDArray[np.bool_]:
    """Which items are among the best `share` of those that there is an opinion on, rounded up.

    Where others are as good as the last of them, all of these are left out: what a model cannot
    tell apart is not what it recommends.

    Args:
        scores: (n_items,) NaN for no opinion.
    """
    known = scores[~np.isnan(scores)]
    places = math.ceil(len(known) * share)
    if places >= len(known):
        return ~np.isnan(scores)
    best_of_the_rest = np.partition(known, len(known) - places - 1)[len(known) - places - 1]
    found: NDArray[np.bool_] = scores > best_of_the_rest
    return found


@dataclass(eq=False)
class AudienceCounts:
    """Of the members who were asked about the films of a catalogue.

    Attributes:
        showing: (n_films,) what is in the programme.
        share: Of a member's catalogue, the best of which suits.
        asked, known, reached: Members: all, those of whom the models know something, and those to
            whom a film that is showing suits.
        suited: (n_films,) members to whom each suits.
        had: (n_films,) members who have had it.
        added: (n_films,) those to whom it suits while nothing that is showing does.
    """

    showing: NDArray[np.bool_]
    share: float
    asked: int = 0
    known: int = 0
    reached: int = 0
    suited: Counts = field(init=False)
    had: Counts = field(init=False)
    added: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.suited, self.had, self.added = np.zeros((3, len(self.showing)), dtype=np.int64)

    def ask(self, scores: Scores, *, past: Places, had: Places) -> None:
        """Count a member in.

        Args:
            scores: (n_films,) NaN for no opinion. Overwritten.
            past: Films that the member is not to be asked about.
            had: Those of them that the member has had; none twice.
        """
        self.asked += 1
        self.had[had] += 1
        if np.isnan(scores).all():
            return
        self.known += 1
        scores[past] = np.nan
        suits = top_share(scores, self.share)
        self.suited += suits
        if (suits & self.showing).any():
            self.reached += 1
        else:
            self.added += suits


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
