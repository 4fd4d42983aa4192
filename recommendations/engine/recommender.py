"""The interface of the algorithms: fit on a user-item matrix, score the catalogue for histories."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import (
    Array,
    Features,
    IdMap,
    Scores,
    Times,
    model_from_arrays,
    model_to_arrays,
    without_each_entry,
)


class HistoryShapeError(ValueError):
    """The columns of a history are not those of the fitted catalogue."""


class NotFittedError(RuntimeError):
    """A model was used before `fit`."""


class Recommender(ABC):
    """One algorithm.

    Every constructor argument is a keyword with a default that suits the size of the data. A
    weight above 0 is evidence that the user likes the item, a weight below 0 of the contrary.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    #: The settings that tuning searches, each with values in ascending order.
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {}
    #: False if the scores do not depend on the history.
    is_personal: ClassVar[bool] = True
    #: A release leaves the algorithm out if popularity ranks better. False for an algorithm that
    #: also scores items without interactions.
    must_beat_popularity: ClassVar[bool] = True
    #: `fit` calls it with the share done, 0 to 1, if it takes long.
    on_progress: Callable[[float], None] | None = None

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        """The searched settings that `fit` would use on these data."""
        return {}

    def obstacle(
        self, interactions: csr_matrix, items: Features = None, times: Times = None
    ) -> str | None:
        """Why a release should leave the algorithm out, such as too many items; or None."""
        return None

    @abstractmethod
    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        """Learn from all interactions.

        Args:
            interactions: (n_users, n_items) float32 weights.
            items: Features of the items, for algorithms that read content.
            times: Unix seconds with the sparsity of `interactions`, for algorithms that read order.
        """

    def update(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        """Refit on the same users and items with more interactions."""
        return self.fit(interactions, items, times)

    @abstractmethod
    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        """Fold users in, known or new, and score the whole catalogue for each.

        Args:
            history: (n_rows, n_items) float32, weighted as in `fit`. Rows are independent.
            times: Unix seconds with the sparsity of `history`.

        Returns:
            (n_rows, n_items) float32, higher is better, no fixed scale. NaN where the model has
            no opinion: the caller falls back.

        Raises:
            HistoryShapeError: The columns do not match the fitted catalogue.
            NotFittedError: The model has not been fitted.
        """

    def contributions(
        self, history: csr_matrix, items: NDArray[np.integer]
    ) -> NDArray[np.float64] | None:
        """How much each entry of one user's history adds to the score of each item.

        Args:
            history: (1, n_items) float32.
            items: (m,) indices of items for which `score` is not NaN.

        Returns:
            (m, history.nnz) float64 in the order of `history.indices`; None if the algorithm
            cannot tell.
        """
        return None

    def scores_without(
        self, history: csr_matrix, entries: NDArray[np.integer], times: Times = None
    ) -> Scores:
        """Score one user, and the same user without each one of the entries.

        Args:
            history: (1, n_items) float32.
            entries: (m,) positions in `history.indices`, unique.
            times: Unix seconds with the sparsity of `history`.

        Returns:
            (1 + m, n_items) float32, perhaps read-only: the first row with all entries, then one
            row without each. Equal to `score` of these histories except for rounding.
        """
        if not self.is_personal:
            scores = self.score(history, times)
            return np.broadcast_to(scores, (1 + len(entries), scores.shape[1]))
        later = None if times is None else without_each_entry(times, entries)
        return self.score(without_each_entry(history, entries), later)

    def similar_items(self, item: int) -> Scores | None:
        """How similar each item of the fitted catalogue is to the item with this index.

        Returns:
            (n_items,) float32 from -1 to 1, and 1 for the item itself. NaN where the model has no
            opinion; all NaN if it has none of `item`. None if the algorithm cannot tell.

        Raises:
            NotFittedError: The model has not been fitted.
        """
        return None

    def item_directions(self) -> Scores | None:
        """Unit vectors of the items, to compare all items with all.

        Returns:
            (n_items, d) float32 of length 1, whose products equal `similar_items`; NaN for an item
            that the model does not know. None if the algorithm has no such vectors.

        Raises:
            NotFittedError: The model has not been fitted.
        """
        return None

    def _report(self, share: float) -> None:
        if self.on_progress:
            self.on_progress(share)

    @abstractmethod
    def to_arrays(self) -> dict[str, Array]:
        """Everything that `score` needs, by name."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """The inverse of `to_arrays`. The arrays may be mapped read-only and are not copied."""


class FittedModel(Protocol):
    @property
    def n_items(self) -> int: ...


M = TypeVar("M", bound=FittedModel)


class ModelRecommender(Recommender, Generic[M]):
    """A recommender that keeps everything it has learned in one dataclass, `model_type`."""

    #: Its fields are arrays and numbers, unless a subclass writes `to_arrays` itself.
    model_type: ClassVar[type[Any]]
    _model: M | None = None

    def _learned(self) -> M:
        """The fitted model. Raises NotFittedError."""
        if self._model is None:
            raise NotFittedError(self.name)
        return self._model

    def _fitted_for(self, history: csr_matrix) -> M:
        """The fitted model. Raises NotFittedError or HistoryShapeError."""
        model = self._learned()
        check_history(history, model.n_items)
        return model

    def to_arrays(self) -> dict[str, Array]:
        return model_to_arrays(self._learned())

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        recommender = cls()
        recommender._model = model_from_arrays(cls.model_type, arrays)
        return recommender


def check_history(history: csr_matrix, n_items: int) -> None:
    """Raises HistoryShapeError unless the history has `n_items` columns."""
    if history.shape[1] != n_items:
        raise HistoryShapeError(
            f"a history of {history.shape[1]} items for a catalogue of {n_items}"
        )


class RemappedRecommender:
    """Scores the items of `now` by a model that was fitted on the items of `then`.

    Items that are gone are ignored in histories; new items get NaN.
    """

    def __init__(self, recommender: Recommender, then: IdMap, now: IdMap) -> None:
        self._recommender = recommender
        places = now.indices(then.ids)
        self._kept = np.flatnonzero(places >= 0)
        self._places = places[self._kept]
        #: (n_now, n_then), which maps a history of `now` to a history of `then`.
        self._to_then = csr_matrix(
            (np.ones(len(self._places), dtype=np.float32), (self._places, self._kept)),
            shape=(len(now), len(then)),
        )

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        """As in `Recommender`."""
        scores = np.full(history.shape, np.nan, dtype=np.float32)
        scores[:, self._places] = self._recommender.score(
            history @ self._to_then, None if times is None else times @ self._to_then
        )[:, self._kept]
        return scores
