"""Candidates: rankings with fallbacks, and scores from stated preferences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import Scores
from recommendations.engine.ranking.reranking import (
    RankedItems,
    percentile_ranks,
    preference_scores,
    rank_with_fallback,
)

NAN = float("nan")
opinions = st.lists(st.sampled_from([NAN, 0.0, 1.0, 2.0]), min_size=6, max_size=6)
#: Four films of three genres.
GENRES = csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], dtype=np.float32))
LOW = np.zeros(4, dtype=np.float32)


def scores(
    *, genres: list[int], spoken: list[int] | None = None, standing: Scores = LOW
) -> list[float]:
    found = preference_scores(
        GENRES,
        wanted_genres=np.array(genres, dtype=np.int32),
        in_wanted_language=np.array(spoken or [0, 0, 0, 0], dtype=bool),
        standing=standing,
    )
    assert found.dtype == np.float32
    return [round(score, 4) for score in found.tolist()]


def same(found: list[float], expected: list[float]) -> bool:
    return bool(np.array_equal(found, expected, equal_nan=True))


def test_each_genre_counts_and_what_has_none_is_no_opinion() -> None:
    assert same(scores(genres=[0, 1]), [2, 1, np.nan, np.nan])
    assert same(scores(genres=[2]), [np.nan, np.nan, 1, np.nan])


def test_a_language_says_less_than_a_genre() -> None:
    assert same(scores(genres=[0], spoken=[0, 1, 1, 0]), [1, 1.5, 0.5, np.nan])
    assert same(scores(genres=[], spoken=[0, 0, 0, 1]), [np.nan, np.nan, np.nan, 0.5])


def test_the_standing_decides_only_between_equals() -> None:
    standing = np.array([0, 0.999, 0.999, 0.999], dtype=np.float32)
    first, second, third, _ = scores(genres=[0, 1, 2], standing=standing)
    assert first > second == third
    only_spoken = scores(genres=[2], spoken=[1, 0, 0, 0], standing=np.float32(1) - standing)
    assert only_spoken[2] > only_spoken[0]


def test_who_prefers_nothing_has_no_opinion() -> None:
    assert same(scores(genres=[]), [np.nan] * 4)


def test_shares_are_of_those_below() -> None:
    values = np.array([5, 1, 5, 9], dtype=np.float32)
    assert percentile_ranks(values).tolist() == [0.25, 0, 0.25, 0.75]
    assert percentile_ranks(values[:0]).tolist() == []


EVERYTHING = np.ones(4, dtype=bool)


def row(*values: float) -> Scores:
    return np.array(values, dtype=np.float32)


def listed(ranked: RankedItems) -> list[tuple[int, float, str]]:
    names = [ranked.names[source] for source in ranked.sources]
    return list(zip(ranked.items.tolist(), ranked.scores.tolist(), names, strict=True))


def test_the_first_models_order_comes_first_and_the_next_fills_up() -> None:
    ranked = rank_with_fallback(
        [("als", row(0.25, NAN, 0.5, NAN)), ("popularity", row(9, 7, 8, NAN))],
        candidates=EVERYTHING,
        n=4,
    )
    assert listed(ranked) == [(2, 0.5, "als"), (0, 0.25, "als"), (1, 7, "popularity")]


def test_only_candidates_are_listed_and_at_most_n() -> None:
    candidates = np.array([True, False, True, True])
    ranked = rank_with_fallback([("als", row(4, 3, 2, 1))], candidates=candidates, n=2)
    assert ranked.items.tolist() == [0, 2]
    assert candidates.tolist() == [True, False, True, True]


def test_equal_scores_keep_the_order_of_the_items() -> None:
    ranked = rank_with_fallback([("popularity", row(1, 2, 1, 2))], candidates=EVERYTHING, n=4)
    assert ranked.items.tolist() == [1, 3, 0, 2]


def test_without_models_or_without_candidates_there_is_nothing() -> None:
    assert listed(rank_with_fallback([], candidates=EVERYTHING, n=4)) == []
    assert listed(rank_with_fallback([("als", row(1, 2, 3, 4))], candidates=~EVERYTHING, n=4)) == []
    assert (
        listed(rank_with_fallback([("als", row())], candidates=np.empty(0, dtype=bool), n=4)) == []
    )
    assert listed(rank_with_fallback([("als", row(1, 2, 3, 4))], candidates=EVERYTHING, n=0)) == []


@given(
    first=opinions,
    second=opinions,
    wanted=st.lists(st.booleans(), min_size=6, max_size=6),
    n=st.integers(0, 8),
)
def test_nothing_is_listed_twice_or_unasked_for(
    first: list[float], second: list[float], wanted: list[bool], n: int
) -> None:
    scores = {"first": row(*first), "second": row(*second)}
    ranked = rank_with_fallback(scores.items(), candidates=np.array(wanted), n=n)
    items = ranked.items.tolist()
    known = ~np.isnan(scores["first"]) | ~np.isnan(scores["second"])
    assert len(items) == len(set(items)) == min(n, int((known & wanted).sum()))
    assert all(wanted[item] for item in items)
    assert all(score == scores[source][item] for item, score, source in listed(ranked))
    sources = [source for _, _, source in listed(ranked)]
    assert sources == sorted(sources)


@pytest.mark.parametrize(
    ("n", "pool", "items"),
    [(1, 2, [0, 1]), (3, 9, [0, 1, 3]), (4, 4, [0, 1, 3, 2]), (2, None, [0, 1])],
)
def test_whom_one_asks_anyway_says_more_and_nobody_else_is_asked(
    n: int, pool: int | None, items: list[int]
) -> None:
    scores = [("first", row(4, 3, NAN, 1)), ("second", row(1, 1, 1, 1))]
    ranked = rank_with_fallback(scores, candidates=EVERYTHING, n=n, pool=pool)
    assert ranked.items.tolist() == items


def test_the_next_is_asked_only_while_places_and_items_are_left() -> None:
    asked: list[str] = []

    def opinions() -> Iterator[tuple[str, Scores]]:
        for name, scores in (("first", row(4, 3, NAN, 1)), ("second", row(1, 1, 1, 1))):
            asked.append(name)
            yield name, scores

    for n, candidates in ((3, EVERYTHING), (4, row(1, 1, 0, 1) > 0)):
        asked.clear()
        assert len(rank_with_fallback(opinions(), candidates=candidates, n=n).items) == 3
        assert asked == ["first"]
    assert len(rank_with_fallback(opinions(), candidates=EVERYTHING, n=4).items) == 4
