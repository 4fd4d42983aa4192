"""Places for what is new, by hand and by chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from recommendations.engine.ranking.exploration import (
    A,
    B,
    InterleavingPreference,
    exploration_slots,
    insert_explored,
    preference_share,
    sampled_order,
    team_draft,
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


def test_a_new_item_already_in_the_list_counts() -> None:
    assert insert_explored([1, 91, 2, 3], [92, 91], [1, 3]) == ([1, 91, 2, 92], {92})


def test_a_new_item_from_further_down_moves_up_and_is_there_once() -> None:
    assert insert_explored([1, 2, 3, 91], [91, 92], [1]) == ([1, 91, 2, 3], {91})


def test_a_new_item_from_further_up_stays_there() -> None:
    assert insert_explored([91, 2, 3, 4], [91, 92], [2]) == ([91, 2, 92, 3], {92})


@pytest.mark.parametrize("drawn", [[], [1, 2]])
def test_a_list_without_new_items_stays(drawn: list[int]) -> None:
    assert insert_explored([1, 2, 3], drawn, [2]) == ([1, 2, 3], set())


def test_exploration_keeps_random_lists_unique_and_of_their_length() -> None:
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


def test_every_new_item_is_drawn_and_the_best_more_often() -> None:
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


EVENS, ODDS = list(range(0, 40, 2)), list(range(1, 40, 2))


def draft(first: Sequence[int], second: Sequence[int], n: int = 40, seed: int = 0) -> list[int]:
    return [item for item, _ in team_draft(first, second, n, np.random.default_rng(seed))]


@pytest.mark.parametrize("seed", range(20))
def test_teams_pick_in_turns_each_the_best_that_is_left(seed: int) -> None:
    first, second = [1, 2, 3, 4, 5, 6], [3, 1, 7, 8, 2, 9]
    drafted = team_draft(first, second, 6, np.random.default_rng(seed))
    assert len({item for item, _ in drafted}) == 6
    for start in range(0, 6, 2):
        assert {team for _, team in drafted[start : start + 2]} == {A, B}
    taken: list[int] = []
    for item, team in drafted:
        order = first if team == A else second
        assert item == next(one for one in order if one not in taken)
        taken.append(item)


def test_a_draft_worked_out_by_hand() -> None:
    """The lots let the second team begin, then the first one twice."""

    class Lots:
        def integers(self, low: int, high: int, size: int) -> list[int]:
            return [0, 1, 1][:size]

    drafted = team_draft([1, 2, 3], [1, 4, 2], 5, Lots())  # type: ignore[arg-type]
    assert drafted == [(1, B), (2, A), (3, A), (4, B)]


def test_equal_orders_keep_their_order_and_are_shared_out_by_lot() -> None:
    from scipy.stats import binomtest  # takes more than a second

    first_picks = Counter[str]()
    for seed in range(400):
        drafted = team_draft(EVENS, EVENS, 20, np.random.default_rng(seed))
        assert [item for item, _ in drafted] == EVENS
        assert Counter(team for _, team in drafted) == {A: 10, B: 10}
        first_picks[drafted[0][1]] += 1
    assert binomtest(first_picks[A], 400).pvalue > 0.001


@pytest.mark.parametrize("place", [0, 1, 2, 7, 19])
def test_each_place_is_as_often_of_either_team(place: int) -> None:
    from scipy.stats import binomtest  # takes more than a second

    firsts = sum(
        team_draft(EVENS, EVENS[::-1], 20, np.random.default_rng(seed))[place][1] == A
        for seed in range(1000)
    )
    assert binomtest(firsts, 1000).pvalue > 0.001


def test_the_same_lots_give_the_same_draft_whatever_is_asked_for() -> None:
    whole = draft(EVENS, ODDS, seed=7)
    assert draft(EVENS, ODDS, seed=7) == whole
    assert draft(EVENS, ODDS, n=11, seed=7) == whole[:11]
    assert draft(EVENS, ODDS, seed=8) != whole


@pytest.mark.parametrize(
    ("first", "second", "n", "expected"),
    [
        ([], [], 5, 0),
        ([1], [], 5, 1),
        ([1, 2], [3, 4], 0, 0),
        ([1, 2], [2, 1], 5, 2),
        ([1, 2, 3], [4, 5, 6], 100, 6),
    ],
)
def test_drafts_of_short_lists_are_complete(
    first: list[int], second: list[int], n: int, expected: int
) -> None:
    for seed in range(8):
        drafted = draft(first, second, n, seed)
        assert len(drafted) <= expected
        assert set(drafted) <= {*first, *second}
        if first and second:
            assert len(drafted) == expected


def test_the_interval_is_that_of_the_sign_test() -> None:
    from scipy.stats import binomtest  # takes more than a second

    for for_first, for_second in [(6, 0), (5, 0), (0, 6), (30, 12), (61, 40), (500, 520), (1, 1)]:
        found = preference_share(for_first, for_second)
        test = binomtest(for_first, for_first + for_second)
        exact = test.proportion_ci(0.95, "exact")
        assert found.share == test.statistic
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high))
        significant = test.pvalue < 0.05
        assert (found.winner is not None) == significant
        assert found.winner == ((A if for_first > for_second else B) if significant else None)


def test_preference_is_unknown_without_comparisons() -> None:
    nobody = preference_share(0, 0)
    assert math.isnan(nobody.share)
    assert (nobody.low, nobody.high, nobody.winner) == (0, 1, None)


def simulate(taste: dict[int, float], viewers: int, seed: int) -> InterleavingPreference:
    """Viewers who open what they like, with the patience for half of a list of ten."""
    luck = np.random.default_rng(seed)
    wins = Counter[str]()
    for viewer in range(viewers):
        drafted = team_draft(EVENS, ODDS, 10, np.random.default_rng([seed, viewer]))
        opened = Counter(
            team
            for place, (item, team) in enumerate(drafted)
            if luck.random() < taste[item % 2] / (1 + place / 5)
        )
        if opened[A] != opened[B]:
            wins[A if opened[A] > opened[B] else B] += 1
    return preference_share(wins[A], wins[B])


def test_viewers_who_prefer_one_make_it_win() -> None:
    found = simulate({0: 0.3, 1: 0.15}, viewers=600, seed=1)
    assert found.winner == A
    assert found.low > 0.55
    assert simulate({0: 0.1, 1: 0.3}, viewers=600, seed=2).winner == B


def test_indifferent_viewers_give_no_winner() -> None:
    """One of twenty experiments at 95 % may go wrong, and by lot two or three."""
    decided = [simulate({0: 0.25, 1: 0.25}, 150, seed).winner for seed in range(20)]
    assert sum(winner is not None for winner in decided) <= 3
