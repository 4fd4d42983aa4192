"""How sure a figure is, and whether one algorithm is better than another for the same users."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

DRAWS = 2000
#: Random numbers held at once: 16 MB.
BLOCK = 2_000_000
LEVEL = 0.95
SEED = 1895


@dataclass(frozen=True)
class Comparison:
    """The first algorithm beside the second.

    Attributes:
        users: Those that both could be judged by.
        difference: Mean of the first less the second; NaN without users.
        low, high: Its interval, as of `interval`.
        p_value: How often chance alone makes a difference of at least this size, either way.
    """

    users: int
    difference: float
    low: float
    high: float
    p_value: float


def bootstrap_interval(
    values: Float64, *, level: float = LEVEL, draws: int = DRAWS, seed: int = SEED
) -> tuple[float, float]:
    """Between which two figures the mean of `level` of all such samples of users lies.

    Percentile bootstrap: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.

    Args:
        values: (m,) of each user; NaN is left out.

    Returns:
        NaN twice where there is none.
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
    """A paired test of the means of two algorithms.

    Fisher's randomisation test: were both alike, each user's difference could as well have the
    other sign. Smucker, Allan and Carterette (2007), doi:10.1145/1321440.1321528.

    Args:
        first, second: (m,) of the same users in the same order, as `Judged.by_user` has them for
            one split and seed; NaN in either leaves the user out.
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
    """Whether the new one's mean is below the old one's by more than a share, and not by chance.

    One-sided, on each user's `new - (1 - margin) * old`. Of fewer than five users nothing can be
    significant at the default level.

    Args:
        new, old: As in `compare`.
    """
    differences = new - (1 - margin) * old
    differences = differences[~np.isnan(differences)]
    if not len(differences) or not differences.mean() < 0:
        return False
    chance = _by_chance(differences, draws, seed)
    return _p_value(-chance >= _nearly(-differences.mean())) < 1 - level


def _by_chance(differences: Float64, draws: int, seed: int) -> Float64:
    """(draws,) means with the signs drawn."""
    random = np.random.default_rng(seed)
    means = [
        (random.integers(0, 2, (size, len(differences)), dtype=np.int8) * 2.0 - 1) @ differences
        for size in _blocks(draws, len(differences))
    ]
    flipped: Float64 = np.concatenate(means) / len(differences)
    return flipped


def _p_value(as_extreme: NDArray[np.bool_]) -> float:
    """The observed one counts as drawn: Phipson and Smyth (2010), doi:10.2202/1544-6115.1585."""
    return float((as_extreme.sum() + 1) / (len(as_extreme) + 1))


def _nearly(value: float) -> float:
    """A little below: the same sum in another order must count as the same."""
    return value * (1 - 1e-9)


def _blocks(draws: int, n: int) -> Iterator[int]:
    """How many to draw at once, of `draws` in all."""
    size = max(1, BLOCK // n)
    for start in range(0, draws, size):
        yield min(size, draws - start)
