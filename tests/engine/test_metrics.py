"""Metrics against values worked out by hand, and against another library."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from recommendations.engine.evaluation import metrics
from recommendations.engine.evaluation.metrics import ndcg
from tests.engine.camps import csr

Row = list[bool]


@pytest.mark.parametrize(
    ("hits", "n_relevant", "k", "expected"),
    [
        # Discounts of the places: 1/log2(2) = 1, 1/log2(3) = 0.6309, 1/log2(4) = 0.5.
        ([True], 1, 3, 1.0),
        # (0.6309 + 0.5) / (1 + 0.6309) = 1.1309 / 1.6309
        ([False, True, True], 2, 3, 0.6934),
        # (1 + 0.5) / (1 + 0.6309) = 1.5 / 1.6309
        ([True, False, True], 2, 3, 0.9197),
        # Only k = 3 of five relevant ones fit in: 1 / (1 + 0.6309 + 0.5)
        ([True, False, False], 5, 3, 0.4693),
        # A list shorter than k: 0.6309 / (1 + 0.6309)
        ([False, True], 2, 3, 0.3869),
        ([False, False, False], 2, 3, 0.0),
        ([], 2, 3, 0.0),
    ],
)
def test_ndcg_as_worked_out_by_hand(
    hits: list[bool], n_relevant: int, k: int, expected: float
) -> None:
    found = ndcg(np.array(hits, dtype=bool), n_relevant=n_relevant, k=k)
    assert found == pytest.approx(expected, abs=5e-5)


def test_ndcg_of_nothing_relevant_is_unknown() -> None:
    assert math.isnan(ndcg(np.array([False]), n_relevant=0, k=3))


def places(*ranks: int, length: int = 4) -> NDArray[np.bool_]:
    """A list with hits at these places, counted from 1."""
    return np.isin(np.arange(1, length + 1), ranks)


@pytest.mark.parametrize(
    ("ranks", "n_relevant", "expected"),
    [
        # recall, precision, hit rate, reciprocal rank, average precision; k = 4
        ((), 2, (0, 0, 0, 0, 0)),
        ((1,), 1, (1, 1 / 4, 1, 1, 1)),
        ((3,), 2, (1 / 2, 1 / 4, 1, 1 / 3, (1 / 3) / 2)),
        ((2, 4), 2, (1, 1 / 2, 1, 1 / 2, (1 / 2 + 2 / 4) / 2)),
        # Four of eight liked items fit in.
        ((1, 2), 8, (2 / 4, 2 / 4, 1, 1, (1 + 1) / 4)),
        ((1, 2, 3, 4), 8, (1, 1, 1, 1, 1)),
    ],
)
def test_metrics_by_rank_as_worked_out_by_hand(
    ranks: tuple[int, ...], n_relevant: int, expected: tuple[float, ...]
) -> None:
    hits = places(*ranks)[None, :]
    found = (
        metrics.recall(hits, n_relevant=[n_relevant], k=4),
        metrics.precision(hits, n_relevant=[n_relevant], k=4),
        metrics.hit_rate(hits, n_relevant=[n_relevant]),
        metrics.reciprocal_rank(hits, n_relevant=[n_relevant]),
        metrics.average_precision(hits, n_relevant=[n_relevant], k=4),
    )
    assert [float(value[0]) for value in found] == pytest.approx(expected)


def test_rows_without_likes_are_unknown() -> None:
    """And the other rows do not mind."""
    hits = np.array([[False, False], [True, False]])
    n_relevant = np.array([0, 1])
    for values in (
        ndcg(hits, n_relevant=n_relevant, k=2),
        metrics.recall(hits, n_relevant=n_relevant, k=2),
        metrics.precision(hits, n_relevant=n_relevant, k=1),
        metrics.hit_rate(hits, n_relevant=n_relevant),
        metrics.reciprocal_rank(hits, n_relevant=n_relevant),
        metrics.average_precision(hits, n_relevant=n_relevant, k=2),
    ):
        assert np.isnan(values[0])
        assert values[1] == 1


# --- another library


@pytest.fixture(scope="module")
def by_ranx() -> Callable[[list[Row], list[int], int], dict[str, NDArray[np.float64]]]:
    """The figures of ranx for each user, by the name of its metric."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        # The compiler of ranx takes ten seconds, and warns of its own casts.
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        # The first import warns of an escape in a text of ranx.
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # as Python 3.11 calls it
        from ranx import Qrels, Run, evaluate

    def find(hits: list[Row], n_relevant: list[int], k: int) -> dict[str, NDArray[np.float64]]:
        """A listed item is named by its place, and another liked item by a letter."""
        liked = {
            f"{user:03}": {str(place): 1 for place, hit in enumerate(row) if hit}
            | {f"x{number}": 1 for number in range(n - sum(row))}
            for user, (row, n) in enumerate(zip(hits, n_relevant, strict=True))
        }
        listed = {
            f"{user:03}": {str(place): 1 / (1 + place) for place in range(len(row))}
            for user, row in enumerate(hits)
        }
        names = ["ndcg", "recall", "precision", "hit_rate", "mrr", "map"]
        found = evaluate(Qrels(liked), Run(listed), [f"{n}@{k}" for n in names], return_mean=False)
        return {name: np.asarray(found[f"{name}@{k}"]) for name in names}

    return find


@given(data=st.data(), k=st.integers(1, 6))
def test_metrics_equal_those_of_another_library(
    by_ranx: Callable[[list[Row], list[int], int], dict[str, NDArray[np.float64]]],
    data: st.DataObject,
    k: int,
) -> None:
    """ranx divides recall and average precision by all likes, ours by at most k."""
    row = st.lists(st.booleans(), min_size=k, max_size=k)
    hits = data.draw(st.lists(row, min_size=1, max_size=4))
    n_relevant = [data.draw(st.integers(max(1, sum(listed)), sum(listed) + 5)) for listed in hits]
    expected = by_ranx(hits, n_relevant, k)
    of_at_most_k = np.array(n_relevant) / np.minimum(n_relevant, k)
    ours = np.array(hits)
    np.testing.assert_allclose(ndcg(ours, n_relevant=n_relevant, k=k), expected["ndcg"])
    np.testing.assert_allclose(
        metrics.recall(ours, n_relevant=n_relevant, k=k), expected["recall"] * of_at_most_k
    )
    np.testing.assert_allclose(
        metrics.precision(ours, n_relevant=n_relevant, k=k), expected["precision"]
    )
    np.testing.assert_allclose(metrics.hit_rate(ours, n_relevant=n_relevant), expected["hit_rate"])
    np.testing.assert_allclose(
        metrics.reciprocal_rank(ours, n_relevant=n_relevant), expected["mrr"]
    )
    np.testing.assert_allclose(
        metrics.average_precision(ours, n_relevant=n_relevant, k=k),
        expected["map"] * of_at_most_k,
    )


# --- by what is listed

LISTS = np.array([[0, 1, 2], [0, 3, -1], [-1, -1, -1]])


def test_coverage_as_worked_out_by_hand() -> None:
    """0, 1, 2 and 3 of eight."""
    assert metrics.coverage(LISTS, n_candidates=8) == 1 / 2
    assert math.isnan(metrics.coverage(LISTS[2:, :], n_candidates=0))


@pytest.mark.parametrize(
    ("lists", "n_candidates", "expected"),
    [
        ([[0, 1], [2, 3]], 4, 0.0),
        # Once each of 0, 1; never 2, 3: (-3*0 - 1*0 + 1*1 + 3*1) / (4 * 2)
        ([[0, 1]], 4, 4 / 8),
        # All places to one of four: (3 * 2) / (4 * 2)
        ([[0], [0]], 4, 3 / 4),
        # Twice 0, once 1, never 2: (-2*0 + 0*1 + 2*2) / (3 * 3)
        ([[0, 1], [0, -1]], 3, 4 / 9),
    ],
)
def test_gini_as_worked_out_by_hand(
    lists: list[list[int]], n_candidates: int, expected: float
) -> None:
    assert metrics.gini(np.array(lists), n_candidates=n_candidates) == pytest.approx(expected)


def test_gini_of_nothing_listed_is_unknown() -> None:
    assert math.isnan(metrics.gini(LISTS[2:], n_candidates=4))


def test_novelty_as_worked_out_by_hand() -> None:
    """4, 2, 1 and 0 of 8 users know the films: 1, 2, 3 and, counted as one, 3 bits."""
    found = metrics.novelty(LISTS, touched_by=np.array([4, 2, 1, 0]), n_users=8)
    np.testing.assert_allclose(found, [2, 2, np.nan])


def test_popularity_as_worked_out_by_hand() -> None:
    """Shares of 1/2, 1/4, 1/8 and 0."""
    found = metrics.popularity(LISTS, touched_by=np.array([4, 2, 1, 0]), n_users=8)
    np.testing.assert_allclose(found, [7 / 24, 1 / 4, np.nan])


def test_diversity_as_worked_out_by_hand() -> None:
    """Cosines: of 0 and 1 it is 1, whatever their lengths, of 0 and 2 it is 0, of 0 and 3 the root
    of 1/2. The first list has the distances 0, 1, 1, the second 1 less the root."""
    features = csr([[1, 0], [5, 0], [0, 2], [1, 1]])
    found = metrics.diversity(LISTS, features=features)
    np.testing.assert_allclose(found, [2 / 3, 1 - math.sqrt(1 / 2), np.nan], atol=1e-6)


def test_films_without_features_do_not_count_in_diversity() -> None:
    features = csr([[1, 0], [0, 0], [0, 1], [0, 0]])
    found = metrics.diversity(LISTS, features=features)
    np.testing.assert_allclose(found, [1, np.nan, np.nan])


def test_miscalibration_as_worked_out_by_hand() -> None:
    """Film 0 is a; 1 is a and b, half each; 2 is b; 3 is nothing.

    The first liked 0 and 2, half a and half b; shown are 0, 1, 2: again half and half.
    The second liked 1: half and half; shown is 0 and 3: a alone. With 0.01 of the former mixed in:
    1/2 log(1/2 / 0.995) + 1/2 log(1/2 / 0.005) = 0.5 * -0.6881 + 0.5 * 4.6052 = 1.9585.
    The third likes 2 and is shown nothing.
    """
    genres = csr([[1, 0], [1, 1], [0, 1], [0, 0]])
    liked = csr([[3, 0, 1, 0], [0, 2, -1, 0], [0, 0, 1, 0]])
    found = metrics.miscalibration(LISTS, liked, genres=genres)
    np.testing.assert_allclose(found, [0, 1.9585, np.nan], atol=5e-5)


def test_dislikes_do_not_count_as_wanted_genres() -> None:
    genres = csr([[1, 0], [0, 1], [0, 1], [0, 1]])
    found = metrics.miscalibration(np.array([[0]]), csr([[1, -3, 0, -1]]), genres=genres)
    np.testing.assert_allclose(found, [0], atol=1e-12)
