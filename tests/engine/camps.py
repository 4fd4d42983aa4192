"""The smallest data that there is something to learn from: two camps, each with its own films."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.evaluation.quality import Quality, evaluate_lists
from recommendations.engine.evaluation.splits import Split
from recommendations.engine.matrices import Array, Features, ItemFeatures, Scores, Times
from recommendations.engine.recommender import Explainer, Recommender

R = TypeVar("R", bound=Recommender)

N_USERS, N_ITEMS = 20, 10
CAMP_USERS, CAMP_ITEMS = 10, 5


@dataclass(frozen=True)
class Data:
    """The data that an algorithm may be fitted on; each reads some of them."""

    interactions: csr_matrix
    times: csr_matrix
    items: Features

    def fit(self, recommender: R) -> R:
        return recommender.fit(self.interactions, self.items, self.times)

    def update(self, recommender: R) -> R:
        return recommender.update(self.interactions, self.items, self.times)

    def without_features(self) -> Data:
        """The same, with nothing known of its items beside who liked them."""
        return replace(self, items=None)

    def of_items(self, order: NDArray[np.intp]) -> Data:
        """The same with its items in another order."""
        features = self.items and ItemFeatures(self.items.matrix[order], self.items.names)
        return Data(self.interactions[:, order], self.times[:, order], features)


def csr(values: ArrayLike) -> csr_matrix:
    """A float32 matrix; its zeros are not stored."""
    return csr_matrix(np.asarray(values, dtype=np.float32))


def data_of(interactions: csr_matrix) -> Data:
    """Data with a minute between any two interactions, and a feature for each camp."""
    times = interactions.astype(np.float64)
    times.data = 1.7e9 + 60.0 * np.arange(times.nnz)
    camps = np.arange(interactions.shape[1]) // CAMP_ITEMS
    features = csr(camps[:, None] == np.arange(2))
    return Data(interactions, times, ItemFeatures(features, ("camp:left", "camp:right")))


def withheld_item(user: int) -> int:
    """The one film of the user's camp that `two_camps` keeps back."""
    return user % CAMP_ITEMS + CAMP_ITEMS * (user // CAMP_USERS)


def two_camps() -> Data:
    """20 users by 10 items: each likes the films of the own camp, all but one of the five."""
    camps = np.arange(N_USERS)[:, None] // CAMP_USERS == np.arange(N_ITEMS) // CAMP_ITEMS
    likes = camps.astype(np.float32)
    for user in range(N_USERS):
        likes[user, withheld_item(user)] = 0
    return data_of(csr(likes))


def evaluate(recommender: Recommender, split: Split, **how: Any) -> Quality:
    return Quality.of(evaluate_lists(recommender, split, **how))


Float64 = NDArray[np.float64]


def ratings(*, n_users: int = 60, n_items: int = 25, seed: int = 3) -> csr_matrix:
    """Weights of every kind on a third of the places, some items more popular than others."""
    random = np.random.default_rng(seed)
    there = random.random((n_users, n_items)) < np.linspace(0.1, 0.6, n_items)
    values = random.choice([-3, -2, -1, 0.5, 1, 2, 3], size=(n_users, n_items))
    return csr(values * there)


def liked(interactions: csr_matrix) -> Float64:
    """Dense: the root of each positive weight over the mean one; nothing for a dislike."""
    dense = np.maximum(interactions.toarray(), 0).astype(np.float64)
    sizes: Float64 = np.sqrt(dense / dense[dense > 0].mean())
    return sizes


def explainer(recommender: Recommender, history: csr_matrix, times: Times = None) -> Explainer:
    return recommender.scoring_type(recommender, history, times).explainer()


class Sums(Recommender):
    """The sum of `adds` of the items in the history, less `length` for each of them."""

    name = "sums"

    def __init__(self, adds: NDArray[np.float32], *, length: float = 0.0) -> None:
        self.adds, self.length = adds, length

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        return self

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        n_entries = np.diff(history.indptr)[:, None]
        scores = (history @ self.adds - self.length * n_entries).astype(np.float32)
        scores[np.diff(history.indptr) == 0] = np.nan
        return scores

    def to_arrays(self) -> dict[str, Array]:
        return {}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        raise NotImplementedError
