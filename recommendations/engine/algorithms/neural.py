"""Neural matrix factorisation (NeuMF). He et al., Neural Collaborative Filtering (2017),
doi:10.1145/3038912.3052569.

PyTorch trains (`_neumf.py`). Fold-in and scores need only NumPy, so a process that only serves
never imports PyTorch.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from recommendations.engine.matrices import (
    Array,
    Features,
    Scores,
    Times,
    model_from_arrays,
)
from recommendations.engine.recommender import ModelRecommender

WITHOUT_TORCH = (
    "PyTorch is not installed: `make neural`, or `poetry install --extras neural`, installs it."
)
#: Pairs of a viewer and a film that two cores process in about two minutes.
MOST_COMPARISONS = 800_000_000
#: Adam updates all weights in each step: a film that is not compared costs this share of another.
SHARE_OF_THE_OTHERS = 0.1
#: With fewer steps the towers stay untrained even on small data.
LEAST_STEPS = 200
#: Films whose hidden layers are computed at once: half a megabyte, which stays in the CPU cache.
BLOCK = 8192


class TorchMissing(RuntimeError):
    """`fit` needs PyTorch, which is not installed."""


@dataclass(frozen=True)
class NeuralModel:
    """The fitted model.

    Attributes:
        network: Rows for the whole catalogue; zeros for an unknown item.
        known: (n_items,) bool, the items with interactions.
    """

    network: Network
    known: NDArray[np.bool_]

    @property
    def n_items(self) -> int:
        return len(self.known)


class NeuralRecommender(ModelRecommender[NeuralModel]):
    """The sum of a matrix factorisation and a small neural network.

    It differs from the paper in three ways. A viewer is the normalised sum of vectors of the films
    in the history, as in FISM (Kabbur et al. 2013, doi:10.1145/2487575.2487589), so new viewers can
    be scored. The loss is a softmax over all films rather than over four samples. Training starts
    from a spectral factorisation rather than from pre-trained towers.

    Args:
        factors: Length of the vectors, limited to the number of users and of items.
        epochs: Passes over the viewers; by default 10, or as many as make 200 steps.
        learning_rate: Adam's initial learning rate, which falls to 0 along a cosine.
        decay: L2 regularisation of the weights of single films.
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
        self, interactions: csr_matrix, items: Features = None, times: Times = None
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

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
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

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
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
        model = self.learned()
        return {**vars(model.network), "known": model.known}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        recommender = cls()
        network = model_from_arrays(Network, arrays)
        recommender._model = NeuralModel(network, np.asarray(arrays["known"], dtype=np.bool_))
        return recommender


def has_torch() -> bool:
    """Whether PyTorch is installed. It is not imported, which would take a second."""
    return importlib.util.find_spec("torch") is not None


def _canonical_order(interactions: csr_matrix, seed: int) -> NDArray[np.intp]:
    """The items with interactions, in an order that depends on their users, not on their columns.

    Initial weights are drawn in this order, so that the order of the columns changes nothing.
    """
    random = np.random.default_rng(seed)
    signatures = interactions.T @ random.normal(size=interactions.shape[0])
    touched = np.bincount(interactions.indices, minlength=interactions.shape[1])
    order = np.lexsort((signatures, -touched))
    return order[: np.count_nonzero(touched)]


def _nothing() -> Network:
    """A network without items."""
    return Network.untrained(np.zeros((0, 1), dtype=np.float32), np.random.default_rng(0))


def _spread(network: Network, places: NDArray[np.intp], n_items: int) -> Network:
    """The network with its items' rows at `places` in the whole catalogue."""

    def spread(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        whole = np.zeros((n_items, *rows.shape[1:]), dtype=np.float32)
        whole[places] = rows
        return whole

    of_items = ("inputs", "factors", "first", "bias")
    return replace(network, **{name: spread(getattr(network, name)) for name in of_items})


def _viewers(model: NeuralModel, history: csr_matrix) -> NDArray[np.float32]:
    """(n_rows, f + h1) float32, the vector of each viewer; NaN without a known liked item."""
    weights = history.data * model.known[history.indices]
    told = csr_matrix((weights, history.indices, history.indptr), shape=history.shape)
    likes = told.maximum(0).sum(axis=1).A1 > 0
    lengths = np.sqrt(told.multiply(told).sum(axis=1).A1, dtype=np.float64)
    lengths[~likes] = np.nan
    sums = told @ model.network.inputs
    viewers: NDArray[np.float32] = (sums / lengths[:, None]).astype(np.float32)
    return viewers


def _add_second_tower(network: Network, viewer: NDArray[np.float32], scores: Scores) -> None:
    """Add the output of the hidden layers for one viewer to the (n_items,) scores, in place."""
    for start in range(0, len(scores), BLOCK):
        block = slice(start, start + BLOCK)
        first = np.maximum(network.first[block] + viewer, 0)
        second = first @ network.hidden.T
        second += network.hidden_bias
        np.maximum(second, 0, out=second)
        scores[block] += second @ network.last
