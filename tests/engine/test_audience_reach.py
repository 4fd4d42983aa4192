"""Whom films suit and a programme reaches, counted; and how sure a count of a sample is."""

from __future__ import annotations

import numpy as np
import pytest

from recommendations.engine.audience_reach import AudienceCounts, Estimate, estimate, top_share

NAN = float("nan")
NOBODY = np.empty(0, dtype=np.int64)


@pytest.mark.parametrize(
    ("scores", "share", "best"),
    [
        ([], 0.5, []),
        ([NAN, NAN], 0.5, []),
        ([3, 1, 2, 4], 0.5, [0, 3]),
        ([3, 1, 2, 4], 0.25, [3]),
        ([3, 1, 2, 4], 0.01, [3]),
        ([3, NAN, 2, NAN], 0.5, [0]),
        ([7], 0.05, [0]),
        ([3, 1, 2], 1.0, [0, 1, 2]),
        ([2, 2, 2, 2], 0.5, []),
        ([5, 2, 2, 1], 0.5, [0]),
        ([2, 2, 1, 0], 0.5, [0, 1]),
    ],
)
def test_the_top_share_contains_scores_above_the_rest(
    scores: list[float], share: float, best: list[int]
) -> None:
    found = top_share(np.array(scores, dtype=np.float32), share)
    assert np.flatnonzero(found).tolist() == best


def test_members_are_counted_by_the_films_that_suit_them() -> None:
    """The first two of four films are showing; a quarter suits, which is one film."""
    tally = AudienceCounts(np.array([True, True, False, False]), share=0.25)
    answers = [
        ([9, 1, 2, 3], []),  # is reached by the first film
        ([9, 1, 2, 3], [0]),  # has had it, and then the last one is the best
        ([1, 2, 9, 3], []),
        ([1, 2, 3, 9], [3]),
        ([NAN] * 4, [1]),  # of whom nothing is known
    ]
    for scores, had in answers:
        past = np.array(had, dtype=np.int64)
        tally.ask(np.array(scores, dtype=np.float32), past=past, had=past)
    assert (tally.asked, tally.known, tally.reached) == (5, 4, 1)
    assert tally.suited.tolist() == [1, 0, 2, 1]
    assert tally.added.tolist() == [0, 0, 2, 1]
    assert tally.had.tolist() == [1, 1, 0, 1]


def test_a_hidden_film_is_neither_known_nor_suited() -> None:
    tally = AudienceCounts(np.array([False, False]), share=0.5)
    tally.ask(np.array([2, 1], dtype=np.float32), past=np.array([0]), had=NOBODY)
    assert (tally.suited.tolist(), tally.had.tolist()) == ([0, 1], [0, 0])


@pytest.mark.parametrize(
    ("found", "asked", "total", "expected"),
    [
        # Wilson's interval for 30 of 100 is 0.21895 to 0.39585.
        (30, 100, 1_000_000, (300_000, 218_953, 395_846)),
        (0, 100, 1_000_000, (0, 0, 36_994)),
        (100, 100, 1_000_000, (1_000_000, 963_006, 1_000_000)),
        (3, 10, 10, (3, 3, 3)),
        (0, 0, 0, (0, 0, 0)),
        (0, 0, 7, (0, 0, 7)),
        # All but one of eleven were asked: it is three or four.
        (3, 10, 11, (3, 3, 4)),
    ],
)
def test_an_estimate_lies_in_its_interval(
    found: int, asked: int, total: int, expected: tuple[int, int, int]
) -> None:
    low_to_high = estimate(found, asked=asked, total=total)
    assert (low_to_high.count, low_to_high.low, low_to_high.high) == pytest.approx(expected, abs=40)
    if total < 100:
        assert low_to_high == Estimate(*expected)


def test_the_estimate_of_the_rest_has_the_same_width() -> None:
    assert Estimate(3, 2, 5).taken_from(10) == Estimate(7, 5, 8)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    population = np.arange(2_000) < 240
    held = 0
    for _ in range(2_000):
        found = int(rng.choice(population, 400, replace=False).sum())
        said = estimate(found, asked=400, total=2_000)
        held += said.low <= 240 <= said.high
    assert held / 2_000 == pytest.approx(0.95, abs=0.02)
