"""The interface of the algorithms: fit on a user-item matrix, score the catalogue for histories."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.fit_cost import FitCost
from recommendations.engine.matrices import (
    Array,
    Features,
    IdMap,
    Now,
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


class FitInterrupted(RuntimeError):
    """The machines that fit models have failed; the model is not the reason."""


#: The share of the items, as 1 / MOST_IN_REACH, from which all of them are computed.
MOST_IN_REACH = 4


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """The scores of one user, and of the same user without each one of m entries.

    Attributes:
        scores: (1 + m, n) of n items; the first row is with all entries. NaN for no opinion.
        least, greatest: (1 + m,) of the scores of all items; inf and -inf without any.
    """

    scores: NDArray[np.floating]
    least: NDArray[np.floating]
    greatest: NDArray[np.floating]

    @classmethod
    def of(cls, scores: Scores, items: NDArray[np.integer]) -> Self:
        """From the (1 + m, n_items) scores of the whole catalogue."""
        return cls(scores[:, items], *extremes(scores))


@dataclass(eq=False)
class Scoring:
    """The histories of several users and their scores by one model.

    An algorithm whose explanations use steps of the scores has a subclass.

    Attributes:
        history: (n_users, n_items) float32.
        times: Unix seconds with the sparsity of `history`.
        now: As in `Recommender.score_at`.
    """

    recommender: Any
    history: csr_matrix
    times: Times = None
    now: Now = None

    @cached_property
    def scores(self) -> Scores:
        """(n_users, n_items), as from `Recommender.score_at`."""
        scores: Scores = self.recommender.score_at(self.history, self.times, self.now)
        return scores

    @cached_property
    def range(self) -> tuple[Scores, Scores]:
        """(n_users,) each, the least and the greatest score."""
        return extremes(self.scores)

    def explainer(self, row: int = 0) -> Explainer:
        explainer: Explainer = self.recommender.explainer_type(self, row)
        return explainer


@dataclass(eq=False)
class Explainer:
    """Tells how the entries of one user's history bring about the scores of one model.

    This one scores the history again; a model that can do better has a subclass.

    Attributes:
        scoring: The histories of several users.
        row: The user's row in them.
        items, weights: (n_entries,) the entries of the history.
        scores: (n_items,) the user's scores.
    """

    scoring: Any
    row: int
    items: NDArray[np.integer] = field(init=False)
    weights: NDArray[np.float32] = field(init=False)
    scores: Scores = field(init=False)

    def __post_init__(self) -> None:
        history, entries = self.scoring.history, self._entries
        self.items, self.weights = history.indices[entries], history.data[entries]
        self.scores = self.scoring.scores[self.row]

    @property
    def _entries(self) -> slice:
        return slice(*self.scoring.history.indptr[self.row : self.row + 2])

    @property
    def times(self) -> NDArray[np.float64] | None:
        """(n_entries,) Unix seconds."""
        times = self.scoring.times
        return None if times is None else times.data[self._entries]

    @property
    def model(self) -> Any:
        """The fitted model, which a `ModelRecommender` has."""
        return self.scoring.recommender.learned()

    def contributions(self, items: NDArray[np.integer]) -> NDArray[np.floating] | None:
        """How much each entry adds to the score of each item.

        Args:
            items: (n,) indices of items whose score is not NaN.

        Returns:
            (n, n_entries); None if the model cannot tell.
        """
        return None

    def without(self, entries: NDArray[np.integer], items: NDArray[np.integer]) -> LeaveOneOut:
        """The scores of (n,) items without each of (m,) unique entries.

        They equal the scores of these histories except for rounding.
        """
        scoring, n_rows = self.scoring, 1 + len(entries)
        if not scoring.recommender.is_personal:
            least, greatest = (np.full(n_rows, end[self.row]) for end in scoring.range)
            return LeaveOneOut(np.tile(self.scores[items], (n_rows, 1)), least, greatest)
        later = scoring.times
        if later is not None:
            later = without_each_entry(later[self.row], entries)
        history = without_each_entry(scoring.history[self.row], entries)
        now = None if scoring.now is None else np.repeat(scoring.now[self.row], n_rows)
        return LeaveOneOut.of(scoring.recommender.score_at(history, later, now), items)

    def leave_out(
        self,
        items: NDArray[np.integer],
        scores: NDArray[np.floating],
        bounds: tuple[NDArray[np.floating], NDArray[np.floating]],
        falls: Callable[[Any], NDArray[np.floating]],
    ) -> LeaveOneOut:
        """`without`, where each entry takes something off each score.

        For the range it computes only the items that may have the least or the greatest score.

        Args:
            scores: (n_items,) with all entries, in the order of the user's scores.
            bounds: (n_items,) and (n_items,), what each score without any one entry lies between.
            falls: Returns (n, m), what each of the m entries takes off the scores of n items.
        """
        ends = [int((self.scores == end[self.row]).argmax()) for end in self.scoring.range]
        known = np.array([*items.tolist(), *ends])
        found = scores[known, None] - falls(known)
        least, greatest = found[-2:]
        in_reach = bounds[0] <= np.fmax.reduce(least, initial=-np.inf)
        in_reach |= bounds[1] >= np.fmin.reduce(greatest, initial=np.inf)
        reach: Any = np.flatnonzero(in_reach)
        if MOST_IN_REACH * len(reach) > len(scores):
            reach = slice(None)  # to copy so many rows would take longer
        after = scores[reach, None] - falls(reach)
        least = np.fmin(least, np.fmin.reduce(after, axis=0, initial=np.inf))
        greatest = np.fmax(greatest, np.fmax.reduce(after, axis=0, initial=-np.inf))
        return LeaveOneOut(
            np.vstack([scores[items], found[:-2].T]),
            np.append(scores[ends[0]], least),
            np.append(scores[ends[1]], greatest),
        )


def extremes(scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The least and the greatest score of each row; inf and -inf in a row of NaN."""
    return (
        np.fmin.reduce(scores, axis=-1, initial=np.inf),
        np.fmax.reduce(scores, axis=-1, initial=-np.inf),
    )


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
    scoring_type: ClassVar[type[Scoring]] = Scoring
    explainer_type: ClassVar[type[Explainer]] = Explainer
    #: A release leaves the algorithm out if one fit takes more seconds.
    longest_fit_s: ClassVar[float] = 120.0
    #: `fit` calls it with the share done, 0 to 1, if it takes long.
    on_progress: Callable[[float], None] | None = None

    def settings_for(self, interactions: csr_matrix) -> dict[str, Any]:
        """The searched settings that `fit` would use on these data."""
        return {name: getattr(self, name) for name in self.search_space}

    def obstacle(
        self, interactions: csr_matrix, items: Features = None, times: Times = None
    ) -> str | None:
        """Why a release should leave the algorithm out, such as too long a fit; or None."""
        return self.fit_cost(interactions).obstacle(longest_s=self.longest_fit_s)

    def fit_cost(self, interactions: csr_matrix) -> FitCost:
        """An estimate of what `fit` takes; zeros if it is always little."""
        return FitCost()

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

    def score_at(self, history: csr_matrix, times: Times, now: Now) -> Scores:
        """As `score`, for an algorithm that also reads when the list is made.

        Args:
            now: (n_rows,) Unix seconds; NaN where it is not known.
        """
        return self.score(history, times)

    def known_items(self) -> NDArray[np.bool_] | None:
        """(n_items,) whether the item says something of a user who likes it; None: each does.

        Raises:
            NotFittedError: The model has not been fitted.
        """
        return None

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

    def learned(self) -> M:
        """The fitted model. Raises NotFittedError."""
        if self._model is None:
            raise NotFittedError(self.name)
        return self._model

    def _fitted_for(self, history: csr_matrix) -> M:
        """The fitted model. Raises NotFittedError or HistoryShapeError."""
        model = self.learned()
        check_history(history, model.n_items)
        return model

    def to_arrays(self) -> dict[str, Array]:
        return model_to_arrays(self.learned())

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
        return self.score_at(history, times, None)

    def score_at(self, history: csr_matrix, times: Times, now: Now) -> Scores:
        """As in `Recommender`."""
        scores = np.full(history.shape, np.nan, dtype=np.float32)
        scores[:, self._places] = self._recommender.score_at(
            history @ self._to_then, None if times is None else times @ self._to_then, now
        )[:, self._kept]
        return scores
