"""Candidates: rankings with fallbacks, and scores from stated preferences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import Scores
from recommendations.engine.ranking.reranking import (
    Opinions,
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


def test_scores_count_preferred_genres_and_are_unknown_without_one() -> None:
    assert same(scores(genres=[0, 1]), [2, 1, np.nan, np.nan])
    assert same(scores(genres=[2]), [np.nan, np.nan, 1, np.nan])


def test_a_language_counts_less_than_a_genre() -> None:
    assert same(scores(genres=[0], spoken=[0, 1, 1, 0]), [1, 1.5, 0.5, np.nan])
    assert same(scores(genres=[], spoken=[0, 0, 0, 1]), [np.nan, np.nan, np.nan, 0.5])


def test_popularity_decides_only_between_equal_preferences() -> None:
    standing = np.array([0, 0.999, 0.999, 0.999], dtype=np.float32)
    first, second, third, _ = scores(genres=[0, 1, 2], standing=standing)
    assert first > second == third
    only_spoken = scores(genres=[2], spoken=[1, 0, 0, 0], standing=np.float32(1) - standing)
    assert only_spoken[2] > only_spoken[0]


def test_a_viewer_without_preferences_gets_no_scores() -> None:
    assert same(scores(genres=[]), [np.nan] * 4)


def test_shares_are_of_those_below() -> None:
    values = np.array([5, 1, 5, 9], dtype=np.float32)
    assert percentile_ranks(values).tolist() == [0.25, 0, 0.25, 0.75]
    assert percentile_ranks(values[:0]).tolist() == []


EVERYTHING = np.ones((1, 4), dtype=bool)


def row(*values: float) -> Scores:
    return np.array([values], dtype=np.float32)


def opinions_of(*models: tuple[str, Scores]) -> Iterator[tuple[str, Opinions]]:
    """The (n_rows, n_items) scores of each model."""
    return ((name, scores.__getitem__) for name, scores in models)


def listed(ranked: RankedItems, user: int = 0) -> list[tuple[int, float, str]]:
    columns = zip(ranked.items[user], ranked.scores[user], ranked.sources[user], strict=True)
    return [
        (int(item), float(score), ranked.names[source])
        for item, score, source in columns
        if item >= 0
    ]


def items_of(ranked: RankedItems) -> list[int]:
    return [item for item, *_ in listed(ranked)]


def test_the_first_models_order_comes_first_and_the_next_fills_up() -> None:
    models = opinions_of(("als", row(0.25, NAN, 0.5, NAN)), ("popularity", row(9, 7, 8, NAN)))
    ranked = rank_with_fallback(models, candidates=EVERYTHING, n=4)
    assert listed(ranked) == [(2, 0.5, "als"), (0, 0.25, "als"), (1, 7, "popularity")]


def test_only_candidates_are_listed_and_at_most_n() -> None:
    candidates = np.array([[True, False, True, True]])
    models = opinions_of(("als", row(4, 3, 2, 1)))
    ranked = rank_with_fallback(models, candidates=candidates, n=2)
    assert items_of(ranked) == [0, 2]
    assert candidates.tolist() == [[True, False, True, True]]


def test_equal_scores_keep_the_order_of_the_items() -> None:
    models = opinions_of(("popularity", row(1, 2, 1, 2)))
    assert items_of(rank_with_fallback(models, candidates=EVERYTHING, n=4)) == [1, 3, 0, 2]
    models = opinions_of(("popularity", row(1, 2, 1, 1)))
    assert items_of(rank_with_fallback(models, candidates=EVERYTHING, n=2)) == [1, 0]


def test_without_models_or_candidates_the_list_is_empty() -> None:
    some = ("als", row(1, 2, 3, 4))
    for models, candidates, n in (
        ([], EVERYTHING, 4),
        ([some], ~EVERYTHING, 4),
        ([("als", row())], np.empty((1, 0), dtype=bool), 4),
        ([some], EVERYTHING, 0),
    ):
        ranked = rank_with_fallback(opinions_of(*models), candidates=candidates, n=n)
        assert listed(ranked) == []


def plainly(
    models: Mapping[str, Scores], user: int, wanted: Sequence[bool], n: int, pool: int
) -> list[tuple[int, float, str]]:
    """The list of one user: the sorted items of one model after the other, until there are n."""
    found: list[tuple[int, float, str]] = []
    for name, scores in models.items():
        taken = {item for item, *_ in found}
        of_model = [
            (item, float(score), name)
            for item, score in enumerate(scores[user])
            if wanted[item] and item not in taken and score == score
        ]
        found += sorted(of_model, key=lambda one: -one[1])[: pool - len(found)]
        if len(found) >= n:
            break
    return found


@given(
    first=st.lists(opinions, min_size=3, max_size=3),
    second=st.lists(opinions, min_size=3, max_size=3),
    wanted=st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=3, max_size=3),
    n=st.integers(0, 8),
    more=st.integers(0, 3),
)
def test_each_user_has_the_list_that_one_model_after_the_other_makes(
    first: list[list[float]],
    second: list[list[float]],
    wanted: list[list[bool]],
    n: int,
    more: int,
) -> None:
    scores = {
        "first": np.array(first, dtype=np.float32),
        "second": np.array(second, dtype=np.float32),
    }
    models, candidates = opinions_of(*scores.items()), np.array(wanted)
    ranked = rank_with_fallback(models, candidates=candidates, n=n, pool=n + more)
    for user in range(3):
        assert listed(ranked, user) == plainly(scores, user, wanted[user], n, n + more)


@pytest.mark.parametrize(
    ("n", "pool", "items"),
    [(1, 2, [0, 1]), (3, 9, [0, 1, 3]), (4, 4, [0, 1, 3, 2]), (2, None, [0, 1])],
)
def test_a_model_asked_for_the_list_may_also_fill_the_pool(
    n: int, pool: int | None, items: list[int]
) -> None:
    models = opinions_of(("first", row(4, 3, NAN, 1)), ("second", row(1, 1, 1, 1)))
    ranked = rank_with_fallback(models, candidates=EVERYTHING, n=n, pool=pool)
    assert items_of(ranked) == items


def test_a_fallback_is_asked_only_about_users_with_places_and_items_left() -> None:
    asked: dict[str, list[int]] = {}
    scores = {
        "first": np.vstack([row(4, 3, NAN, 1), row(4, 3, 2, 1)]),
        "second": np.ones((2, 4), dtype=np.float32),
    }

    def ask(name: str, rows: NDArray[np.intp]) -> Scores:
        asked[name] = rows.tolist()
        return scores[name][rows]

    def ranked(n: int, candidates: NDArray[np.bool_]) -> RankedItems:
        asked.clear()
        models = ((name, partial(ask, name)) for name in scores)
        return rank_with_fallback(models, candidates=candidates, n=n)

    both = np.ones((2, 4), dtype=bool)
    assert [len(listed(ranked(3, both), user)) for user in (0, 1)] == [3, 3]
    assert asked == {"first": [0, 1]}
    without_unknown = both & (np.arange(4) != 2)
    assert [len(listed(ranked(4, without_unknown), user)) for user in (0, 1)] == [3, 3]
    assert asked == {"first": [0, 1]}
    assert [len(listed(ranked(4, both), user)) for user in (0, 1)] == [4, 4]
    assert asked == {"first": [0, 1], "second": [0]}
