"""Confidence intervals of a mean over users, and paired tests of two algorithms."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

DRAWS = 2000
#: Random numbers held in memory: 16 MB.
BLOCK = 2_000_000
LEVEL = 0.95
SEED = 1895


@dataclass(frozen=True)
class Comparison:
    """The first of two algorithms compared with the second.

    Attributes:
        users: Number of users with figures of both.
        difference: Mean of the first minus the second; NaN without users.
        low, high: The interval of the difference, as from `bootstrap_interval`.
        p_value: Two-sided: how often chance makes a difference at least as large.
    """

    users: int
    difference: float
    low: float
    high: float
    p_value: float


def bootstrap_interval(
    values: Float64, *, level: float = LEVEL, draws: int = DRAWS, seed: int = SEED
) -> tuple[float, float]:
    """The percentile bootstrap interval of the mean over users.

    Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.

    Args:
        values: (m,) a figure of each user; NaN is left out.
        level: The confidence level.

    Returns:
        The lower and the upper end; both NaN without values.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, math.nan
    random = np.random.default_rng(seed)
    means = np.concatenate(
        [
            known[random.integers(0, len(known), (size, len(known)))].mean(axis=1)
            for size in _blocks(draws, len(known))
        ]
    )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_test(
    first: Float64, second: Float64, *, level: float = LEVEL, draws: int = DRAWS, seed: int = SEED
) -> Comparison:
    """Compare the means of two algorithms by Fisher's randomisation test.

    If both were equal, each user's difference could as well have the other sign. Smucker, Allan
    and Carterette (2007), doi:10.1145/1321440.1321528.

    Args:
        first, second: (m,) figures of the same users in the same order, as in
            `EvaluatedLists.by_user` for one split and seed; NaN in either leaves the user out.
    """
    differences = first - second
    differences = differences[~np.isnan(differences)]
    if not len(differences):
        return Comparison(0, math.nan, math.nan, math.nan, math.nan)
    low, high = bootstrap_interval(differences, level=level, draws=draws, seed=seed)
    chance = np.abs(_by_chance(differences, draws, seed))
    observed = float(differences.mean())
    return Comparison(
        len(differences), observed, low, high, _p_value(chance >= _nearly(abs(observed)))
    )


def is_significantly_worse(
    new: Float64,
    old: Float64,
    *,
    margin: float = 0.0,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = SEED,
) -> bool:
    """Whether the mean of `new` is significantly below (1 - margin) times the mean of `old`.

    A one-sided randomisation test. With fewer than five users nothing is significant at the
    default level.

    Args:
        new, old: As in `paired_test`.
        margin: A share of `old`, 0 to 1.
    """
    differences = new - (1 - margin) * old
    differences = differences[~np.isnan(differences)]
    if not len(differences) or not differences.mean() < 0:
        return False
    chance = _by_chance(differences, draws, seed)
    return _p_value(-chance >= _nearly(-differences.mean())) < 1 - level


def _by_chance(differences: Float64, draws: int, seed: int) -> Float64:
    """(draws,) means of the differences with random signs."""
    random = np.random.default_rng(seed)
    means = [
        (random.integers(0, 2, (size, len(differences)), dtype=np.int8) * 2.0 - 1) @ differences
        for size in _blocks(draws, len(differences))
    ]
    flipped: Float64 = np.concatenate(means) / len(differences)
    return flipped


def _p_value(as_extreme: NDArray[np.bool_]) -> float:
    """The observed value counts as a draw: Phipson and Smyth (2010), doi:10.2202/1544-6115.1585."""
    return float((as_extreme.sum() + 1) / (len(as_extreme) + 1))


def _nearly(value: float) -> float:
    """A little less than the value, so that the same sum in another order counts as equal."""
    return value * (1 - 1e-9)


def _blocks(draws: int, n: int) -> Iterator[int]:
    """Split `draws` into blocks that fit into memory."""
    size = max(1, BLOCK // n)
    for start in range(0, draws, size):
        yield min(size, draws - start)
