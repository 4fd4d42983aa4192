"""Neural matrix factorisation (NeuMF). He et al., Neural Collaborative Filtering (2017),
doi:10.1145/3038912.3052569.

Training imports PyTorch. Fold-in and scores need only NumPy, so a process that only serves never
imports it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import svds
from threadpoolctl import threadpool_limits

from recommendations.engine.fit_cost import FitCost
from recommendations.engine.matrices import (
    Array,
    Features,
    Scores,
    Times,
    model_from_arrays,
)
from recommendations.engine.recommender import ModelRecommender

if TYPE_CHECKING:
    import torch

Float32: TypeAlias = NDArray[np.float32]

WITHOUT_TORCH = (
    "PyTorch is not installed: `make neural`, or `poetry install --extras neural`, installs it."
)
#: Pairs of a viewer and a film that two cores process in a second.
COMPARISONS_PER_S = 800_000_000 / 120
#: Memory of PyTorch and of a step: 459 MB on ml-latest-small, less the weights.
TORCH_BYTES = 430e6
#: Adam updates all weights in each step: a film that is not compared costs this share of another.
SHARE_OF_THE_OTHERS = 0.1
#: With fewer steps the towers stay untrained even on small data.
MIN_STEPS = 200
#: Films whose hidden layers are computed at once: half a megabyte, which stays in the CPU cache.
BLOCK = 8192
#: Viewers in one step of the optimiser.
BATCH = 64
#: Adam's initial learning rate, which falls to 0 along a cosine.
LEARNING_RATE = 0.01
#: Films that a step compares; more films train the rare ones better and cost more time.
CANDIDATES = 4096
#: Share of a viewer's films that is given in a step; the others are the targets.
SHOWN = 0.5
#: Widths of the second tower's hidden layers.
HIDDEN = (16, 8)
#: Standard deviation of the initial factors.
SPREAD = 0.1
#: The weights that belong to single films.
OF_FILMS = ("inputs", "factors", "first")


class TorchMissing(RuntimeError):
    """`fit` needs PyTorch, which is not installed."""


@dataclass(frozen=True)
class Network:
    """The trained weights, all float32, with f factors and hidden layers of h1 and h2.

    The first hidden layer is linear in the viewer and in the film, so its matrix is multiplied into
    the vectors of both.

    Attributes:
        inputs: (n_items, f + h1), what a film in the history adds to the viewer's factors and to
            the first hidden layer.
        factors: (n_items, f), the film's factors times the paper's output weights h.
        first: (n_items, h1), what the film adds to the first hidden layer, including its bias.
        hidden, hidden_bias: (h2, h1) and (h2,), the second hidden layer.
        last: (h2,), output weights of the second hidden layer.
        bias: (n_items,), added to the score.
    """

    inputs: Float32
    factors: Float32
    first: Float32
    hidden: Float32
    hidden_bias: Float32
    last: Float32
    bias: Float32

    @classmethod
    def untrained(cls, start: Float32, random: np.random.Generator) -> Self:
        """A network that scores by the (n_items, f) factors alone: its `last` weights are 0."""
        n_items, (h1, h2) = len(start), HIDDEN

        def noise(*shape: int, spread: float) -> Float32:
            return random.normal(scale=spread, size=shape).astype(np.float32)

        return cls(
            inputs=np.hstack([start, noise(n_items, h1, spread=SPREAD)]),
            factors=start,
            first=noise(n_items, h1, spread=SPREAD),
            hidden=noise(h2, h1, spread=(2 / h1) ** 0.5),
            hidden_bias=np.zeros(h2, dtype=np.float32),
            last=np.zeros(h2, dtype=np.float32),
            bias=np.zeros(n_items, dtype=np.float32),
        )


def steps_per_epoch(n_users: int) -> int:
    return -(-n_users // BATCH)


def spectral_factors(likes: csr_matrix, factors: int, random: np.random.Generator) -> Float32:
    """(n_items, factors) float32 to start from: right singular vectors of the normalised likes.

    Each is multiplied by the root of its singular value. This replaces the paper's pre-training of
    each tower and is far quicker.
    """
    positive = likes.maximum(0).astype(np.float64)
    by_user, by_item = (1 / np.sqrt(1 + np.asarray(positive.sum(axis=a)).ravel()) for a in (1, 0))
    normalised = csr_matrix(diags_array(by_user) @ positive @ diags_array(by_item))
    size = min(likes.shape)
    if factors * 2 < size:
        first_guess = random.normal(size=size)
        _, values, vectors = svds(normalised, k=factors, v0=first_guess)
    else:  # ARPACK finds only a few
        _, values, vectors = np.linalg.svd(normalised.toarray(), full_matrices=False)
        values, vectors = values[:factors], vectors[:factors]
    start = vectors.T * np.sqrt(values)
    spread: Float32 = (start * (SPREAD / np.sqrt((start**2).mean()))).astype(np.float32)
    return spread


def _batches(n_users: int, epochs: int, random: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    for _ in range(epochs):
        order = random.permutation(n_users)
        for start in range(0, n_users, BATCH):
            yield order[start : start + BATCH]


def _loss(
    weights: dict[str, torch.Tensor], history: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Cross entropy of the softmax over the candidates, per target film.

    The hidden likes are the targets, by their weights; as in FISM, no film helps to predict itself.
    The given films are no candidates.
    """
    import torch

    shown = torch.rand(history.shape, generator=generator) < SHOWN
    viewers = torch.nn.functional.normalize(history * shown) @ weights["inputs"]
    targets = history.clamp(min=0) * ~shown
    given = (history != 0) & shown
    films: torch.Tensor | slice = slice(None)
    if history.shape[1] > CANDIDATES:
        films = torch.randperm(history.shape[1], generator=generator)[:CANDIDATES]
    scores = _scores(weights, viewers, films).masked_fill(given[:, films], -1e9)
    targets = targets[:, films]
    logs = torch.log_softmax(scores, dim=1)
    return -(targets * logs).sum() / targets.sum().clamp(min=1e-9)


def _scores(
    weights: dict[str, torch.Tensor], viewers: torch.Tensor, films: torch.Tensor | slice
) -> torch.Tensor:
    """(n_viewers, n_films): the sum of both towers and the films' bias."""
    import torch

    factors = weights["factors"][films]
    towards_factors, towards_first = viewers.split([factors.shape[1], HIDDEN[0]], dim=1)
    first = torch.relu(towards_first[:, None, :] + weights["first"][films])
    second = torch.relu(first @ weights["hidden"].T + weights["hidden_bias"])
    return towards_factors @ factors.T + second @ weights["last"] + weights["bias"][films]


@contextmanager
def _one_thread() -> Iterator[None]:
    """More threads add up in another order and give other weights on another machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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
        decay: float = 4e-5,
        seed: int = 1895,
    ) -> None:
        self.factors = factors
        self.epochs = epochs
        self.decay = decay
        self.seed = seed

    def obstacle(
        self, interactions: csr_matrix, items: Features = None, times: Times = None
    ) -> str | None:
        if not has_torch():
            return WITHOUT_TORCH
        return super().obstacle(interactions, items, times)

    def fit_cost(self, interactions: csr_matrix) -> FitCost:
        n_users, n_items = interactions.shape
        compared = min(n_items, CANDIDATES)
        of_a_viewer = compared + SHARE_OF_THE_OTHERS * (n_items - compared)
        seconds = self._epochs(n_users) * n_users * of_a_viewer / COMPARISONS_PER_S
        # Adam keeps four numbers for each weight.
        weights = 4 * 4.0 * n_items * 2 * (self.factors + HIDDEN[0])
        return FitCost(seconds, TORCH_BYTES + weights)

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        if not has_torch():
            raise TorchMissing(WITHOUT_TORCH)
        liking = np.flatnonzero(interactions.maximum(0).sum(axis=1).A1)
        order = _canonical_order(interactions, self.seed) if len(liking) else liking
        known = np.zeros(interactions.shape[1], dtype=np.bool_)
        known[order] = True
        likes = csr_matrix(interactions[liking][:, order].astype(np.float32))
        likes.sort_indices()
        if len(liking):
            network = self._train(likes)
        else:
            network = Network.untrained(np.zeros((0, 1), np.float32), np.random.default_rng(0))
        self._model = NeuralModel(_spread(network, order, len(known)), known)
        return self

    def _train(self, likes: csr_matrix) -> Network:
        """Learn to predict one half of each viewer's films from the other half.

        Args:
            likes: (n_users, n_items) float32 weights; each user has a positive one.
        """
        import torch

        with threadpool_limits(1, "blas"), _one_thread():
            random = np.random.default_rng(self.seed)
            start = spectral_factors(likes, min(self.factors, *likes.shape), random)
            weights = {
                name: torch.from_numpy(values.copy()).requires_grad_()
                for name, values in vars(Network.untrained(start, random)).items()
            }
            # Only the weights of single films are regularised.
            of_films = [weights[name] for name in OF_FILMS]
            others = [tensor for name, tensor in weights.items() if name not in OF_FILMS]
            groups = [{"params": of_films, "weight_decay": self.decay}, {"params": others}]
            optimizer = torch.optim.Adam(groups, lr=LEARNING_RATE)
            epochs = self._epochs(likes.shape[0])
            n_steps = epochs * steps_per_epoch(likes.shape[0])
            slowing = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
            generator = torch.Generator().manual_seed(self.seed)
            for step, rows in enumerate(_batches(likes.shape[0], epochs, random)):
                optimizer.zero_grad()
                history = torch.from_numpy(likes[rows].toarray())
                _loss(weights, history, generator).backward()
                optimizer.step()
                slowing.step()
                self._report((step + 1) / n_steps)
            return Network(**{f.name: weights[f.name].detach().numpy() for f in fields(Network)})

    def _epochs(self, n_users: int) -> int:
        if self.epochs is not None:
            return self.epochs
        return max(10, -(-MIN_STEPS // max(1, steps_per_epoch(n_users))))

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


def _spread(network: Network, places: NDArray[np.intp], n_items: int) -> Network:
    """The network with its items' rows at `places` in the whole catalogue."""

    def spread(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        whole = np.zeros((n_items, *rows.shape[1:]), dtype=np.float32)
        whole[places] = rows
        return whole

    rows = {name: spread(getattr(network, name)) for name in (*OF_FILMS, "bias")}
    return replace(network, **rows)


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
