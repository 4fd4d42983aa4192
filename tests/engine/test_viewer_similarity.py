"""Similarities tile by tile and at once equal a plain computation pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine import viewer_pairs, viewer_similarity
from recommendations.engine.viewer_pairs import SUMS, matching_pairs
from recommendations.engine.viewer_similarity import (
    Deviations,
    MatchRule,
    PairSums,
    deviations,
    film_centres,
)
from tests.matching import quadratic, similarity

WEIGHTS = (-3.0, -2.0, -1.0, 0.5, 1.0, 2.0, 3.0)
OFTEN = (0.05, 0.05, 0.05, 0.05, 0.1, 0.5, 0.2)


def draw(seed: int) -> NDArray[np.float32]:
    """Viewers who say much or little, of films that many or few know."""
    luck = np.random.default_rng(seed)
    viewers, films = int(luck.integers(1, 60)), int(luck.integers(1, 40))
    said = luck.random((viewers, films)) < luck.random((viewers, 1)) * luck.random((1, films)) * 2
    return np.where(said, luck.choice(WEIGHTS, size=said.shape, p=OFTEN), 0).astype(np.float32)


RULES = (MatchRule(0.8, 5), MatchRule(0.8, 0), MatchRule(0.5, 1), MatchRule(0, 2), MatchRule(1, 0))


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer_pairs, "TILE_ROWS", 7)
    monkeypatch.setattr(viewer_pairs, "TILE_COLUMNS", 16)
    monkeypatch.setattr(viewer_pairs, "POPULAR_SHARE", 0.3)


def all_pairs(
    weights: NDArray[np.float32], rule: MatchRule, **limits: int
) -> dict[tuple[int, int], tuple[float, ...]]:
    nobody = np.zeros(len(weights), dtype=bool)
    found = matching_pairs(
        deviations(csr_matrix(weights)), rule, **{"at_most": 1000, **limits}, preferred=nobody
    )
    return {
        (int(pair["user"]), int(pair["other"])): tuple(
            float(pair[name]) for name in ("similarity", *SUMS)
        )
        for pair in found
    }


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("seed", range(25))
def test_all_pairs_are_those_of_the_quadratic_computation(seed: int) -> None:
    weights, rule = draw(seed), RULES[seed % len(RULES)]
    found, expected = all_pairs(weights, rule), quadratic(weights)
    for pair, figures in expected.items():
        alike_by = similarity(figures, rule.shrinkage)
        is_near = figures[0] >= rule.least_shared and alike_by >= rule.floor
        if abs(alike_by - rule.floor) > 1e-5:
            assert (pair in found) == (is_near and pair[0] != pair[1])
        if pair in found:
            assert found[pair] == pytest.approx((alike_by, *figures), abs=1e-4)
    assert found.keys() == {(two, one) for one, two in found}


@pytest.mark.parametrize("seed", range(10))
def test_one_viewer_against_all_has_the_same_figures(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer_similarity, "ADDED_AT_ONCE", 1 + 20 * seed)
    weights, rule = draw(seed), MatchRule(0.8, 1)
    everybody = Deviations.fit(csr_matrix(weights), csr_matrix(weights))
    expected = quadratic(weights)
    for viewer in range(min(5, len(weights))):
        items = np.flatnonzero(weights[viewer])
        own = weights[viewer, items] - everybody.centres_of(items)
        rows, sums = everybody.against_all(items, own, least_shared=rule.least_shared)
        enough = [n for n in range(len(weights)) if expected[viewer, n][0] >= rule.least_shared]
        assert rows.tolist() == enough
        for at, row in enumerate(rows.tolist()):
            assert [each[at] for each in sums] == pytest.approx(expected[viewer, row], abs=1e-4)
            assert rule.similarity(sums)[at] == pytest.approx(
                similarity(expected[viewer, row], rule.shrinkage), abs=1e-5
            )


def test_comparing_only_those_who_share_a_film_gives_the_same_figures() -> None:
    weights = draw(8)
    everybody = Deviations.fit(csr_matrix(weights), csr_matrix(weights))
    items = np.flatnonzero(weights[0])
    own = weights[0, items] - everybody.centres_of(items)
    rows, sums = everybody.against_all(items, own, least_shared=2)
    with_it, their_sums = everybody.against_all(items, own, least_shared=2, sharing=int(items[0]))
    share = weights[rows, items[0]] != 0
    assert with_it.tolist() == rows[share].tolist()
    assert 1 < len(with_it) < len(rows)
    assert np.allclose(their_sums, sums.at(share))


def test_a_similarity_with_one_more_film_is_predicted() -> None:
    weights = draw(4)
    before, after = quadratic(weights[:, :-1]), quadratic(weights)
    centre = 0.5 * weights[:, -1].sum() / ((weights[:, -1] != 0).sum() + 5)
    pairs = [pair for pair in after if weights[pair[0], -1] and weights[pair[1], -1]]
    assert pairs
    sums = PairSums(*(np.array(column) for column in zip(*(before[p] for p in pairs), strict=True)))
    own, other = (np.array([weights[p[side], -1] for p in pairs]) - centre for side in (0, 1))
    with_it = sums.with_one_more(own, other)
    for at, pair in enumerate(pairs):
        assert [each[at] for each in with_it] == pytest.approx(after[pair], abs=1e-5)


def test_a_viewer_with_equal_likes_has_a_taste() -> None:
    """To subtract a plain mean would leave nothing of them."""
    likes = np.full((3, 20), 2, dtype=np.float32)
    likes[2, 3:] = 0
    found = all_pairs(likes, MatchRule(0.8, 5))
    assert found.keys() == {(0, 1), (1, 0)}
    assert found[0, 1][0] == pytest.approx(20 / 25)


def test_a_viewer_without_interactions_resembles_nobody() -> None:
    assert not all_pairs(np.zeros((4, 3), dtype=np.float32), MatchRule(0, 0))
    assert not all_pairs(np.zeros((0, 0), dtype=np.float32), MatchRule(0.8, 5))
    nothing = csr_matrix(np.zeros((4, 3), dtype=np.float32))
    everybody = Deviations.fit(nothing, nothing)
    rows, sums = everybody.against_all(np.empty(0, dtype=int), np.empty(0), least_shared=1)
    assert len(rows) == len(MatchRule(0.8, 5).similarity(sums)) == 0


def test_the_limit_keeps_preferred_pairs_first_and_then_the_nearest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The best pairs are also found when pairs come in parts, and some are dropped in between."""
    weights, rule = draw(3), MatchRule(0, 1)
    everybody = matching_pairs(
        deviations(csr_matrix(weights)),
        rule,
        at_most=1000,
        preferred=np.zeros(len(weights), dtype=bool),
    )
    preferred = np.arange(len(weights)) % 5 == 0
    monkeypatch.setattr(viewer_pairs, "TILE_ROWS", 7)
    monkeypatch.setattr(viewer_pairs, "TILE_COLUMNS", 16)
    monkeypatch.setattr(viewer_pairs, "GATHERED", 30)
    best = matching_pairs(deviations(csr_matrix(weights)), rule, at_most=4, preferred=preferred)
    assert len(best) < len(everybody)
    for viewer in range(len(weights)):
        pairs = everybody[everybody["user"] == viewer]
        worth = np.sort(pairs["similarity"] + 2 * preferred[pairs["other"]])[::-1][:4]
        kept = best[best["user"] == viewer]
        assert kept["similarity"] + 2 * preferred[kept["other"]] == pytest.approx(worth, abs=1e-5)


@pytest.mark.parametrize(
    ("rule", "shared"),
    [
        (MatchRule(0.8, 5), 19),
        (MatchRule(0.8, 0), 1),
        (MatchRule(0.5, 5), 4),
        (MatchRule(0, 5), 1),
        (MatchRule(1, 0), 1),
    ],
)
def test_least_shared_is_one_film_below_a_possible_match(rule: MatchRule, shared: int) -> None:
    assert rule.least_shared == shared
    ones = np.ones(1)
    enough = PairSums(ones * (shared + 1), ones, ones, ones)
    assert rule.similarity(enough)[0] >= rule.threshold


def test_a_threshold_that_nobody_can_reach_matches_nobody() -> None:
    alike_in_all = np.full((2, 50), 2, dtype=np.float32)
    assert not all_pairs(alike_in_all, MatchRule(1, 5))


def test_arrays_come_back_as_they_were() -> None:
    weights = csr_matrix(draw(7))
    everybody = Deviations.fit(weights, weights)
    again = Deviations.from_arrays(everybody.to_arrays())
    assert again.to_arrays().keys() == everybody.to_arrays().keys()
    for name, array in again.to_arrays().items():
        assert np.array_equal(array, everybody.to_arrays()[name])
    assert again.centres_of(np.array([-1]))[0] == 0
    assert again.centres == pytest.approx(film_centres(weights))


@pytest.mark.parametrize("seed", range(5))
def test_likes_are_counted_by_viewers_who_dislike_the_same_films(seed: int) -> None:
    luck = np.random.default_rng(seed)
    weights = draw(seed)
    weights[(weights == 0) & (luck.random(weights.shape) < 0.1)] = np.nan  # a verdict of 0
    verdicts = csr_matrix(np.nan_to_num(weights, nan=1000))
    verdicts.data[verdicts.data == 1000] = 0
    n_films = weights.shape[1]
    disliked = luck.permutation(n_films)[: n_films // 3]
    items = np.array([*luck.permutation(n_films), -1])
    everybody = Deviations.fit(verdicts, verdicts)
    expected = [
        sum(
            int((weights[viewer, disliked] < 0).sum())
            for viewer in range(len(weights))
            if item >= 0 and weights[viewer, item] > 0
        )
        for item in items
    ]
    assert everybody.likes_by_dislikes(disliked, items).tolist() == expected
