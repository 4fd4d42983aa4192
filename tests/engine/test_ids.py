from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommendations.engine.matrices import IdMap

ids = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 9)


def id_map(values: list[int]) -> IdMap:
    return IdMap(np.array(values, dtype=np.int64))


def test_indices_are_places_among_the_ids() -> None:
    films = id_map([3, 7, 40])
    assert len(films) == 3
    assert films.indices([40, 3, 5, 41, 0, 7, 7]).tolist() == [2, 0, -1, -1, -1, 1, 1]
    assert films.indices(film for film in (7,)).tolist() == [1]
    assert films.indices([]).tolist() == []
    assert films.indices([7]).dtype == np.int32


def test_big_endian_ids_as_postgres_sends_them_are_understood() -> None:
    assert id_map([3, 7, 40]).indices(np.array([7, 8], dtype=">i8")).tolist() == [1, -1]


def test_an_empty_map_knows_nothing() -> None:
    assert id_map([]).indices([1, 2]).tolist() == [-1, -1]
    assert id_map([]).indices([]).tolist() == []


@given(known=st.sets(ids), asked=st.lists(ids))
def test_there_and_back(known: set[int], asked: list[int]) -> None:
    films = id_map(sorted(known))
    for film, index in zip(asked, films.indices(asked).tolist(), strict=True):
        assert index == -1 if film not in known else films.ids[index] == film
