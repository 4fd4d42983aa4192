"""Neural matrix factorisation: our NumPy held against PyTorch, and what holds without PyTorch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recommendations.engine import artifacts
from recommendations.engine.algorithms import neural
from recommendations.engine.algorithms.neural import (
    BATCH,
    CANDIDATES,
    Network,
    NeuralRecommender,
    TorchMissing,
    has_torch,
    spectral_factors,
)
from recommendations.engine.matrices import Array
from tests.engine.camps import N_ITEMS, csr, two_camps

ROOT = Path(__file__).resolve().parents[2]

needs_torch = pytest.mark.skipif(not has_torch(), reason="PyTorch is not installed")


def random_likes(*, n_users: int = 90, n_items: int = 40, seed: int = 3) -> csr_matrix:
    """Weights of every kind on a quarter of the places; more viewers than one step takes."""
    random = np.random.default_rng(seed)
    values = random.choice([-2, -1, 0.5, 1, 2, 3], size=(n_users, n_items))
    return csr(values * (random.random((n_users, n_items)) < 1 / 4))


def stored(*, n_items: int = N_ITEMS, unknown: int = 2) -> dict[str, Array]:
    """A model's arrays, as a release holds them, with any weights."""
    random = np.random.default_rng(5)
    network = Network.untrained(random.normal(size=(n_items, 4)).astype(np.float32), random)
    arrays: dict[str, Array] = {
        name: random.normal(size=values.shape).astype(np.float32)
        for name, values in vars(network).items()
    }
    return arrays | {"known": np.arange(n_items) != unknown}


def scored_by_hand(arrays: dict[str, Array], weights: dict[int, float], item: int) -> float:
    """The score of one film for one viewer, step by step, in float64."""
    network = {name: array.astype(np.float64) for name, array in arrays.items()}
    told = {i: weight for i, weight in weights.items() if arrays["known"][i]}
    length = sum(weight**2 for weight in told.values()) ** 0.5
    viewer = sum(weight / length * network["inputs"][i] for i, weight in told.items())
    factors, first = np.split(np.asarray(viewer), [network["factors"].shape[1]])
    hidden = np.maximum(first + network["first"][item], 0)
    hidden = np.maximum(network["hidden"] @ hidden + network["hidden_bias"], 0)
    return float(
        factors @ network["factors"][item] + network["last"] @ hidden + network["bias"][item]
    )


def history_of(weights: dict[int, float], n_items: int = N_ITEMS) -> csr_matrix:
    row = np.zeros((1, n_items), dtype=np.float32)
    row[0, list(weights)] = list(weights.values())
    return csr(row)


@cache
def fitted() -> NeuralRecommender:
    return NeuralRecommender(factors=8, epochs=3).fit(random_likes())


@pytest.fixture
def _no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PyTorch seem not to be installed."""
    find_spec: Callable[..., object] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "torch" else find_spec(name)
    )


@pytest.mark.usefixtures("_no_torch")
def test_without_torch_it_says_how_to_install_it() -> None:
    likes = two_camps().interactions
    assert "make neural" in (NeuralRecommender().obstacle(likes) or "")
    with pytest.raises(TorchMissing, match="make neural"):
        NeuralRecommender().fit(likes)


@pytest.mark.usefixtures("_no_torch")
def test_without_torch_a_stored_model_scores() -> None:
    assert np.isfinite(NeuralRecommender.from_arrays(stored()).score(history_of({0: 1}))[0, 0])


def test_too_much_data_are_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())  # with PyTorch
    movielens_1m, movielens_20m = csr_matrix((6_040, 3_706)), csr_matrix((138_000, 27_000))
    assert NeuralRecommender().obstacle(movielens_1m) is None
    assert "longer than 120 s" in (NeuralRecommender().obstacle(movielens_20m) or "")
    assert NeuralRecommender(epochs=1).obstacle(csr_matrix((50_000, 9_000))) is None
    assert NeuralRecommender(epochs=9).obstacle(csr_matrix((50_000, 9_000))) is not None


@pytest.mark.parametrize(
    "weights", [{0: 1.0}, {1: 2.0, 5: -1.0, 9: 0.5}, {2: 3.0, 3: 1.0}], ids=str
)
def test_a_score_is_the_product_of_both_towers_plus_the_bias(weights: dict[int, float]) -> None:
    arrays = stored()
    scores = NeuralRecommender.from_arrays(arrays).score(history_of(weights))[0]
    expected = [scored_by_hand(arrays, weights, item) for item in range(N_ITEMS)]
    known = arrays["known"].astype(bool)
    np.testing.assert_allclose(scores[known], np.array(expected)[known], rtol=1e-4, atol=1e-5)
    assert np.isnan(scores[~known]).all()


def test_a_catalogue_of_more_than_one_block_is_scored_whole() -> None:
    n_items = neural.BLOCK + 3
    arrays = stored(n_items=n_items)
    scores = NeuralRecommender.from_arrays(arrays).score(history_of({0: 1.0, 4: 2.0}, n_items))[0]
    for item in (neural.BLOCK - 1, neural.BLOCK, n_items - 1):
        expected = scored_by_hand(arrays, {0: 1.0, 4: 2.0}, item)
        assert scores[item] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_scale_of_the_weights_does_not_matter() -> None:
    recommender = NeuralRecommender.from_arrays(stored())
    history = history_of({0: 1.0, 3: 2.0, 4: -1.0})
    np.testing.assert_allclose(recommender.score(history * 10), recommender.score(history), 1e-5)


def test_loaded_arrays_are_not_copied(tmp_path: Path) -> None:
    artifacts.save(tmp_path / "release", stored(), {})
    arrays, _ = artifacts.load(tmp_path / "release")
    kept = NeuralRecommender.from_arrays(arrays).to_arrays()
    assert all(np.shares_memory(kept[name], array) for name, array in arrays.items())


def test_scoring_imports_neither_torch_nor_django(tmp_path: Path) -> None:
    artifacts.save(tmp_path / "release", stored(), {})
    program = """
import sys
from pathlib import Path
import numpy as np
from scipy.sparse import csr_matrix
from recommendations.engine import artifacts
from recommendations.engine.algorithms import ALGORITHMS

arrays, _ = artifacts.load(Path(sys.argv[1]))
history = csr_matrix(np.eye(1, 10, dtype=np.float32))
assert np.isfinite(ALGORITHMS["neural"].from_arrays(arrays).score(history)).any()
ALGORITHMS["neural"]().obstacle(history)
print(sorted({"torch", "django"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "release"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize("factors", [3, 30], ids=["few, by ARPACK", "most"])
def test_the_start_is_spanned_by_the_singular_vectors(factors: int) -> None:
    likes = random_likes()
    positive = np.maximum(likes.toarray(), 0).astype(np.float64)
    by_user, by_item = 1 / np.sqrt(1 + positive.sum(1)), 1 / np.sqrt(1 + positive.sum(0))
    _, values, vectors = np.linalg.svd(by_user[:, None] * positive * by_item)
    expected = (vectors[:factors].T * values[:factors]) @ vectors[:factors]
    start = spectral_factors(likes, factors, np.random.default_rng(1)).astype(np.float64)
    products = start @ start.T
    np.testing.assert_allclose(
        products / np.linalg.norm(products), expected / np.linalg.norm(expected), atol=1e-5
    )


@needs_torch
def test_numpy_scores_as_torch_does_in_training() -> None:
    import torch

    from recommendations.engine.algorithms.neural import _scores

    recommender, history = fitted(), random_likes(seed=4).maximum(0)
    arrays = recommender.to_arrays()
    weights = {name: torch.from_numpy(array) for name, array in arrays.items() if name != "known"}
    viewers = torch.nn.functional.normalize(torch.from_numpy(history.toarray()))
    expected = _scores(weights, viewers @ weights["inputs"], slice(None)).numpy()
    np.testing.assert_allclose(recommender.score(history), expected, rtol=1e-4, atol=1e-5)


@needs_torch
def test_training_moves_both_towers() -> None:
    arrays = fitted().to_arrays()
    assert np.abs(arrays["last"].astype(np.float64)).max() > 0
    assert np.abs(arrays["bias"].astype(np.float64)).max() > 0


@needs_torch
def test_the_order_of_the_columns_does_not_matter() -> None:
    """The weights at the start are drawn by what has been said of the items, not by their place."""
    likes = random_likes()
    order = np.random.default_rng(8).permutation(likes.shape[1])
    permuted = NeuralRecommender(factors=8, epochs=3).fit(likes[:, order])
    np.testing.assert_allclose(
        permuted.score(likes[:, order]), fitted().score(likes)[:, order], atol=1e-4
    )


@needs_torch
def test_a_step_may_compare_a_part_of_a_large_catalogue() -> None:
    likes = csr_matrix(
        (np.ones(400, dtype=np.float32), (np.arange(400) % 40, np.arange(400) * 11)),
        shape=(40, CANDIDATES + 400),
    )
    likes = csr_matrix(likes + csr_matrix(np.ones((40, likes.shape[1]), dtype=np.float32) / 1000))
    first, second = (NeuralRecommender(factors=4, epochs=1).fit(likes) for _ in range(2))
    np.testing.assert_array_equal(first.score(likes[:3]), second.score(likes[:3]))
    assert np.isfinite(first.score(likes[:3])).all()


@needs_torch
def test_training_leaves_torch_as_it_was() -> None:
    import torch

    threads = torch.get_num_threads()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        NeuralRecommender(factors=4, epochs=1).fit(random_likes())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state)


@needs_torch
def test_another_seed_gives_another_model() -> None:
    likes = random_likes()
    other = NeuralRecommender(factors=8, epochs=3, seed=2).fit(likes)
    assert not np.allclose(other.score(likes), fitted().score(likes), atol=1e-3)


@needs_torch
def test_progress_is_told_with_each_step() -> None:
    shares: list[float] = []
    recommender = NeuralRecommender(factors=4, epochs=2)
    recommender.on_progress = shares.append
    likes = random_likes()
    recommender.fit(likes)
    n_steps = 2 * -(-likes.shape[0] // BATCH)
    np.testing.assert_allclose(shares, np.arange(1, n_steps + 1) / n_steps)


@needs_torch
def test_a_dislike_lowers_the_films_of_its_camp() -> None:
    recommender = two_camps().fit(NeuralRecommender())
    before = recommender.score(history_of({0: 1.0, 5: 1.0}))[0]
    after = recommender.score(history_of({0: 1.0, 5: 1.0, 6: -1.0}))[0]
    shift = after - before
    assert shift[1:5].mean() > shift[7:10].mean()
