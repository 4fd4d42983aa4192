"""The number of members that a programme reaches, estimated from a sample of their scores."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recommendations.engine.matrices import Scores

Counts = NDArray[np.int64]
Places = NDArray[np.integer]


def top_share(scores: Scores, share: float) -> NDArray[np.bool_]:
    """(n_items,) bool: the best `share` of the scored items, their number rounded up.

    If the last item of the share ties with items outside, all of these are left out: a model that
    cannot tell items apart recommends none of them.

    Args:
        scores: (n_items,) NaN for no opinion.
        share: 0 to 1.
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
    """Counts over the sampled members; a film suits a member if it is in the member's top share.

    Attributes:
        showing: (n_films,) whether the film is in the programme.
        share: The top share of a member's catalogue that suits, 0 to 1.
        asked: Number of members.
        known: Members whom the models can score.
        reached: Members whom a film of the programme suits.
        suited: (n_films,) members whom the film suits.
        had: (n_films,) members who have already seen or judged the film.
        added: (n_films,) members whom the film suits, but no film of the programme.
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
        """Count one member.

        Args:
            scores: (n_films,) NaN for no opinion. Overwritten.
            past: Indices of films that cannot suit the member any more.
            had: The indices in `past` that the member has seen or judged, unique.
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


#: Quantile of the normal distribution for a 95% interval.
Z = 1.959964


@dataclass(frozen=True)
class Estimate:
    """An estimated count in the population, with its 95% interval."""

    count: int
    low: int
    high: int

    def taken_from(self, total: int) -> Estimate:
        """The estimate of the complement."""
        return Estimate(total - self.count, total - self.high, total - self.low)


def estimate(found: int, *, asked: int, total: int) -> Estimate:
    """Estimate a count among `total` from `found` in a simple random sample of `asked`.

    Wilson (1927), doi:10.2307/2276774: the score interval, with the correction for a finite
    population. Exact if all are asked.
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
