"""Ratings of viewers who do not exist: a few tastes, many viewers, and films of unequal fame."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

#: The number of tastes; each viewer is a mixture of a few.
TASTES = 24
#: Fame falls with a film's rank as a power; the flattening keeps the first from being everybody's.
FAME_POWER, FAME_FLATTENING = 0.9, 20
#: The effect of a taste on a film's share, in standard deviations of its logarithm.
TASTE_STRENGTH = 3.0
MONTHS_S = 2 * 365 * 24 * 3600
BLOCK = 1_000_000


@dataclass(frozen=True)
class Ratings:
    """(n,) each: places of viewer and film, 1 to 10 half stars, and Unix seconds."""

    viewers: NDArray[np.int64]
    films: NDArray[np.int64]
    half_stars: NDArray[np.int16]
    seconds: NDArray[np.int64]


def make_ratings(*, viewers: int, films: int, ratings: int, seed: int = 1895) -> Ratings:
    """Exactly `ratings` different pairs of viewer and film, sorted by viewer."""
    rng = np.random.default_rng(seed)
    activity = np.cumsum(rng.lognormal(sigma=1.0, size=viewers))
    mixtures = np.cumsum(rng.dirichlet(np.full(TASTES, 0.15), size=viewers), axis=1)
    shares = np.cumsum(_shares(films, rng), axis=1)
    # The shares of all tastes in one ascending row, so that one search serves all draws.
    shares_in_a_row = (shares / shares[:, -1:] + np.arange(TASTES)[:, None]).ravel()

    def draw(count: int) -> NDArray[np.int64]:
        viewer = np.searchsorted(activity, rng.random(count) * activity[-1])
        taste = (mixtures[viewer] < rng.random(count)[:, None]).sum(axis=1).clip(max=TASTES - 1)
        place = np.searchsorted(shares_in_a_row, taste + rng.random(count))
        return np.asarray(viewer * films + (place - taste * films).clip(0, films - 1))

    pairs = np.empty(0, dtype=np.int64)
    while len(pairs) < ratings:
        pairs = _distinct(np.concatenate([pairs, *(draw(BLOCK) for _ in range(_blocks(ratings)))]))
    pairs = np.sort(rng.choice(pairs, ratings, replace=False, shuffle=False))
    return Ratings(
        viewers=pairs // films,
        films=pairs % films,
        half_stars=np.rint(rng.normal(7, 2, ratings)).clip(1, 10).astype(np.int16),
        seconds=int(time.time()) - rng.integers(0, MONTHS_S, ratings),
    )


def _shares(films: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(TASTES, films) how much of each taste's attention each film has."""
    fame = (rng.permutation(films) + FAME_FLATTENING) ** -FAME_POWER
    return np.asarray(fame * np.exp(rng.normal(scale=TASTE_STRENGTH, size=(TASTES, films))))


def _distinct(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The distinct numbers in ascending order.

    `np.unique` puts them into a hash table, which takes seventy times as long for three million.
    """
    numbers.sort()
    is_new = np.concatenate([[True], numbers[1:] != numbers[:-1]])
    return np.asarray(numbers[is_new])


def _blocks(ratings: int) -> int:
    return max(1, ratings // BLOCK // 2)


def make_features(*, films: int, seed: int = 1895) -> tuple[csr_matrix, tuple[str, ...]]:
    """Features of the films: a matrix of ones, (films, n_features), and the features' names.

    Two or three of 20 genres, five people, few of them famous, four keywords, a decade and a
    language. They say nothing of the tastes above: they are there for what they cost.
    """
    rng = np.random.default_rng(seed)
    parts, names = [], []
    for kind, count, each in (
        ("genre", 20, 3),
        ("person", films * 2, 5),
        ("keyword", films // 3, 4),
        ("decade", 12, 1),
        ("language", 30, 1),
    ):
        drawn = (count * rng.random((films, each)) ** 2).astype(np.int64)
        rows = np.repeat(np.arange(films), each)
        ones = np.ones(films * each, dtype=np.float32)
        part = csr_matrix((ones, (rows, drawn.ravel())), shape=(films, count))
        part.data[:] = 1  # one that was drawn twice is there once
        parts.append(part)
        names += [f"{kind}:{number}" for number in range(count)]
    return csr_matrix(hstack(parts, format="csr")), tuple(names)
