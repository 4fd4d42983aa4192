"""Neural matrix factorisation (NeuMF). He et al., Neural Collaborative Filtering (2017),
doi:10.1145/3038912.3052569.

PyTorch trains (`neumf.py`). Folding a user in and scoring is NumPy, so that a process that only
serves never imports it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms._neumf import (
    CANDIDATES,
    Network,
    Plan,
    steps_per_epoch,
    train,
)
from recommendations.engine.matrices import Array, ItemFeatures, Scores
from recommendations.engine.recommender import ModelRecommender

WITHOUT_TORCH = (
    "PyTorch is not installed: `make neural`, or `poetry install --extras neural`, installs it."
)
#: Comparisons of a viewer with a film that two cores train with in about two minutes.
MOST_COMPARISONS = 800_000_000
#: Adam goes through all weights in each step: for a film not compared about this share of one.
SHARE_OF_THE_OTHERS = 0.1
#: Fewer steps than this leave the towers untrained, however small the data.
LEAST_STEPS = 200
#: Films whose hidden layers are worked out at once: half a megabyte, which stays in the cache.
BLOCK = 8192


class TorchMissing(RuntimeError):
    """There is no training without PyTorch; scoring needs none."""


@dataclass(frozen=True)
class NeuralModel:
    """What scoring needs.

    Attributes:
        network: Its rows are those of the whole catalogue, zeros for an item that is not known.
        known: (n_items,) bool, the items that somebody has touched.
    """

    network: Network
    known: NDArray[np.bool_]

    @property
    def n_items(self) -> int:
        return len(self.known)


class NeuralRecommender(ModelRecommender[NeuralModel]):
    """A product of factors and a small network, added up.

    Unlike the paper's, a viewer is no row of weights, but the sum of what the films of the history
    add, over its length: as in FISM (Kabbur et al. 2013, doi:10.1145/2487575.2487589). So anybody
    can be scored. And it is trained to tell a viewer's films from all others (softmax) rather
    than each from four others, from a spectral start rather than from towers trained before.

    Args:
        factors: Length of the vectors; at most as many as there are users, or items.
        epochs: Passes over the viewers; by default 10, or what makes 200 steps.
        learning_rate: Adam's first step; it falls to 0 along a cosine.
        decay: L2 on the weights that belong to single films.
    """

    name = "neural"
    description = "Neural matrix factorisation: a product of factors and a small network, added up."
    search_space: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        "factors": (32, 64, 128),
        "decay": (1e-5, 4e-5, 1.6e-4),
    }

    def __init__(
        self,
        *,
        factors: int = 64,
        epochs: int | None = None,
        learning_rate: float = 0.01,
        decay: float = 4e-5,
        seed: int = 1895,
    ) -> None:
        self.factors = factors
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.decay = decay
        self.seed = seed

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        return {"factors": self.factors, "decay": self.decay}

    def obstacle(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> str | None:
        if not has_torch():
            return WITHOUT_TORCH
        n_users, n_items = interactions.shape
        compared = min(n_items, CANDIDATES)
        of_a_viewer = compared + SHARE_OF_THE_OTHERS * (n_items - compared)
        if self._epochs(n_users) * n_users * of_a_viewer <= MOST_COMPARISONS:
            return None
        return (
            f"{n_users:,} viewers and {n_items:,} films are more than PyTorch trains with "
            "in two minutes on two cores."
        )

    def fit(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> Self:
        if not has_torch():
            raise TorchMissing(WITHOUT_TORCH)
        liking = np.flatnonzero(interactions.maximum(0).sum(axis=1).A1)
        order = _canonical_order(interactions, self.seed) if len(liking) else liking
        known = np.zeros(interactions.shape[1], dtype=np.bool_)
        known[order] = True
        likes = csr_matrix(interactions[liking][:, order].astype(np.float32))
        likes.sort_indices()
        network = train(likes, self._plan(likes), self._report) if len(liking) else _nothing()
        self._model = NeuralModel(_spread(network, order, len(known)), known)
        return self

    def _plan(self, likes: csr_matrix) -> Plan:
        return Plan(
            factors=min(self.factors, *likes.shape),
            epochs=self._epochs(likes.shape[0]),
            learning_rate=self.learning_rate,
            decay=self.decay,
            seed=self.seed,
        )

    def _epochs(self, n_users: int) -> int:
        if self.epochs is not None:
            return self.epochs
        return max(10, -(-LEAST_STEPS // max(1, steps_per_epoch(n_users))))

    def score(self, history: csr_matrix, times: csr_matrix | None = None) -> Scores:
        model = self._fitted_for(history)
        viewers = _viewers(model, history)
        network = model.network
        n_factors = network.factors.shape[1]
        scores: Scores = viewers[:, :n_factors] @ network.factors.T
        scores += network.bias
        for row in np.flatnonzero(np.isfinite(viewers).all(axis=1)):
            _add_second_tower(network, viewers[row, n_factors:], scores[row])
        scores[:, ~model.known] = np.nan
        return scores

    def to_arrays(self) -> dict[str, Array]:
        model = self._learned()
        return {**vars(model.network), "known": model.known}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        recommender = cls()
        network = Network(
            **{f.name: np.asarray(arrays[f.name], dtype=np.float32) for f in fields(Network)}
        )
        recommender._model = NeuralModel(network, np.asarray(arrays["known"], dtype=np.bool_))
        return recommender


def has_torch() -> bool:
    """Whether PyTorch is installed; asked without importing it, which takes a second."""
    return importlib.util.find_spec("torch") is not None


def _canonical_order(interactions: csr_matrix, seed: int) -> NDArray[np.intp]:
    """The items that somebody has touched, by who has touched them and how.

    The weights at the start are drawn in this order, so an item's column changes nothing.
    """
    random = np.random.default_rng(seed)
    signatures = interactions.T @ random.normal(size=interactions.shape[0])
    touched = np.bincount(interactions.indices, minlength=interactions.shape[1])
    order = np.lexsort((signatures, -touched))
    return order[: np.count_nonzero(touched)]


def _nothing() -> Network:
    """Of no item."""
    return Network.untrained(np.zeros((0, 1), dtype=np.float32), np.random.default_rng(0))


def _spread(network: Network, places: NDArray[np.intp], n_items: int) -> Network:
    """With the rows of the items at their places in the whole catalogue."""

    def spread(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        whole = np.zeros((n_items, *rows.shape[1:]), dtype=np.float32)
        whole[places] = rows
        return whole

    return Network(
        inputs=spread(network.inputs),
        factors=spread(network.factors),
        first=spread(network.first),
        hidden=network.hidden,
        hidden_bias=network.hidden_bias,
        last=network.last,
        bias=spread(network.bias),
    )


def _viewers(model: NeuralModel, history: csr_matrix) -> NDArray[np.float32]:
    """(n_rows, f + h1): the mean way, by its length, of what is known of each; NaN for nobody."""
    weights = history.data * model.known[history.indices]
    told = csr_matrix((weights, history.indices, history.indptr), shape=history.shape)
    likes = told.maximum(0).sum(axis=1).A1 > 0
    lengths = np.sqrt(told.multiply(told).sum(axis=1).A1, dtype=np.float64)
    lengths[~likes] = np.nan
    sums = told @ model.network.inputs
    viewers: NDArray[np.float32] = (sums / lengths[:, None]).astype(np.float32)
    return viewers


def _add_second_tower(network: Network, viewer: NDArray[np.float32], scores: Scores) -> None:
    """Add what the hidden layers say of one viewer to the (n_items,) scores."""
    for start in range(0, len(scores), BLOCK):
        block = slice(start, start + BLOCK)
        first = np.maximum(network.first[block] + viewer, 0)
        second = first @ network.hidden.T
        second += network.hidden_bias
        np.maximum(second, 0, out=second)
        scores[block] += second @ network.last
