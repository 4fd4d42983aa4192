"""Next-item prediction from the order and the gaps of the history, by ridge regression.

Linear next-item models: Choe et al., "Session-aware Linear Item-Item Models" (2021),
doi:10.1145/3442381.3449959. Here the history is read at several time scales at once, and what the
last film leads to depends on the time since then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms._histories import Histories
from recommendations.engine.algorithms._next_item import (
    FORGOTTEN,
    gap_transitions,
    next_item_weights,
    reach,
)
from recommendations.engine.fit_cost import FitCost
from recommendations.engine.matrices import (
    Array,
    Features,
    Now,
    Scores,
    Times,
    row_numbers,
    sparse_to_arrays,
)
from recommendations.engine.recommender import Explainer, ModelRecommender

#: Seconds per float product while solving, and per pair of a viewer's films, measured on two cores.
SOLVING_S, PAIR_S = 1 / 100e9, 25e-9
#: Films that are read of a longer history.
LONGEST = 2000
#: The arrays that a release without classes of gaps lacks. Its last feature is the last film.
WITHOUT_GAPS: Mapping[str, Array] = {
    "penalty": np.ones(1),
    "transition_starts": np.zeros(1, dtype=np.int64),
    "transition_columns": np.empty(0, dtype=np.int32),
    "transition_values": np.empty(0, dtype=np.float32),
}

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
#: (n,) rows of a matrix, and the weight of each.
WeightedRows = tuple[NDArray[np.integer], Float64]


@dataclass(frozen=True)
class SequenceModel:
    """The fitted model, for k items of the catalogue and c classes of gaps.

    Attributes:
        columns: (k,) int32, ascending, the items' columns in the catalogue.
        n_items: The size of the catalogue.
        decays: (s,) float64, the factor of each of the s features for one step further back.
        weights: ((s + 1) * k, k) float16, what a film in a feature adds to the score of each item,
            scaled so that the largest is 1; the last block is the mean sum of these by last film.
        scale: The value of a weight of 1.
        penalty: The number of transitions with which those of a film count half.
        transition_starts, transition_columns, transition_values: See `transitions`.
    """

    columns: NDArray[np.int32]
    n_items: int
    decays: Float64
    weights: NDArray[np.float16]
    scale: float
    penalty: float
    transition_starts: NDArray[np.int64]
    transition_columns: NDArray[np.int32]
    transition_values: Float32

    @cached_property
    def transitions(self) -> csr_matrix:
        """(c * k, k) float32, how often each item followed each film, by class of the gap."""
        values = self.transition_values, self.transition_columns, self.transition_starts
        return csr_matrix(values, shape=(len(self.transition_starts) - 1, len(self.columns)))

    @cached_property
    def counts(self) -> Float64:
        """(c * k,) the number of transitions from each film."""
        return np.asarray(self.transitions.sum(axis=1), dtype=np.float64).ravel()

    def read(self, known: Histories, now: Now) -> tuple[list[WeightedRows], WeightedRows | None]:
        """The rows of `weights`, by block, and of `transitions` for each film of the histories."""
        k = len(self.columns)
        rows: list[WeightedRows] = [
            (known.items + block * k, share * self.scale)
            for block, share in enumerate(known.shares(self.decays))
        ]
        if not self.transitions.shape[0]:
            return rows, None
        followed = known.items + known.last_gaps(now)[known.owners] * k
        [last] = known.shares(np.zeros(1))
        share = last / (self.counts[followed] + self.penalty)
        # The transitions replace the mean prediction of the features after this film.
        rows.append((known.items + len(rows) * k, -share * self.counts[followed] * self.scale))
        return rows, (followed, np.asarray(share))


@dataclass(eq=False)
class SequenceExplainer(Explainer):
    def contributions(self, items: NDArray[np.integer]) -> Float64 | None:
        """As in `Explainer`."""
        model: SequenceModel = self.model
        scoring, row, places = self.scoring, slice(self.row, self.row + 1), _places(self.model)
        times = None if scoring.times is None else scoring.times[row]
        known = Histories.of(scoring.history[row], times, places)
        if not len(known.items):
            return None
        targets = places[items]
        parts = np.zeros((len(targets), len(self.items)))
        rows, followed = model.read(known, None if scoring.now is None else scoring.now[row])
        for films, shares in rows:
            parts[:, known.entries] += shares * model.weights[films][:, targets].T
        if followed:
            transitions = model.transitions[followed[0]][:, targets].toarray()
            parts[:, known.entries] += followed[1] * transitions.T
        return np.where(targets[:, None] < 0, np.nan, parts)


class SequenceRecommender(ModelRecommender[SequenceModel]):
    """Ridge regression of the next film on decayed sums of those before it.

    The liked films of each viewer are read in the order of their times. The features of a step are
    sums over the films so far, in which a film loses the factor exp(-1/scale) at each step; with
    scale 0 only the last film counts. The target is the next film. Histories are also read
    backwards, with less weight, because times come in bursts in which the order is random.
    Positive weights all count alike.

    The films that followed the last one are then regressed on the last one, for each class of gaps
    between the two: W = (N - n M) / (n + regularization). N counts the transitions from a film, n
    is their sum, and M is the mean of what the features tell after this film. One inverse serves
    all classes. After more than an hour the features alone are read. If it is not known when the
    list is made, all transitions count.

    Args:
        scales: Steps after which a film counts 1/e, one for each feature.
        regularization: For the last film; the features get it in proportion to their mean squares.
            By default 2 * sqrt(interactions), from 1 to 800.
        backwards: The weight of the histories read backwards.
        max_items: Of a larger catalogue the most liked items are kept, and the others get NaN.
            Memory grows with its square (0.6 GB at 3,706), time with its cube.
        threads: BLAS threads.
    """

    longest_fit_s = 20.0
    model_type = SequenceModel
    explainer_type = SequenceExplainer
    name = "sequence"
    description = "What usually comes next, from the order in which the last films were watched."
    search_space: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "regularization": (150.0, 300.0, 600.0, 1200.0)
    }

    def __init__(
        self,
        *,
        scales: tuple[float, ...] = (4.0, 40.0),
        regularization: float | None = None,
        backwards: float = 0.2,
        max_items: int = 4000,
        threads: int = 2,
        seed: int = 1895,
    ) -> None:
        self.scales = scales
        self.regularization = regularization
        self.backwards = backwards
        self.max_items = max_items
        self.threads = threads
        self.seed = seed

    def settings_for(self, interactions: csr_matrix) -> dict[str, float]:
        return {"regularization": self._regularization(interactions)}

    def _regularization(self, interactions: csr_matrix) -> float:
        if self.regularization is not None:
            return self.regularization
        return float(np.clip(2 * np.sqrt(interactions.nnz), 1, 800))

    def _decays(self) -> Float64:
        return np.array([np.exp(-1 / scale) if scale else 0.0 for scale in self.scales])

    def obstacle(
        self, interactions: csr_matrix, items: Features = None, times: Times = None
    ) -> str | None:
        """As in `Recommender`: there are no times, or fitting would take too much."""
        if times is None or not times.nnz:
            return "There are no times, and so no order to learn from."
        return super().obstacle(interactions, items, times)

    def fit_cost(self, interactions: csr_matrix) -> FitCost:
        lengths = np.minimum(np.diff(interactions.indptr), LONGEST).astype(np.float64)
        k = float(min(self.max_items, (np.bincount(interactions.indices) > 0).sum()))
        s = len(self.scales)
        seconds = SOLVING_S * k**3 * (s**3 / 3 + 2 * s**2 + 2 * s)
        for decay in self._decays():
            seconds += PAIR_S * float((lengths * np.minimum(lengths / 2, reach(decay))).sum())
        # The normal equations, and the weights three times.
        return FitCost(seconds, 4.0 * k**2 * (s**2 + 3 * s + 1))

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        """As in `Recommender`. Without times the order within a history is random."""
        columns = _most_liked(interactions, self.max_items)
        drawn = _drawn_times(interactions, self.seed)
        moments = drawn if times is None else times
        places = _item_places(columns, interactions.shape[1])
        histories = Histories.of(interactions, moments, places, drawn.data).last(LONGEST)
        decays = self._decays()
        penalty = self._regularization(interactions)
        transitions = gap_transitions(histories, len(columns), self.backwards)
        weights = next_item_weights(
            histories,
            decays,
            n_items=len(columns),
            backwards=self.backwards,
            regularization=penalty,
            threads=self.threads,
            on_progress=self.on_progress,
        )
        scale = float(np.abs(weights).max(initial=0)) or 1.0
        # float16 takes half the memory; NDCG and hit rate stay the same to four digits.
        weights /= np.float32(scale)
        self._model = SequenceModel(
            columns,
            interactions.shape[1],
            decays,
            weights.astype(np.float16),
            scale,
            penalty,
            **sparse_to_arrays("transition", transitions),  # type: ignore[arg-type]
        )
        return self

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        """As in `Recommender`. Without times all films count as if they came at one moment."""
        return self.score_at(history, times, None)

    def score_at(self, history: csr_matrix, times: Times, now: Now) -> Scores:
        model = self._fitted_for(history)
        scores = np.full(history.shape, np.nan, dtype=np.float32)
        known = Histories.of(history, times, _places(model))
        read = known.lengths > 0
        if not read.any():
            return scores
        blocks, followed = model.read(known, None if times is None else now)
        rows, shares = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        owners = np.tile(known.owners, len(blocks))
        counts = np.abs(shares) > FORGOTTEN * model.scale
        used, places = np.unique(rows[counts], return_inverse=True)
        features = csr_matrix(
            (shares[counts].astype(np.float32), (owners[counts], places)),
            shape=(history.shape[0], len(used)),
        )
        told = features @ model.weights[used].astype(np.float32)
        if followed:
            shape = (history.shape[0], model.transitions.shape[0])
            rows, shares = followed
            last = csr_matrix((shares.astype(np.float32), (known.owners, rows)), shape=shape)
            told += (last @ model.transitions).toarray()
        scores[np.ix_(read, model.columns)] = told[read]
        return scores

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """As in `Recommender`; a release from before the classes of gaps is served without them."""
        return super().from_arrays({**WITHOUT_GAPS, **arrays})


def _most_liked(interactions: csr_matrix, limit: int) -> NDArray[np.int32]:
    """Ascending columns of the most liked items, at most `limit`, without untouched ones."""
    n_items = interactions.shape[1]
    touched = np.bincount(interactions.indices, minlength=n_items)
    liked = np.bincount(interactions.indices[interactions.data > 0], minlength=n_items)
    order = np.lexsort((-touched, -liked))[:limit]
    return np.sort(order[touched[order] > 0]).astype(np.int32)


def _places(model: SequenceModel) -> NDArray[np.int32]:
    return _item_places(model.columns, model.n_items)


def _item_places(columns: NDArray[np.int32], n_items: int) -> NDArray[np.int32]:
    """(n_items,) int32, the position of each item in `columns`; -1 if it is not there."""
    places = np.full(n_items, -1, dtype=np.int32)
    places[columns] = np.arange(len(columns), dtype=np.int32)
    return places


def _drawn_times(interactions: csr_matrix, seed: int) -> csr_matrix:
    """Random times, which depend on the users of an item and not on its column."""
    random = np.random.default_rng(seed)
    marks = random.random((2, interactions.shape[0]))
    users = row_numbers(interactions)
    seen_by = np.bincount(
        interactions.indices, weights=marks[0][users], minlength=interactions.shape[1]
    )
    drawn = (seen_by[interactions.indices] * (1 + marks[1][users]) * 1e3) % 1.0
    return csr_matrix((drawn, interactions.indices, interactions.indptr), interactions.shape)
