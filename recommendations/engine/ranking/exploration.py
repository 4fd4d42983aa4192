"""Places for what nobody knows yet.

With a share of the places one explores, with the rest one goes by what is known: epsilon-greedy, as
compared in Li, Chu, Langford and Schapire (2010), doi:10.1145/1772690.1772758.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv


def exploration_slots(share: float, n: int) -> list[int]:
    """Of a list of n, from 0 on: one in the middle of each 1 / share, and never the first.

    The places of a list's beginning are those of the whole list that lie in it.
    """
    if share <= 0:
        return []
    places = [int((number + 0.5) / share) for number in range(math.ceil(n * share))]
    return [place for place in places if 0 < place < n]


def sampled_order(n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """(n,) n things, the best first, in the order in which they are drawn.

    The chance to be next falls as 1 / place among the best: a good one comes often, and each one
    comes. Weighted sampling by Efraimidis and Spirakis (2006), doi:10.1016/j.ipl.2005.11.003.
    """
    return np.argsort(rng.exponential(size=n) * np.arange(1, n + 1), kind="stable")


def insert_explored(
    listed: Sequence[int], drawn: Sequence[int], places: Sequence[int]
) -> tuple[list[int], set[int]]:
    """A list in which new items have the places, unless one that is new stands there anyway.

    Args:
        listed: Items in their order, none twice.
        drawn: All items that are new, in the order in which it is their turn.
        places: In ascending order.

    Returns:
        As many items as in `listed`, none twice, and those that have a place as they are new.
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


LEVEL = 0.95

Team = Literal["a", "b"]
A: Team = "a"
B: Team = "b"


@dataclass(frozen=True)
class InterleavingPreference:
    """Which of two is preferred by those who prefer one.

    Attributes:
        share: Of them, those who prefer the first; NaN for nobody.
        low, high: Its interval; 0 and 1 for nobody.
    """

    share: float
    low: float
    high: float

    @property
    def winner(self) -> Team | None:
        """None while the interval leaves it open."""
        if self.low > 0.5:
            return A
        return B if self.high < 0.5 else None


def team_draft(
    first: Sequence[int], second: Sequence[int], n: int, rng: np.random.Generator
) -> list[tuple[int, Team]]:
    """Both orders in one, and whose each item is, as captains pick teams: in turns, each the best
    that is left, and by lot who begins a round.

    Each place is as likely either's, whatever the two orders are: items picked blindly prefer
    neither. Radlinski, Kurup and Joachims (2008), doi:10.1145/1458082.1458092.

    Args:
        first, second: Items, the best first, each once.
        rng: Of the lots. The same ones give the same turns, whatever the orders and `n` are.

    Returns:
        At most n items. Where one order is used up the draft ends, as nothing is left to choose
        between.
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
    """Whose each of n turns is: pairs, in an order drawn for each."""
    rounds = rng.integers(0, 2, (n + 1) // 2)
    turns = [team for lot in rounds for team in ((A, B) if lot else (B, A))]
    return iter(turns[:n])


def preference_share(
    for_first: int, for_second: int, *, level: float = LEVEL
) -> InterleavingPreference:
    """The share who prefer the first, of those who prefer one, with its exact interval.

    The interval leaves one half out where a two-sided sign test says so at `1 - level`: for six
    of six, not for five of five. Clopper and Pearson (1934), doi:10.1093/biomet/26.4.404.
    """
    n, tail = for_first + for_second, (1 - level) / 2
    if not n:
        return InterleavingPreference(math.nan, 0.0, 1.0)
    low = betaincinv(for_first, for_second + 1, tail) if for_first else 0.0
    high = betaincinv(for_first + 1, for_second, 1 - tail) if for_second else 1.0
    return InterleavingPreference(for_first / n, float(low), float(high))
