from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from recommendations.engine.algorithms._fold_in import FactorModel, fold_in, fold_in_all
from tests.engine.camps import csr

N_ITEMS = 30


def model(*, factors: int, seed: int = 3) -> FactorModel:
    """Random factors; items 20 to 24 are cold, and of those from 25 on nothing is known."""
    random = np.random.default_rng(seed)
    item_factors = random.normal(scale=0.3, size=(N_ITEMS, factors)).astype(np.float32)
    item_factors[25:] = 0
    known, cold = np.arange(N_ITEMS) < 20, (np.arange(N_ITEMS) >= 20) & (np.arange(N_ITEMS) < 25)
    touched = item_factors[known].astype(np.float64)
    gram = touched.T @ touched + 0.7 * np.eye(factors)
    return FactorModel(item_factors, gram, known, cold, np.full(N_ITEMS, 9, dtype=np.int32), 4.0)


MODELS = {factors: model(factors=factors) for factors in (4, 16, 64)}
weights = st.sampled_from([0, 0, 0, -3, -0.25, 0.25, 0.5, 1, 3])


@pytest.mark.parametrize("factors", MODELS)
@given(history=arrays(np.float32, st.tuples(st.integers(1, 3), st.just(N_ITEMS)), elements=weights))
@settings(max_examples=60, deadline=None)
def test_many_at_once_are_folded_in_as_each_alone(
    factors: int, history: NDArray[np.float32]
) -> None:
    """By whichever equations: with 64 factors all by as many as items, with 4 hardly any."""
    rows = csr(history)
    vectors = fold_in_all(MODELS[factors], rows)
    assert vectors.dtype == np.float32
    for row, vector in enumerate(vectors):
        alone = fold_in(MODELS[factors], rows, row)
        if alone is None:
            assert np.isnan(vector).all()
        else:
            np.testing.assert_allclose(vector, alone.vector, rtol=1e-4, atol=1e-5)


def test_the_equations_hold() -> None:
    """(G + Y'DY) x = Y'p by hand, for one like of the confidence 4 and one dislike of 8."""
    like, dislike = 3, 5
    of = MODELS[4]
    history = np.zeros((1, N_ITEMS), dtype=np.float32)
    history[0, [like, dislike]] = 1, -2
    [x] = fold_in_all(of, csr(history)).astype(np.float64)
    y = of.item_factors.astype(np.float64)
    left = of.gram + 3 * np.outer(y[like], y[like]) + 7 * np.outer(y[dislike], y[dislike])
    np.testing.assert_allclose(left @ x, 4 * y[like], rtol=1e-5)
