"""Places for what is new, by hand and by chance."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from recommendations.engine.ranking.exploration import (
    exploration_slots,
    insert_explored,
    sampled_order,
)


@pytest.mark.parametrize(
    ("share", "n", "places"),
    [
        (0.1, 40, [5, 15, 25, 35]),
        (0.1, 20, [5, 15]),
        (0.1, 5, []),
        (0.25, 10, [2, 6]),
        (0.5, 8, [1, 3, 5, 7]),
        (1.0, 4, [1, 2, 3]),
        (0.0, 40, []),
        (0.1, 0, []),
    ],
)
def test_places_are_evenly_spread_and_never_the_first(
    share: float, n: int, places: list[int]
) -> None:
    assert exploration_slots(share, n) == places


def test_new_items_take_the_places_and_nothing_is_lost_before_the_end() -> None:
    items, explored = insert_explored([1, 2, 3, 4, 5, 6], [91, 92, 93], [1, 4])
    assert (items, explored) == ([1, 91, 2, 3, 92, 4], {91, 92})


def test_a_new_item_that_stands_there_anyway_counts() -> None:
    assert insert_explored([1, 91, 2, 3], [92, 91], [1, 3]) == ([1, 91, 2, 92], {92})


def test_a_new_item_from_further_down_moves_up_and_is_there_once() -> None:
    assert insert_explored([1, 2, 3, 91], [91, 92], [1]) == ([1, 91, 2, 3], {91})


def test_a_new_item_from_further_up_stays_there() -> None:
    assert insert_explored([91, 2, 3, 4], [91, 92], [2]) == ([91, 2, 92, 3], {92})


@pytest.mark.parametrize("drawn", [[], [1, 2]])
def test_without_others_the_list_stays(drawn: list[int]) -> None:
    assert insert_explored([1, 2, 3], drawn, [2]) == ([1, 2, 3], set())


def test_in_random_lists_none_is_twice_and_none_too_many() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        everything = rng.permutation(30).tolist()
        listed = everything[: rng.integers(1, 20)]
        new = rng.permutation(30)[: rng.integers(0, 12)].tolist()
        places = exploration_slots(float(rng.choice([0.1, 0.3, 1.0])), len(listed))
        items, explored = insert_explored(listed, new, places)
        assert len(items) == len(set(items)) == len(listed)
        assert items[0] == listed[0]
        assert explored <= set(new) & set(items)
        kept = [item for item in items if item not in explored]
        assert kept == [item for item in listed if item in set(kept)]
        if len(new) >= len(listed) + len(places):
            assert all(items[place] in new for place in places)


def test_the_best_come_often_and_all_come() -> None:
    """The chance of the first place falls as 1 / place: of four 12, 6, 4 and 3 in 25."""
    rng = np.random.default_rng(4)
    orders = [sampled_order(4, rng).tolist() for _ in range(10_000)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    firsts = Counter(order[0] for order in orders)
    assert [round(firsts[item] / 10_000, 1) for item in range(4)] == [0.5, 0.2, 0.2, 0.1]


def test_the_same_seed_draws_the_same_order() -> None:
    first, second = (sampled_order(50, np.random.default_rng([7, 1])) for _ in range(2))
    assert first.tolist() == second.tolist()
    assert sampled_order(0, np.random.default_rng(1)).tolist() == []
