"""Folding in and explaining: our NumPy held against `implicit` and against the paper's algebra."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine import artifacts
from recommendations.engine.algorithms._factor_model import (
    FactorModel,
    FoldedIn,
    fold_in_all,
    user_vectors,
)
from recommendations.engine.algorithms.als import AlsRecommender
from tests.engine.camps import CAMP_ITEMS, N_ITEMS, Data, csr, data_of, explainer, two_camps

ROOT = Path(__file__).resolve().parents[2]
UNTOUCHED = [2, 7]


def signed_matrix(*, n_users: int = 60, n_items: int = 40, seed: int = 7) -> csr_matrix:
    """Weights of every kind on a quarter of the places; the zeros among them are stored."""
    random = np.random.default_rng(seed)
    places = np.argwhere(random.random((n_users, n_items)) < 1 / 4)
    values = random.choice([-3, -2, -1, 0, 0.5, 1, 2, 3], size=len(places))
    shape = (n_users, n_items)
    return csr_matrix((values.astype(np.float32), places.T), shape=shape)


@cache
def fitted() -> AlsRecommender:
    return AlsRecommender(factors=16).fit(signed_matrix())


def history_of(weights: dict[int, float], n_items: int = N_ITEMS) -> csr_matrix:
    row = np.zeros((1, n_items), dtype=np.float32)
    row[0, list(weights)] = list(weights.values())
    return csr(row)


@pytest.mark.parametrize("factors", [1, 8, 33, 64])
def test_folding_in_equals_implicit(factors: int) -> None:
    from implicit.cpu.als import AlternatingLeastSquares

    interactions = signed_matrix()
    ours = AlsRecommender(factors=factors, regularization=2.0, alpha=5.0).fit(interactions)
    arrays = ours.to_arrays()
    theirs = AlternatingLeastSquares(factors=factors, regularization=2.0, alpha=arrays["scale"][0])
    theirs.item_factors = np.array(arrays["item_factors"])
    for history in (interactions, signed_matrix(seed=8)):  # known users, and new ones
        vectors = theirs.recalculate_user(np.arange(history.shape[0]), history)
        expected = vectors @ theirs.item_factors.T
        expected[history.maximum(0).sum(axis=1).A1 == 0] = np.nan  # nothing liked: no opinion
        np.testing.assert_allclose(ours.score(history), expected, rtol=1e-3, atol=1e-4)


@given(seed=st.integers(0, 2**16), user=st.integers(0, 59))
@settings(max_examples=20)
def test_contributions_of_what_was_liked_sum_to_the_score(seed: int, user: int) -> None:
    history = csr_matrix(signed_matrix(seed=seed)[user])
    items = np.arange(history.shape[1])
    parts = explainer(fitted(), history).contributions(items)
    scores = fitted().score(history)[0]
    if parts is None:
        assert np.isnan(scores).all()
    else:
        assert parts.shape == (len(items), history.nnz)
        assert not parts[:, history.data <= 0].any()
        np.testing.assert_allclose(parts.sum(axis=1), scores, atol=1e-5)


def test_contributions_are_of_the_items_asked_for_in_their_order() -> None:
    recommender = two_camps().fit(AlsRecommender())
    history = history_of({0: 3, 6: 1, 1: 2})
    every = explainer(recommender, history).contributions(np.arange(N_ITEMS))
    some = explainer(recommender, history).contributions(np.array([7, 2]))
    assert every is not None
    assert some is not None
    np.testing.assert_allclose(some, every[[7, 2]])
    # Entries follow `history.indices`: 0, 1, 6. What is of the item's own camp raised it.
    assert (some[0].argmax(), some[1].argmax()) == (2, 0)


def test_taking_the_strongest_contributor_away_lowers_the_score() -> None:
    interactions, recommender = signed_matrix(), fitted()
    for user in np.flatnonzero((interactions > 0).sum(axis=1).A1 >= 2).tolist():
        history = interactions[user]
        scores = recommender.score(history)[0]
        unseen = np.setdiff1d(np.arange(interactions.shape[1]), history.indices)
        best = unseen[[scores[unseen].argmax()]]
        parts = explainer(recommender, history).contributions(best)
        assert parts is not None
        without = history.copy()
        without.data[parts[0].argmax()] = 0
        without.eliminate_zeros()
        assert recommender.score(without)[0, best[0]] < scores[best[0]]


@pytest.mark.parametrize("weight", [-1, -2, -3])
def test_a_dislike_does_not_raise_similar_items(weight: float) -> None:
    recommender = two_camps().fit(AlsRecommender())
    neighbours = np.arange(3, CAMP_ITEMS)
    likes = {0: 2.0, 1: 2.0}
    before = recommender.score(history_of(likes))[0]
    after = recommender.score(history_of({**likes, 2: weight}))[0]
    assert (after[neighbours] < before[neighbours]).all()
    assert after[2] < before[2]
    # It says little of the other camp.
    assert (after[CAMP_ITEMS:] < after[neighbours].min()).all()


def test_a_stronger_like_raises_similar_items() -> None:
    recommender = two_camps().fit(AlsRecommender())
    scores = [recommender.score(history_of({0: weight}))[0] for weight in (0.5, 1, 2, 3)]
    assert (np.diff([row[1:CAMP_ITEMS].mean() for row in scores]) > 0).all()


def test_weights_count_relative_to_their_mean() -> None:
    """Stars from 1 to 5 or from 10 to 50: the same model."""
    data = two_camps()
    history = history_of({0: 1.0, 1: 1.0})
    once = AlsRecommender().fit(data.interactions).score(history)
    tenfold = AlsRecommender().fit(data.interactions * np.float32(10)).score(history * 10)
    np.testing.assert_allclose(once, tenfold, atol=1e-4)


def test_scoring_imports_neither_implicit_nor_django(tmp_path: Path) -> None:
    artifacts.save(tmp_path / "release", two_camps().fit(AlsRecommender()).to_arrays(), {})
    program = """
import sys
from pathlib import Path
import numpy as np
from scipy.sparse import csr_matrix
from recommendations.engine import artifacts
from recommendations.engine.algorithms import ALGORITHMS

arrays, _ = artifacts.load(Path(sys.argv[1]))
recommender = ALGORITHMS["als"].from_arrays(arrays)
history = csr_matrix(np.eye(1, 10, dtype=np.float32))
scores = recommender.score(history)
assert np.isfinite(scores).all()
explainer = recommender.scoring_type(recommender, history).explainer()
assert explainer.contributions(np.array([1])) is not None
print(sorted({"implicit", "django"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "release"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_model_from_before_like_counts_scores_but_finds_no_similar_items() -> None:
    arrays = fitted().to_arrays()
    del arrays["liked_by"]
    older = AlsRecommender.from_arrays(arrays)
    history = signed_matrix()
    np.testing.assert_array_equal(older.score(history), fitted().score(history))
    assert np.isnan(older.similar_items(0)).all()


def untouched_of_each_camp() -> Data:
    """The camps, with one film in each that nobody has touched: 2 and 7."""
    likes = two_camps().interactions.toarray()
    likes[:, UNTOUCHED] = 0
    return data_of(csr(likes))


def test_an_untouched_film_with_features_is_ranked_with_its_kind_and_marked() -> None:
    data = untouched_of_each_camp()
    recommender = data.fit(AlsRecommender())
    copy = AlsRecommender.from_arrays(recommender.to_arrays())
    for model in (recommender, copy):
        assert np.flatnonzero(model.cold).tolist() == UNTOUCHED
        left, right = model.score(csr(np.eye(N_ITEMS)[[0, 5]]))
        assert left[2] > left[7]
        assert right[7] > right[2]
        assert np.isfinite(left).all()
        assert np.isnan(model.similar_items(2)).all()


def test_features_change_nothing_for_films_that_somebody_has_touched() -> None:
    data = untouched_of_each_camp()
    with_features = data.fit(AlsRecommender()).score(data.interactions)
    without = data.without_features().fit(AlsRecommender())
    assert not without.cold.any()
    scores = without.score(data.interactions)
    assert np.isnan(scores[:, UNTOUCHED]).all()
    touched = np.setdiff1d(np.arange(N_ITEMS), UNTOUCHED)
    np.testing.assert_array_equal(scores[:, touched], with_features[:, touched])


def test_a_like_of_a_cold_film_raises_its_camp() -> None:
    scores = untouched_of_each_camp().fit(AlsRecommender()).score(history_of({2: 1.0}))[0]
    assert scores[:CAMP_ITEMS].min() > scores[CAMP_ITEMS:].max()


def test_a_new_film_folds_in_on_top_of_the_cross_product_in_which_it_is_not() -> None:
    """One film y with confidence c solves (gram + c·y·yᵀ) x = c·y."""
    recommender = untouched_of_each_camp().fit(AlsRecommender())
    arrays = recommender.to_arrays()
    factors, confidence = np.array(arrays["item_factors"], dtype=np.float64), 2 * arrays["scale"][0]
    left = arrays["gram"] + confidence * np.outer(factors[2], factors[2])
    expected = factors @ np.linalg.solve(left, confidence * factors[2])
    np.testing.assert_allclose(recommender.score(history_of({2: 2.0}))[0], expected, rtol=1e-4)


def test_an_item_with_interactions_is_no_longer_cold() -> None:
    early, full = untouched_of_each_camp(), two_camps()
    recommender = full.update(early.fit(AlsRecommender()))
    assert not recommender.cold.any()


def test_a_model_from_before_cold_factors_knows_no_cold_items() -> None:
    arrays = fitted().to_arrays()
    del arrays["cold"]
    assert not AlsRecommender.from_arrays(arrays).cold.any()


MODEL_ITEMS = 30


def model(*, factors: int, seed: int = 3) -> FactorModel:
    """Random factors; items 20 to 24 are cold, and of those from 25 on nothing is known."""
    random = np.random.default_rng(seed)
    item_factors = random.normal(scale=0.3, size=(MODEL_ITEMS, factors)).astype(np.float32)
    item_factors[25:] = 0
    known, cold = (
        np.arange(MODEL_ITEMS) < 20,
        (np.arange(MODEL_ITEMS) >= 20) & (np.arange(MODEL_ITEMS) < 25),
    )
    touched = item_factors[known].astype(np.float64)
    gram = touched.T @ touched + 0.7 * np.eye(factors)
    return FactorModel(
        item_factors, gram, known, cold, np.full(MODEL_ITEMS, 9, dtype=np.int32), 4.0
    )


MODELS = {factors: model(factors=factors) for factors in (4, 16, 64)}
weights = st.sampled_from([0, 0, 0, -3, -0.25, 0.25, 0.5, 1, 3])


@pytest.mark.parametrize("factors", MODELS)
@given(
    history=arrays(np.float32, st.tuples(st.integers(1, 3), st.just(MODEL_ITEMS)), elements=weights)
)
@settings(max_examples=60)
def test_many_at_once_are_folded_in_as_each_alone(
    factors: int, history: NDArray[np.float32]
) -> None:
    """Both forms of the equations are used: the small one for 64 factors, the large one for 4."""
    model, rows = MODELS[factors], csr(history)
    vectors = user_vectors(model, fold_in_all(model, rows))
    assert vectors.dtype == np.float32
    for row, vector in enumerate(vectors):
        own = FoldedIn.of(model, rows, row)
        if own is None:
            assert np.isnan(vector).all()
            continue
        left = model.gram + (own.factors.T * own.beyond) @ own.factors
        alone = np.linalg.solve(left, own.pull @ own.factors)
        np.testing.assert_allclose(vector, alone, rtol=1e-4, atol=1e-5)
        solved = np.linalg.solve(left, model.item_factors.T.astype(np.float64)).T
        np.testing.assert_allclose(own.solved(np.arange(MODEL_ITEMS)), solved, atol=1e-8)


def test_a_folded_in_viewer_solves_the_equations() -> None:
    """(G + Y'DY) x = Y'p by hand, for one like of the confidence 4 and one dislike of 8."""
    like, dislike = 3, 5
    of = MODELS[4]
    history = np.zeros((1, MODEL_ITEMS), dtype=np.float32)
    history[0, [like, dislike]] = 1, -2
    [x] = user_vectors(of, fold_in_all(of, csr(history))).astype(np.float64)
    y = of.item_factors.astype(np.float64)
    left = of.gram + 3 * np.outer(y[like], y[like]) + 7 * np.outer(y[dislike], y[dislike])
    np.testing.assert_allclose(left @ x, 4 * y[like], rtol=1e-5)
