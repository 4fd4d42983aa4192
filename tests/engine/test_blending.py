from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommendations.engine.composite import blend, min_max_normalised
from recommendations.engine.matrices import Scores
from recommendations.engine.ranking.candidates import Ranked, rank_with_fallback

NAN = float("nan")
EVERYTHING = np.ones(4, dtype=bool)


def row(*values: float) -> Scores:
    return np.array(values, dtype=np.float32)


def test_the_first_models_order_comes_first_and_the_next_fills_up() -> None:
    ranked = rank_with_fallback(
        [("als", row(0.25, NAN, 0.5, NAN)), ("popularity", row(9, 7, 8, NAN))],
        candidates=EVERYTHING,
        n=4,
    )
    assert ranked == [Ranked(2, 0.5, "als"), Ranked(0, 0.25, "als"), Ranked(1, 7, "popularity")]


def test_only_candidates_are_listed_and_at_most_n() -> None:
    candidates = np.array([True, False, True, True])
    ranked = rank_with_fallback([("als", row(4, 3, 2, 1))], candidates=candidates, n=2)
    assert [place.item for place in ranked] == [0, 2]
    assert candidates.tolist() == [True, False, True, True]


def test_equal_scores_keep_the_order_of_the_items() -> None:
    ranked = rank_with_fallback([("popularity", row(1, 2, 1, 2))], candidates=EVERYTHING, n=4)
    assert [place.item for place in ranked] == [1, 3, 0, 2]


def test_without_models_or_without_candidates_there_is_nothing() -> None:
    assert rank_with_fallback([], candidates=EVERYTHING, n=4) == []
    assert rank_with_fallback([("als", row(1, 2, 3, 4))], candidates=~EVERYTHING, n=4) == []
    assert rank_with_fallback([("als", row())], candidates=np.empty(0, dtype=bool), n=4) == []
    assert rank_with_fallback([("als", row(1, 2, 3, 4))], candidates=EVERYTHING, n=0) == []


opinions = st.lists(st.sampled_from([NAN, 0.0, 1.0, 2.0]), min_size=6, max_size=6)


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
    items = [place.item for place in ranked]
    known = ~np.isnan(scores["first"]) | ~np.isnan(scores["second"])
    assert len(items) == len(set(items)) == min(n, int((known & wanted).sum()))
    assert all(wanted[item] for item in items)
    assert all(place.score == scores[place.source][place.item] for place in ranked)
    sources = [place.source for place in ranked]
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
    assert [place.item for place in ranked] == items


def test_the_next_is_asked_only_while_places_and_items_are_left() -> None:
    asked: list[str] = []

    def opinions() -> Iterator[tuple[str, Scores]]:
        for name, scores in (("first", row(4, 3, NAN, 1)), ("second", row(1, 1, 1, 1))):
            asked.append(name)
            yield name, scores

    for n, candidates in ((3, EVERYTHING), (4, row(1, 1, 0, 1) > 0)):
        asked.clear()
        assert len(rank_with_fallback(opinions(), candidates=candidates, n=n)) == 3
        assert asked == ["first"]
    assert len(rank_with_fallback(opinions(), candidates=EVERYTHING, n=4)) == 4


# --- blending


def rows(*values: list[float]) -> Scores:
    return np.array(values, dtype=np.float32)


def test_normalised_rows_go_from_zero_to_one() -> None:
    """Scale and place of a part's scores are lost."""
    found = min_max_normalised(rows([1, 3, 2, NAN], [-10, NAN, 30, 0]))
    np.testing.assert_allclose(found, rows([0, 1, 0.5, NAN], [0, NAN, 1, 0.25]))


def test_where_all_are_equal_or_unknown_nothing_is_told_apart() -> None:
    found = min_max_normalised(rows([7, 7, 7], [NAN, NAN, NAN], [1e6, 1e6, 1e6 + 0.01]))
    np.testing.assert_array_equal(found, rows([0, 0, 0], [NAN, NAN, NAN], [0, 0, 0]))
    assert min_max_normalised(np.zeros((2, 0), dtype=np.float32)).shape == (2, 0)


def test_a_blend_is_the_weighted_mean() -> None:
    scores = {"als": rows([1, 3]), "content": rows([40, 20])}
    found = blend(scores, {"als": 3, "content": 1}, shape=(1, 2))
    np.testing.assert_allclose(found.scores, rows([0.25, 0.75]))  # (3·0 + 1·1) / 4
    assert found.parts == ("als", "content")
    assert found.leading.tolist() == [[1, 0]]


def test_a_part_without_an_opinion_gives_its_weight_to_the_others() -> None:
    scores = {"als": rows([1, 3, NAN, NAN]), "content": rows([NAN, 0, 2, NAN])}
    found = blend(scores, {"als": 3, "content": 1}, shape=(1, 4))
    np.testing.assert_allclose(found.scores, rows([0, 0.75, 1, NAN]))
    assert found.leading.tolist() == [[0, 0, 1, -1]]


def test_a_part_without_a_weight_is_not_asked() -> None:
    scores = {"als": rows([1, 3]), "content": rows([40, 20])}
    found = blend(scores, {"als": 0, "content": 2}, shape=(1, 2))
    np.testing.assert_allclose(found.scores, rows([1, 0]))
    assert found.leading.tolist() == [[1, 1]]
    assert np.isnan(blend(scores, {}, shape=(1, 2)).scores).all()


def test_some_items_alone_are_blended_as_among_all() -> None:
    scores = {"als": rows([1, 3, 2, 9]), "content": rows([40, 20, NAN, 30])}
    weights, items = {"als": 3.0, "content": 1.0}, np.array([2, 0])
    whole = blend(scores, weights, shape=(1, 4))
    found = blend(scores, weights, shape=(1, 4), items=items)
    np.testing.assert_array_equal(found.scores, whole.scores[:, items])
    np.testing.assert_array_equal(found.leading, whole.leading[:, items])
