"""What is preferred: genres before languages, and then what stands higher."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import Scores
from recommendations.engine.ranking.candidates import percentile_ranks, preference_scores

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
