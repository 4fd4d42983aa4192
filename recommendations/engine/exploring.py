"""Places for what nobody knows yet.

With a share of the places one explores, with the rest one goes by what is known: epsilon-greedy, as
compared in Li, Chu, Langford and Schapire (2010), doi:10.1145/1772690.1772758.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def exploring_places(share: float, n: int) -> list[int]:
    """Of a list of n, from 0 on: one in the middle of each 1 / share, and never the first.

    The places of a list's beginning are those of the whole list that lie in it.
    """
    if share <= 0:
        return []
    places = [int((number + 0.5) / share) for number in range(math.ceil(n * share))]
    return [place for place in places if 0 < place < n]


def drawn_order(n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """(n,) n things, the best first, in the order in which they are drawn.

    The chance to be next falls as 1 / place among the best: a good one comes often, and each one
    comes. Weighted sampling by Efraimidis and Spirakis (2006), doi:10.1016/j.ipl.2005.11.003.
    """
    return np.argsort(rng.exponential(size=n) * np.arange(1, n + 1), kind="stable")


def with_explored(
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
