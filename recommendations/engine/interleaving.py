"""Two orders in one list, and what viewers' choices from it say of the two."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import betaincinv

LEVEL = 0.95

Team = Literal["a", "b"]
A: Team = "a"
B: Team = "b"


@dataclass(frozen=True)
class Preference:
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


def preference(for_first: int, for_second: int, *, level: float = LEVEL) -> Preference:
    """The share who prefer the first, of those who prefer one, with its exact interval.

    The interval leaves one half out where a two-sided sign test says so at `1 - level`: for six
    of six, not for five of five. Clopper and Pearson (1934), doi:10.1093/biomet/26.4.404.
    """
    n, tail = for_first + for_second, (1 - level) / 2
    if not n:
        return Preference(math.nan, 0.0, 1.0)
    low = betaincinv(for_first, for_second + 1, tail) if for_first else 0.0
    high = betaincinv(for_first + 1, for_second, 1 - tail) if for_second else 1.0
    return Preference(for_first / n, float(low), float(high))
