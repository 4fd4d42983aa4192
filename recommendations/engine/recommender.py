"""What every algorithm is: fitted on a user-item matrix, it scores the catalogue for a history."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.matrices import Array, IdMap, ItemFeatures, Scores, without_each_entry


class HistoryShapeError(ValueError):
    """The columns of a history are not those of the fitted catalogue."""


class NotFittedError(RuntimeError):
    """`score` or `to_arrays` came before `fit`."""


class Recommender(ABC):
    """One algorithm.

    It is made without arguments, with defaults that suit the size of the data, or with keyword
    settings. Weights above 0 are evidence of liking, weights below 0 of the contrary.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    #: The settings worth searching, each with values to try in ascending order.
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {}
    #: Whether its scores depend on the history at all.
    is_personal: ClassVar[bool] = True
    #: Whether a release is without it where popularity ranks better. Not so for what speaks of
    #: items that nobody has touched.
    must_beat_popularity: ClassVar[bool] = True
    #: Called with the share done, 0 to 1, by an algorithm that takes long to fit.
    on_progress: Callable[[float], None] | None = None

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        """The searched settings as `fit` would take them here: those given, or else the defaults
        for data of this size."""
        return {}

    def obstacle(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> str | None:
        """Why a release should be made without it, such as too many items; None for no reason."""
        return None

    @abstractmethod
    def fit(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> Self:
        """Learn from all interactions.

        Args:
            interactions: (n_users, n_items) float32 weights.
            items: Features of the items, for algorithms that read content.
            times: Of the same sparsity, Unix seconds, for algorithms that read order.
        """

    def update(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> Self:
        """Bring a fitted model up to date: the same users and items, with more interactions."""
        return self.fit(interactions, items, times)

    @abstractmethod
    def score(self, history: csr_matrix, times: csr_matrix | None = None) -> Scores:
        """Score the whole catalogue for users, known or new, by what they have done.

        Args:
            history: (n_rows, n_items) float32, weighted as in `fit`. Each row stands for itself.
            times: Of the same sparsity, Unix seconds.

        Returns:
            (n_rows, n_items) float32, higher is better, no fixed scale. NaN where the model has
            no opinion: the caller falls back.

        Raises:
            HistoryShapeError: The columns do not match the fitted catalogue.
            NotFittedError: There is no model yet.
        """

    def contributions(
        self, history: csr_matrix, items: NDArray[np.integer]
    ) -> NDArray[np.float64] | None:
        """How much each entry of one user's history adds to the score of each of `items`.

        Args:
            history: (1, n_items) float32.
            items: (m,) indices of items that `score` has an opinion on.

        Returns:
            (m, history.nnz) float64 in the order of `history.indices`; None where the algorithm
            cannot tell.
        """
        return None

    def scores_without(
        self,
        history: csr_matrix,
        entries: NDArray[np.integer],
        times: csr_matrix | None = None,
    ) -> Scores:
        """What `score` says of one user, and what it would say without one of the entries.

        Args:
            history: (1, n_items) float32.
            entries: (m,) places in `history.indices`, each once.
            times: Of the same sparsity, Unix seconds.

        Returns:
            (1 + m, n_items) float32, which may be read-only: first with all entries, then without
            each. The same as `score` says of such histories, but for rounding.
        """
        if not self.is_personal:
            scores = self.score(history, times)
            return np.broadcast_to(scores, (1 + len(entries), scores.shape[1]))
        later = None if times is None else without_each_entry(times, entries)
        return self.score(without_each_entry(history, entries), later)

    def similar_items(self, item: int) -> Scores | None:
        """How much each item of the fitted catalogue is like one of them.

        Args:
            item: An index.

        Returns:
            (n_items,) float32 from -1 to 1, and 1 for the item itself; NaN where the model has no
            opinion, which is everywhere if it has none of `item`. None where the algorithm cannot
            tell.

        Raises:
            NotFittedError: There is no model yet.
        """
        return None

    def item_directions(self) -> Scores | None:
        """Where each item of the fitted catalogue points, for whoever compares all with all.

        Returns:
            (n_items, d) float32 of length 1, whose products are what `similar_items` says; NaN
            for an item that the model has no opinion on. None where that is not how it compares.

        Raises:
            NotFittedError: There is no model yet.
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
    """What scoring needs."""

    @property
    def n_items(self) -> int: ...


M = TypeVar("M", bound=FittedModel)


class ModelRecommender(Recommender, Generic[M]):
    """One that keeps what it has learned in one object."""

    _model: M | None = None

    def _learned(self) -> M:
        """Raises NotFittedError."""
        if self._model is None:
            raise NotFittedError(self.name)
        return self._model

    def _fitted_for(self, history: csr_matrix) -> M:
        """The same; raises HistoryShapeError too."""
        model = self._learned()
        check_history(history, model.n_items)
        return model


def check_history(history: csr_matrix, n_items: int) -> None:
    """Raises HistoryShapeError unless the history has `n_items` columns."""
    if history.shape[1] != n_items:
        raise HistoryShapeError(
            f"a history of {history.shape[1]} items for a catalogue of {n_items}"
        )


class RemappedRecommender:
    """Scores the items of `now` by a model that was fitted on those of `then`.

    What has gone since says nothing of a viewer, and of what is new there is no opinion.
    """

    def __init__(self, recommender: Recommender, then: IdMap, now: IdMap) -> None:
        self._recommender = recommender
        places = now.indices(then.ids)
        self._standing = np.flatnonzero(places >= 0)
        self._places = places[self._standing]
        #: (n_now, n_then): times a history of now it is that history of then.
        self._to_then = csr_matrix(
            (np.ones(len(self._places), dtype=np.float32), (self._places, self._standing)),
            shape=(len(now), len(then)),
        )

    def score(self, history: csr_matrix, times: csr_matrix | None = None) -> Scores:
        """As in `Recommender`."""
        scores = np.full(history.shape, np.nan, dtype=np.float32)
        scores[:, self._places] = self._recommender.score(
            history @ self._to_then, None if times is None else times @ self._to_then
        )[:, self._standing]
        return scores
