"""Next-item prediction from the order of the history, by ridge regression.

Linear next-item models: Choe et al., "Session-aware Linear Item-Item Models" (2021),
doi:10.1145/3442381.3449959. Here the history is read at several time scales at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms._next_item import Histories, next_item_weights
from recommendations.engine.matrices import Features, Scores, Times, row_numbers
from recommendations.engine.recommender import ModelRecommender

#: A film with a smaller share in a feature is ignored in it.
FORGOTTEN = 1e-4
#: The most that a release may spend on fitting, on two cores.
LONGEST_FIT_S = 20.0
#: Seconds per float product while solving, and per pair of a viewer's films, measured on two cores.
SOLVING_S, PAIR_S = 1 / 100e9, 12e-9


@dataclass(frozen=True)
class SequenceModel:
    """The fitted model, for k items of the catalogue.

    Attributes:
        columns: (k,) int32, ascending, the items' columns in the catalogue.
        n_items: The size of the catalogue.
        decays: (s,) float64, the factor of each of the s features for one step further back.
        weights: (s * k, k) float16, what a film in a feature adds to the score of each item,
            scaled so that the largest is 1.
        scale: The value of a weight of 1.
    """

    columns: NDArray[np.int32]
    n_items: int
    decays: NDArray[np.float64]
    weights: NDArray[np.float16]
    scale: float


class SequenceRecommender(ModelRecommender[SequenceModel]):
    """Ridge regression of the next film on decayed sums of those before it.

    The liked films of each viewer are read in the order of their times. The features of a step are
    sums over the films so far, in which a film loses the factor exp(-1/scale) at each step; with
    scale 0 only the last film counts. The target is the next film. Histories are also read
    backwards, with less weight, because times come in bursts in which the order is random.
    Positive weights all count alike.

    Args:
        scales: Steps after which a film counts 1/e, one for each feature.
        regularization: For the last film's feature; the others get it in proportion to their mean
            squares. By default 2 * sqrt(interactions), from 1 to 800.
        backwards: The weight of the histories read backwards.
        max_items: Of a larger catalogue the most liked items are kept, and the others get NaN.
            Memory grows with its square (1.2 GB at 3,706), time with its cube.
        longest: Number of films that are read of a longer history.
        threads: BLAS threads.
    """

    model_type = SequenceModel
    name = "sequence"
    description = "What usually comes next, from the order in which the last films were watched."
    search_space: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "regularization": (150.0, 300.0, 600.0, 1200.0)
    }

    def __init__(
        self,
        *,
        scales: tuple[float, ...] = (0.0, 4.0, 40.0),
        regularization: float | None = None,
        backwards: float = 0.2,
        max_items: int = 4000,
        longest: int = 2000,
        threads: int = 2,
        seed: int = 1895,
    ) -> None:
        self.scales = scales
        self.regularization = regularization
        self.backwards = backwards
        self.max_items = max_items
        self.longest = longest
        self.threads = threads
        self.seed = seed

    def settings_for(self, interactions: csr_matrix) -> dict[str, float]:
        return {"regularization": self._regularization(interactions)}

    def _regularization(self, interactions: csr_matrix) -> float:
        if self.regularization is not None:
            return self.regularization
        return float(np.clip(2 * np.sqrt(interactions.nnz), 1, 800))

    def obstacle(
        self, interactions: csr_matrix, items: Features = None, times: Times = None
    ) -> str | None:
        """As in `Recommender`: there are no times, or fitting would take too long."""
        if times is None or not times.nnz:
            return "There are no times, and so no order to learn from."
        seconds = self._fit_s(interactions)
        if seconds <= LONGEST_FIT_S:
            return None
        return f"Fitting would take about {seconds:.0f} s, longer than {LONGEST_FIT_S:.0f} s."

    def _fit_s(self, interactions: csr_matrix) -> float:
        """An estimate of the seconds that `fit` takes on two cores."""
        lengths = np.minimum(np.diff(interactions.indptr), self.longest).astype(np.float64)
        k = float(min(self.max_items, (np.bincount(interactions.indices) > 0).sum()))
        s = len(self.scales)
        return s * PAIR_S * float((lengths**2).sum()) + SOLVING_S * k**3 * (s**3 / 3 + 2 * s**2)

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        """As in `Recommender`. Without times the order within a history is random."""
        columns = _most_liked(interactions, self.max_items)
        if times is None:
            times = _drawn_times(interactions, self.seed)
        histories = _histories(interactions, times, columns)
        decays = np.array([np.exp(-1 / scale) if scale else 0.0 for scale in self.scales])
        weights = next_item_weights(
            histories.last(self.longest),
            decays,
            n_items=len(columns),
            backwards=self.backwards,
            regularization=self._regularization(interactions),
            threads=self.threads,
            on_progress=self.on_progress,
        )
        scale = float(np.abs(weights).max(initial=0)) or 1.0
        # float16 takes half the memory; NDCG and hit rate stay the same to four digits.
        weights /= np.float32(scale)
        self._model = SequenceModel(
            columns, interactions.shape[1], decays, weights.astype(np.float16), scale
        )
        return self

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        """As in `Recommender`. Without times all films count as if they came at one moment."""
        model = self._fitted_for(history)
        scores = np.full(history.shape, np.nan, dtype=np.float32)
        known = _histories(history, times, model.columns)
        read = known.lengths > 0
        if not read.any():
            return scores
        films, shares, rows = [], [], []
        for feature, share in enumerate(_shares(known, model.decays, ordered=times is not None)):
            counts = np.flatnonzero(share > FORGOTTEN)
            films.append(known.items[counts] + feature * len(model.columns))
            shares.append(share[counts] * model.scale)
            rows.append(known.owners[counts])
        used, places = np.unique(np.concatenate(films), return_inverse=True)
        features = csr_matrix(
            (np.concatenate(shares).astype(np.float32), (np.concatenate(rows), places)),
            shape=(history.shape[0], len(used)),
        )
        told = features[read] @ model.weights[used].astype(np.float32)
        scores[np.ix_(read, model.columns)] = told
        return scores

    def contributions(
        self, history: csr_matrix, items: NDArray[np.integer]
    ) -> NDArray[np.float64] | None:
        """As in `Recommender`, of the score without times."""
        model = self._fitted_for(history)
        known = _histories(history, None, model.columns)
        if not len(known.items):
            return None
        targets = _places(model.columns, model.n_items)[items]
        told = np.zeros((len(known.items), len(targets)))
        for feature, share in enumerate(_shares(known, model.decays, ordered=False)):
            weights = model.weights[known.items + feature * len(model.columns)]
            told += share[:, None] * model.scale * weights[:, targets].astype(np.float64)
        told[:, targets < 0] = np.nan
        parts = np.zeros((len(targets), history.nnz))
        parts[:, known.entries] = told.T
        return parts


def _most_liked(interactions: csr_matrix, limit: int) -> NDArray[np.int32]:
    """Ascending columns of the most liked items, at most `limit`, without untouched ones."""
    n_items = interactions.shape[1]
    touched = np.bincount(interactions.indices, minlength=n_items)
    liked = np.bincount(interactions.indices[interactions.data > 0], minlength=n_items)
    order = np.lexsort((-touched, -liked))[:limit]
    return np.sort(order[touched[order] > 0]).astype(np.int32)


def _places(columns: NDArray[np.int32], n_items: int) -> NDArray[np.int32]:
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


def _histories(interactions: csr_matrix, times: Times, columns: NDArray[np.int32]) -> Histories:
    """The liked items of each user among `columns`, by time and then by column."""
    users = row_numbers(interactions)
    places = _places(columns, interactions.shape[1])[interactions.indices]
    entries = np.flatnonzero((interactions.data > 0) & (places >= 0))
    moments = np.zeros(len(entries)) if times is None else times.data[entries]
    entries = entries[np.lexsort((places[entries], moments, users[entries]))]
    lengths = np.bincount(users[entries], minlength=interactions.shape[0])
    return Histories(places[entries], lengths, entries)


def _shares(
    histories: Histories, decays: NDArray[np.float64], *, ordered: bool
) -> Iterator[NDArray[np.float64]]:
    """For each feature, (n,) float64: how much each film counts in it after the last step.

    Without an order, a film counts its mean over all orders.
    """
    steps_back = histories.steps_back
    for decay in decays:
        shares = decay**steps_back
        if not ordered:
            sums = np.bincount(histories.owners, shares, minlength=len(histories.lengths))
            shares = (sums / np.maximum(histories.lengths, 1))[histories.owners]
        yield shares
