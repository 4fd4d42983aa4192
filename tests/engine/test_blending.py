from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommendations.engine.blending import Ranked, rank_with_fallback
from recommendations.engine.protocol import Scores

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
