"""Training of neural matrix factorisation with PyTorch.

He et al., Neural Collaborative Filtering (2017), doi:10.1145/3038912.3052569.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import svds
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    import torch

Float32: TypeAlias = NDArray[np.float32]

#: Viewers in one step of the optimiser.
BATCH = 64
#: Films that a step compares; more films train the rare ones better and cost more time.
CANDIDATES = 4096
#: Share of a viewer's films that is given in a step; the others are the targets.
TOLD = 0.5
#: Widths of the second tower's hidden layers.
HIDDEN = (16, 8)
#: Standard deviation of the initial factors.
SPREAD = 0.1


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


@dataclass(frozen=True)
class Plan:
    """Hyperparameters; see `NeuralRecommender`."""

    factors: int
    epochs: int
    learning_rate: float
    decay: float
    seed: int


def steps_per_epoch(n_users: int) -> int:
    return -(-n_users // BATCH)


def train(likes: csr_matrix, plan: Plan, report: Callable[[float], None]) -> Network:
    """Learn to predict one half of each viewer's films from the other half.

    Args:
        likes: (n_users, n_items) float32 weights; each user has a positive one.
        report: Called with the share done, 0 to 1.
    """
    import torch

    with threadpool_limits(1, "blas"), _one_thread():
        random = np.random.default_rng(plan.seed)
        start = spectral_factors(likes, plan.factors, random)
        weights = {
            name: torch.from_numpy(values.copy()).requires_grad_()
            for name, values in vars(Network.untrained(start, random)).items()
        }
        optimizer = torch.optim.Adam(_groups(weights, plan.decay), lr=plan.learning_rate)
        n_steps = plan.epochs * steps_per_epoch(likes.shape[0])
        slowing = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
        generator = torch.Generator().manual_seed(plan.seed)
        for step, rows in enumerate(_batches(likes.shape[0], plan.epochs, random)):
            optimizer.zero_grad()
            history = torch.from_numpy(likes[rows].toarray())
            _loss(weights, history, generator).backward()
            optimizer.step()
            slowing.step()
            report((step + 1) / n_steps)
        return Network(**{f.name: weights[f.name].detach().numpy() for f in fields(Network)})


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


def _groups(weights: dict[str, torch.Tensor], decay: float) -> list[dict[str, object]]:
    """Adam's parameter groups: only the weights of single films are regularised."""
    of_films = ("inputs", "factors", "first")
    return [
        {"params": [weights[name] for name in of_films], "weight_decay": decay},
        {"params": [tensor for name, tensor in weights.items() if name not in of_films]},
    ]


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

    told = torch.rand(history.shape, generator=generator) < TOLD
    viewers = torch.nn.functional.normalize(history * told) @ weights["inputs"]
    targets = history.clamp(min=0) * ~told
    given = (history != 0) & told
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
