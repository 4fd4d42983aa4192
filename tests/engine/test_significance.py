"""Intervals and paired tests, against what can be counted out."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from recommendations.engine.evaluation.metrics import (
    bootstrap_interval,
    is_significantly_worse,
    paired_test,
)

NAN = float("nan")


def test_an_interval_is_that_of_the_normal_distribution_where_there_are_many() -> None:
    """The mean of 400 values of deviation 1 has one of 0.05: 1.96 of these to either side."""
    values = np.random.default_rng(1).normal(size=400)
    low, high = bootstrap_interval(values, draws=20_000)
    assert low == pytest.approx(values.mean() - 1.96 * values.std() / 20, abs=0.004)
    assert high == pytest.approx(values.mean() + 1.96 * values.std() / 20, abs=0.004)


def test_an_interval_is_that_of_all_samples() -> None:
    """There are 27 samples of (0, 0, 1); their means are 0, 1/3, 2/3, 1 with 8, 12, 6 and 1."""
    means = sorted(np.mean(sample) for sample in product([0, 0, 1], repeat=3))
    assert bootstrap_interval(np.array([0.0, 0, 1]), level=0.5, draws=20_000) == pytest.approx(
        (means[6], means[20])
    )


def test_intervals_are_the_same_each_time_and_wider_at_a_higher_level() -> None:
    values = np.random.default_rng(2).random(50)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=2)
    (low, high), (lower, higher) = (
        bootstrap_interval(values),
        bootstrap_interval(values, level=0.99),
    )
    assert lower < low < values.mean() < high < higher


def test_an_interval_ignores_unknown_values() -> None:
    assert bootstrap_interval(np.array([1.0, NAN, 1.0])) == (1, 1)
    assert all(math.isnan(end) for end in bootstrap_interval(np.array([NAN])))
    assert all(math.isnan(end) for end in bootstrap_interval(np.empty(0)))


def test_the_p_value_is_that_of_all_signs() -> None:
    """Few of the 64 ways to set the signs of these differences come to as much either way."""
    differences = np.array([3.0, 2, 2, 1, 1, -1])
    sums = [abs(np.dot(signs, differences)) for signs in product([-1, 1], repeat=6)]
    exact = np.mean(np.array(sums) >= differences.sum())
    found = paired_test(differences + 5, np.full(6, 5.0), draws=50_000)
    assert found.p_value == pytest.approx(exact, abs=0.005)
    assert found.difference == pytest.approx(differences.mean())
    assert found.users == 6
    assert found.low < found.difference < found.high


def test_swapping_the_samples_negates_the_difference() -> None:
    random = np.random.default_rng(3)
    first, second = random.random(40), random.random(40)
    there, back = paired_test(first, second), paired_test(second, first)
    assert there.p_value == back.p_value
    assert there.difference == pytest.approx(-back.difference)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=0.01)


def test_a_paired_test_finds_differences_that_means_hide() -> None:
    """Each user gains a little, and users differ a lot."""
    of_users = np.random.default_rng(4).random(100)
    found = paired_test(of_users + 0.01, of_users)
    assert found.p_value < 0.001
    assert found.low > 0
    low, high = bootstrap_interval(of_users)
    assert high - low > 0.1


def test_equal_samples_do_not_differ() -> None:
    values = np.random.default_rng(5).random(100)
    found = paired_test(values, values)
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)


def test_one_in_twenty_is_called_significant_by_chance() -> None:
    """15 of 300 pairs differ, with a deviation of 4."""
    random = np.random.default_rng(6)
    significant = sum(
        paired_test(random.random(40), random.random(40), draws=400).p_value < 0.05
        for _ in range(300)
    )
    assert 3 <= significant <= 27


def test_users_unknown_in_one_sample_are_left_out() -> None:
    found = paired_test(np.array([1.0, NAN, 3]), np.array([0.0, 5, NAN]))
    assert (found.users, found.difference) == (1, 1)
    nobody = paired_test(np.array([NAN]), np.array([1.0]))
    assert nobody.users == 0
    assert math.isnan(nobody.difference)
    assert math.isnan(nobody.p_value)


# --- the gate


def of_many(mean: float, seed: int = 7) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return mean + np.random.default_rng(seed).normal(scale=0.02, size=200)


def test_only_a_worse_sample_is_significantly_worse() -> None:
    assert is_significantly_worse(of_many(0.1), of_many(0.2, seed=8))
    assert not is_significantly_worse(of_many(0.2), of_many(0.1, seed=8))
    assert not is_significantly_worse(of_many(0.1), of_many(0.1))


def test_a_margin_allows_a_relative_loss() -> None:
    """A twentieth below is within a tenth, and not within a hundredth."""
    assert not is_significantly_worse(of_many(0.19), of_many(0.2, seed=8), margin=0.1)
    assert is_significantly_worse(of_many(0.19), of_many(0.2, seed=8), margin=0.01)


def test_a_difference_within_chance_is_not_significant() -> None:
    """13 of the 32 ways to set the signs of these differences give a sum of -2 or less."""
    old = np.full(5, 10.0)
    assert not is_significantly_worse(np.array([7.0, 12, 8, 12, 9]), old)


@pytest.mark.parametrize(("n_users", "enough"), [(0, False), (1, False), (4, False), (8, True)])
def test_differences_of_few_users_are_not_significant(n_users: int, enough: bool) -> None:
    assert is_significantly_worse(np.zeros(n_users), np.ones(n_users)) is enough


def test_unknown_values_are_not_worse() -> None:
    assert not is_significantly_worse(np.array([NAN] * 9), np.ones(9))
