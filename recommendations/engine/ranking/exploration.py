"""Exploration in live lists: slots for new items, and team-draft interleaving of two rankings.

Exploration is epsilon-greedy, as in Li, Chu, Langford and Schapire (2010),
doi:10.1145/1772690.1772758.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

#: Confidence level of the preferred ranking.
LEVEL = 0.95

Team = Literal["a", "b"]
A: Team = "a"
B: Team = "b"


def exploration_slots(share: float, n: int) -> list[int]:
    """The slots of a list of n items, from 0: the middle of each 1 / share places, never the first.

    A prefix of the list has the slots of the whole list that lie in it.
    """
    if share <= 0:
        return []
    places = [int((number + 0.5) / share) for number in range(math.ceil(n * share))]
    return [place for place in places if 0 < place < n]


def sampled_order(n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """(n,) a random order of n ranked items, the weight of an item being 1 / rank.

    Weighted sampling by Efraimidis and Spirakis (2006), doi:10.1016/j.ipl.2005.11.003.
    """
    return np.argsort(rng.exponential(size=n) * np.arange(1, n + 1), kind="stable")


def insert_explored(
    listed: Sequence[int], drawn: Sequence[int], places: Sequence[int]
) -> tuple[list[int], set[int]]:
    """Put new items into the slots, unless a new item is there already.

    Args:
        listed: Unique items in their order.
        drawn: All new items, in the order in which they are inserted.
        places: The slots, ascending.

    Returns:
        As many unique items as in `listed`, and the inserted ones.
    """
    items, explored, new = list(listed), set[int](), set(drawn)
    turns = iter(drawn)
    for place in places:
        if place >= len(items) or items[place] in new:
            continue
        before = set(items[:place])
        item = next((item for item in turns if item not in before), None)
        if item is None:
            break
        if item in items:
            items.remove(item)
        items.insert(place, item)
        explored.add(item)
    return items[: len(listed)], explored


@dataclass(frozen=True)
class InterleavingPreference:
    """Which of two rankings the viewers prefer, among viewers who prefer one.

    Attributes:
        share: The share of viewers who prefer the first; NaN without viewers.
        low, high: The interval of the share; 0 and 1 without viewers.
    """

    share: float
    low: float
    high: float

    @property
    def winner(self) -> Team | None:
        """The preferred ranking; None if the interval contains one half."""
        if self.low > 0.5:
            return A
        return B if self.high < 0.5 else None


def team_draft(
    first: Sequence[int], second: Sequence[int], n: int, rng: np.random.Generator
) -> list[tuple[int, Team]]:
    """Merge two rankings; each item belongs to the team that picked it.

    In each round both teams pick their best item that is left, in random order. So a viewer who
    clicks at random prefers neither ranking. Radlinski, Kurup and Joachims (2008),
    doi:10.1145/1458082.1458092.

    Args:
        first, second: Unique items, the best first.
        rng: The same state gives the same turns, whatever the rankings and `n` are.

    Returns:
        At most n items with their teams. The draft ends when one ranking is used up.
    """
    teams: dict[Team, Sequence[int]] = {A: first, B: second}
    places = dict.fromkeys(teams, 0)
    drafted: dict[int, Team] = {}
    for team in _turns(n, rng):
        order, place = teams[team], places[team]
        while place < len(order) and order[place] in drafted:
            place += 1
        if place == len(order):
            break
        drafted[order[place]] = team
        places[team] = place + 1
    return list(drafted.items())


def _turns(n: int, rng: np.random.Generator) -> Iterator[Team]:
    """The team of each of n turns: pairs in random order."""
    rounds = rng.integers(0, 2, (n + 1) // 2)
    turns = [team for lot in rounds for team in ((A, B) if lot else (B, A))]
    return iter(turns[:n])


def preference_share(
    for_first: int, for_second: int, *, level: float = LEVEL
) -> InterleavingPreference:
    """The share of viewers who prefer the first ranking, with its exact interval.

    The interval excludes one half exactly if a two-sided sign test is significant at `1 - level`:
    for six of six viewers, not for five of five. Clopper and Pearson (1934),
    doi:10.1093/biomet/26.4.404.

    Args:
        for_first, for_second: Numbers of viewers.
    """
    n, tail = for_first + for_second, (1 - level) / 2
    if not n:
        return InterleavingPreference(math.nan, 0.0, 1.0)
    low = betaincinv(for_first, for_second + 1, tail) if for_first else 0.0
    high = betaincinv(for_first + 1, for_second, 1 - tail) if for_second else 1.0
    return InterleavingPreference(for_first / n, float(low), float(high))
