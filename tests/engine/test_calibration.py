"""Genres in the proportions of the user's likes, by a plain implementation and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.evaluation.metrics import miscalibration
from recommendations.engine.ranking.calibration import (
    SMOOTHING,
    CalibratedReranker,
    calibrate,
    divergence,
    genre_shares,
    genre_tastes,
)

Array = NDArray[np.float64]


def plain_order(
    relevance: list[float],
    genres: list[list[float]],
    wanted: list[float],
    tiers: list[int],
    weight: float,
    n: int,
) -> list[int]:
    """Steck's greedy algorithm in loops; each item of a tier comes before those of later ones."""
    chosen: list[int] = []
    while len(chosen) < n:
        left = [i for i, value in enumerate(relevance) if value > -math.inf and i not in chosen]
        if not left:
            break
        tier = min(tiers[i] for i in left)
        worths = {}
        for i in (i for i in left if tiers[i] == tier):
            listed = [*chosen, i]
            with_genres = [j for j in listed if sum(genres[j])]
            worth = (1 - weight) * sum(relevance[j] for j in listed)
            for genre, share in enumerate(wanted):
                given = sum(genres[j][genre] for j in with_genres) / max(len(with_genres), 1)
                mixed = (1 - SMOOTHING) * given + SMOOTHING * share
                if share:
                    worth -= weight * share * math.log(share / mixed)
            worths[i] = worth
        chosen.append(max(worths, key=lambda i: worths[i]))
    return chosen


@pytest.mark.parametrize("seed", range(20))
def test_the_order_is_that_of_a_plain_implementation(seed: int) -> None:
    random = np.random.default_rng(seed)
    m, n_genres, n = int(random.integers(1, 25)), int(random.integers(1, 7)), 12
    weight = float(random.choice([0.0, 0.3, 0.7, 0.99]))
    genres = csr_matrix(random.random((m, n_genres)) < 0.3, dtype=np.float32)
    shares = genre_shares(genres).toarray()
    wanted = random.dirichlet(np.ones(n_genres))
    wanted[random.random(n_genres) < 0.3] = 0
    wanted = wanted / wanted.sum() if wanted.any() else np.eye(n_genres)[0]
    relevance = random.random(m)
    relevance[random.random(m) < 0.1] = -np.inf
    tiers = random.integers(0, 3, m)
    [found] = calibrate(
        relevance[None], [shares], wanted[None], tiers=tiers[None], n=n, weight=weight
    )
    expected = plain_order(
        relevance.tolist(), shares.tolist(), wanted.tolist(), tiers.tolist(), weight, n
    )
    assert found[found >= 0].tolist() == expected
    assert (found[len(expected) :] == -1).all()


def test_a_list_of_equal_relevance_has_the_proportions_of_the_likes() -> None:
    """Three of four likes are dramas."""
    genres = csr_matrix(np.repeat(np.eye(3, dtype=np.float32), 20, axis=0))
    shares = genre_shares(genres)
    wanted = np.array([[0.75, 0.25, 0.0]])
    relevance = np.zeros((1, 60))
    [order] = calibrate(
        relevance, [shares.toarray()], wanted, tiers=np.zeros((1, 60), dtype=int), n=8
    )
    assert np.bincount(order // 20, minlength=3).tolist() == [6, 2, 0]


def test_a_user_without_likes_has_the_order_by_relevance() -> None:
    relevance = np.array([[0.1, 0.9, -np.inf, 0.5], [0.1, 0.9, -np.inf, 0.5]])
    shares = np.eye(4)
    wanted = np.array([[np.nan] * 4, [1.0, 0, 0, 0]])
    tiers = np.zeros((2, 4), dtype=int)
    found = calibrate(relevance, [shares, shares], wanted, tiers=tiers, n=3, weight=0.9)
    assert found.tolist() == [[1, 3, 0], [0, 1, 3]]


def test_calibration_without_items_or_genres_chooses_nothing() -> None:
    nothing = np.empty((1, 0))
    found = calibrate(nothing, [np.empty((0, 2))], np.ones((1, 2)), tiers=nothing.astype(int), n=5)
    assert found.shape == (1, 0)
    relevance, wanted = np.array([[0.2, 0.4]]), np.ones((1, 1))
    zeros = np.zeros((2, 1))
    found = calibrate(relevance, [zeros], wanted, tiers=np.zeros((1, 2), dtype=int), n=2)
    assert found.tolist() == [[1, 0]]


def test_the_divergence_is_that_of_steck() -> None:
    wanted, given = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.5, 0.25])
    mixed = [0.99 * 0.25 + 0.01 * 0.5, 0.5]
    expected = 0.5 * math.log(0.5 / mixed[0]) + 0.5 * math.log(0.5 / mixed[1])
    assert divergence(wanted, given) == pytest.approx(expected)
    assert divergence(wanted, wanted) == pytest.approx(0)
    assert np.isnan(divergence(np.full(3, np.nan), given))
    assert np.isnan(divergence(wanted, np.full(3, np.nan)))


def test_an_evaluated_list_is_less_miscalibrated_the_larger_the_weight() -> None:
    random = np.random.default_rng(7)
    n_users, n_items = 12, 200
    genres = csr_matrix(random.random((n_items, 6)) < 0.3, dtype=np.float32)
    history = csr_matrix(np.where(random.random((n_users, n_items)) < 0.05, 2.0, 0.0))
    scores = random.random((n_users, 50)).astype(np.float32)
    pools = np.array([random.permutation(n_items)[:50] for _ in range(n_users)])
    pools[0, 30:] = -1
    shares = genre_shares(genres)

    def measured(weight: float) -> float:
        lists = CalibratedReranker(shares, weight).lists(pools, scores, 10, history)
        assert all(len(set(row)) == 10 for row in lists.tolist())
        assert all(set(row) <= set(pool) for row, pool in zip(lists, pools, strict=True))
        return float(np.nanmean(miscalibration(lists, history, genres=genres)))

    figures = [measured(weight) for weight in (0.0, 0.3, 0.6, 0.9)]
    assert figures == sorted(figures, reverse=True)
    assert figures[-1] < figures[0] / 2


def test_tastes_are_computed_from_likes_alone() -> None:
    shares = genre_shares(csr_matrix([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]))
    history = csr_matrix([[2.0, 1.0, 3.0], [-2.0, 1.0, 0.0], [-1.0, 0.0, 1.0]])
    found = genre_tastes(history, shares)
    assert found[:2].tolist() == [[0.25, 0.75], [0.0, 1.0]]
    assert np.isnan(found[2]).all()
