"""The order of a list: by hand, and against the formula computed plainly."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import ItemFeatures
from recommendations.engine.ranking.reranking import (
    DiversityReranker,
    diversity_vectors,
    fatigue,
    newness,
    normalised_relevances,
    pairwise_similarities,
    rerank,
    separate_equal_keys,
)

NO_TIERS = np.zeros(4, dtype=np.intp)
#: The second is of the first's kind, and the last somewhat like all.
RELEVANCE = np.array([1.0, 0.9, 0.5, 0.7])
ALIKE = np.array(
    [[1.0, 1.0, 0.0, 0.4], [1.0, 1.0, 0.0, 0.4], [0.0, 0.0, 1.0, 0.4], [0.4, 0.4, 0.4, 1.0]]
)


def order(diversity: float, *, tiers: NDArray[np.intp] = NO_TIERS, n: int = 4) -> list[int]:
    [found] = rerank(RELEVANCE[None], [ALIKE], tiers=tiers[None], diversity=diversity, n=n)
    return [int(place) for place in found]


def relevances(scores: list[float], tiers: list[int]) -> list[float]:
    [found] = normalised_relevances(np.array([scores], dtype=np.float32), np.array([tiers]))
    return [float(relevance) for relevance in found]


def features(*films: str) -> ItemFeatures:
    """Each film's names, separated by spaces."""
    names = sorted({name for film in films for name in film.split()})
    rows = [[float(name in film.split()) for name in names] for film in films]
    return ItemFeatures(csr_matrix(np.array(rows, dtype=np.float32)), tuple(names))


def plainly(
    relevance: NDArray[np.float64], alike: NDArray[np.float64], diversity: float, n: int
) -> list[int]:
    chosen: list[int] = []
    while len(chosen) < n:
        left = [item for item in range(len(relevance)) if item not in chosen]
        worth = [
            (1 - diversity) * relevance[item]
            - diversity * (float(np.mean(alike[item, chosen])) if chosen else 0)
            for item in left
        ]
        chosen.append(left[int(np.argmax(worth))])
    return chosen


def test_without_diversity_the_order_is_by_relevance() -> None:
    assert order(0) == [0, 1, 3, 2]


def test_an_item_similar_to_the_first_comes_later() -> None:
    # After the first one: 0.45 - 0.5, 0.25 - 0, 0.35 - 0.2; and then: 0.45 - 0.25, 0.35 - 0.2.
    assert order(0.5) == [0, 2, 1, 3]


def test_diversity_alone_still_begins_with_the_most_relevant_item() -> None:
    # After 0 and 2 the likeness of 1 is 0.5 in the mean, that of 3 is 0.4.
    assert order(1) == [0, 2, 3, 1]


def test_the_beginning_is_that_of_the_whole() -> None:
    assert [order(0.5, n=n) for n in range(4)] == [order(0.5)[:n] for n in range(4)]
    assert order(0.5, n=9) == order(0.5)


@pytest.mark.parametrize("diversity", [0, 0.3, 1])
def test_a_later_tier_never_comes_first(diversity: float) -> None:
    first_two = order(diversity, tiers=np.array([3, 1, 0, 1]))
    assert first_two[0] == 2
    assert set(first_two[1:3]) == {1, 3}


def test_reranking_nothing_gives_empty_lists() -> None:
    nothing = np.empty((2, 0))
    no_tiers = nothing.astype(np.intp)
    alike = [np.empty((0, 0))] * 2
    assert rerank(nothing, alike, tiers=no_tiers, diversity=0.3, n=4).tolist() == [[], []]
    assert normalised_relevances(nothing.astype(np.float32), no_tiers).tolist() == [[], []]


@pytest.mark.parametrize("diversity", [0.05, 0.3, 0.7, 1.0])
def test_the_order_maximises_the_formula(diversity: float) -> None:
    """The rows have different lengths, and items are missing at any place."""
    random = np.random.default_rng(4)
    relevance = random.normal(size=(20, 30))
    relevance[random.random((20, 30)) < 0.3] = -np.inf
    relevance[0], relevance[1] = -np.inf, 0
    sides = random.random((20, 30, 30))
    alike = (sides + sides.swapaxes(1, 2)) / 2
    tiers = np.where(np.isneginf(relevance), -1, 0)
    chosen = rerank(relevance, alike, tiers=tiers, diversity=diversity, n=12)
    assert chosen.shape == (20, 12)
    for row, of_row in enumerate(chosen):
        [items] = np.nonzero(tiers[row] == 0)
        of_items = relevance[row, items], alike[row][np.ix_(items, items)]
        expected = items[plainly(*of_items, diversity, min(12, len(items)))]
        assert of_row.tolist() == [*expected, *[-1] * (12 - len(expected))]
        if diversity == 1 and len(items):
            assert of_row[0] == items[0]  # all are worth the same, and the first counts


def test_each_tier_has_a_scale_of_its_own() -> None:
    assert relevances([9.0, 7.0, 5.0, 0.25, 0.125], [0, 0, 0, 1, 1]) == [1, 0.5, 0, 1, 0]


def test_among_equal_scores_the_order_counts() -> None:
    assert relevances([0, 0, 0, 0], [0, 0, 0, 0]) == [1, 0.75, 0.5, 0.25]
    assert relevances([3, 0, 1, 0], [2, 1, 2, 1]) == [1, 1, 0, 0.5]


def test_a_tier_that_a_row_lacks_has_no_relevance() -> None:
    scores = np.array([[4, 2, 9], [7, 7, 1]], dtype=np.float32)
    found = normalised_relevances(scores, np.array([[0, 0, -1], [1, -1, 1]]))
    assert found.tolist() == [[1, 0, -np.inf], [1, -np.inf, 0]]


# --- how alike films are


def test_likeness_is_the_weighted_mean_of_the_kinds() -> None:
    items = features(
        "genre:drama genre:war decade:1960 language:fr director:varda keyword:paris",
        "genre:drama decade:1960 language:fr director:resnais keyword:paris",
        "genre:comedy decade:1970 language:it",
        "",
    )
    alike = pairwise_similarities(diversity_vectors(items), np.array([0, 1, 2, -1]))
    assert alike[0, 1] == pytest.approx(0.5 / 2**0.5 + 0.2 + 0.1)
    assert alike[0, 0] == alike[1, 1] == pytest.approx(1)
    assert alike[2, 2] == pytest.approx(0.8)  # of an unknown director
    assert alike[0, 2] == alike[3].sum() == 0
    assert (alike == alike.T).all()


def test_shares_of_unused_kinds_go_to_the_others() -> None:
    vectors = diversity_vectors(features("genre:war decade:1960", "genre:war decade:1970"))
    alike = pairwise_similarities(vectors, np.arange(2))
    assert alike[0, 1] == pytest.approx(0.5 / 0.7)


def test_items_without_shared_features_are_not_similar() -> None:
    vectors = diversity_vectors(features("keyword:paris", "keyword:paris"))
    assert not pairwise_similarities(vectors, np.arange(2)).any()


# --- as an evaluation sees it


def test_lists_of_an_evaluation_come_from_the_pools() -> None:
    items = features("genre:a", "genre:a", "genre:b", "genre:c")
    pools = np.array([[0, 1, 2, 3], [1, 0, -1, -1]])
    scores = np.array([[4.0, 3.9, 1.0, 0.0], [2.0, 1.0, np.nan, np.nan]], dtype=np.float32)
    lists = DiversityReranker(diversity_vectors(items), diversity=0.5).lists(pools, scores, 3)
    assert lists.tolist() == [[0, 2, 1], [1, 0, -1]]


# --- one of a kind at the beginning


@pytest.mark.parametrize(
    ("keys", "fixed", "order"),
    [
        ("abcdef", [], "012345"),
        ("aabcdef", [], "0234516"),
        ("aaabbcde", [], "03567124"),
        ("aab", [], "021"),
        ("aaa", [], "012"),
        ("", [], ""),
        ("abcdeaf", [], "0123456"),
        # "-" is of no series.
        ("-----", [], "01234"),
        # A fixed item stays, and an item like it makes room, though it stood before.
        ("abacdef", [2], "1324506"),
        ("aabcdef", [0, 1], "0123456"),
        # An item that is fixed behind the beginning has no effect, but stays.
        ("abcdeaaf", [6], "01234567"),
        ("aabcdef", [5], "0234651"),
    ],
)
def test_the_first_items_have_different_keys(keys: str, fixed: list[int], order: str) -> None:
    found = separate_equal_keys([key.strip("-") for key in keys], fixed=fixed, first=5)
    assert "".join(map(str, found)) == order


# --- what is fresh


def test_newness_halves_in_two_weeks_before_and_after() -> None:
    assert newness(np.array([0, 14, -14, 28, -700_000])).tolist() == [1, 0.5, 0.5, 0.25, 0]


def test_an_item_shown_once_has_no_fatigue() -> None:
    assert fatigue(np.array([0, 1, 2, 3, 10**9])).tolist() == [0, 0, 0.5, 0.75, 1]
