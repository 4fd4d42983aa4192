from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.matrices import IdMap, product_of_rows, row_entries
from recommendations.engine.recommender import RemappedRecommender
from tests.engine.camps import N_ITEMS, csr, two_camps

ids = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 9)


def id_map(values: list[int]) -> IdMap:
    return IdMap(np.array(values, dtype=np.int64))


def test_indices_are_the_positions_of_the_ids() -> None:
    films = id_map([3, 7, 40])
    assert len(films) == 3
    assert films.indices([40, 3, 5, 41, 0, 7, 7]).tolist() == [2, 0, -1, -1, -1, 1, 1]
    assert films.indices(film for film in (7,)).tolist() == [1]
    assert films.indices([]).tolist() == []
    assert films.indices([7]).dtype == np.int32


def test_big_endian_ids_as_postgres_sends_them_are_understood() -> None:
    assert id_map([3, 7, 40]).indices(np.array([7, 8], dtype=">i8")).tolist() == [1, -1]


def test_an_empty_map_has_no_indices() -> None:
    assert id_map([]).indices([1, 2]).tolist() == [-1, -1]
    assert id_map([]).indices([]).tolist() == []


@given(known=st.sets(ids), asked=st.lists(ids))
def test_ids_and_indices_are_inverse(known: set[int], asked: list[int]) -> None:
    films = id_map(sorted(known))
    for film, index in zip(asked, films.indices(asked).tolist(), strict=True):
        assert index == -1 if film not in known else films.ids[index] == film


THEN = IdMap(np.arange(10, 10 + N_ITEMS))


def test_items_in_other_columns_get_the_scores_that_they_had() -> None:
    """Since then the items 10 and 13 have gone, and 5, 12.5 as it were, and 99 are new."""
    recommender = two_camps().fit(AlsRecommender())
    now = IdMap(np.array([5, 11, 12, 14, 15, 16, 17, 18, 19, 99]))
    of_today = csr([[1, 2, 0, -1, 0, 0, 0, 0, 0, 3], [0] * 9 + [3]])
    of_then = csr([[0, 2, 0, 0, -1, 0, 0, 0, 0, 0], [0] * N_ITEMS])
    scores = RemappedRecommender(recommender, THEN, now).score(of_today)
    expected = recommender.score(of_then)
    assert scores.shape == (2, len(now))
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores[:, 1:9], expected[:, [1, 2, 4, 5, 6, 7, 8, 9]], rtol=1e-5)
    assert np.isnan(scores[:, [0, 9]]).all()


def test_without_common_items_there_are_no_scores() -> None:
    recommender = two_camps().fit(AlsRecommender())
    for now in (IdMap(np.array([1, 2])), IdMap(np.empty(0, dtype=np.int64))):
        history = csr(np.ones((3, len(now))))
        scores = RemappedRecommender(recommender, THEN, now).score(
            history, history.astype(np.float64)
        )
        assert scores.shape == history.shape
        assert np.isnan(scores).all()


@given(seed=st.integers(0, 999), rows=st.lists(st.integers(0, 5), max_size=8))
def test_few_rows_of_a_sparse_matrix_are_read_and_multiplied(seed: int, rows: list[int]) -> None:
    rng = np.random.default_rng(seed)
    matrix = csr(rng.integers(0, 4, (6, 5)) * rng.integers(0, 2, (6, 1)))  # some rows are empty
    dense, wanted = rng.random((5, 3)), np.array(rows, dtype=np.intp)
    values, columns, counts = row_entries(matrix, wanted)
    assert values.tolist() == matrix[wanted].data.tolist()
    assert columns.tolist() == matrix[wanted].indices.tolist()
    assert counts.tolist() == np.diff(matrix[wanted].indptr).tolist()
    np.testing.assert_allclose(product_of_rows(matrix, wanted, dense), matrix[wanted] @ dense)
