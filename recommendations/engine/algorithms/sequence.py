"""Next-item prediction from the order of the history, by ridge regression.

Linear next-item models: Choe et al., "Session-aware Linear Item-Item Models" (2021),
doi:10.1145/3442381.3449959. Here the history is read at several time scales at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recommendations.engine.fit_cost import FitCost
from recommendations.engine.matrices import Features, Scores, Times, row_numbers
from recommendations.engine.recommender import Explainer, ModelRecommender

#: A film with a smaller share in a feature is ignored in it.
FORGOTTEN = 1e-4
#: Seconds per float product while solving, and per pair of a viewer's films, measured on two cores.
SOLVING_S, PAIR_S = 1 / 100e9, 12e-9
#: Pairs of films that are counted at once, at least those of one user: about 300 MB.
PAIRS_AT_ONCE = 20_000_000
#: Share of the time that passes before solving, on a million interactions.
COUNTED = 0.4

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Histories:
    """The liked films of several users, the earliest first.

    Attributes:
        items: (n,) int32, the concatenated histories.
        lengths: (n_users,) lengths of the histories.
        entries: (n,) position of each film in the data of the matrix that it comes from.
    """

    items: NDArray[np.int32]
    lengths: NDArray[np.intp]
    entries: NDArray[np.intp]

    @cached_property
    def owners(self) -> NDArray[np.intp]:
        """(n,) the user of each film."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def steps_back(self) -> NDArray[np.intp]:
        """(n,) number of later films of the same user."""
        return np.cumsum(self.lengths)[self.owners] - 1 - np.arange(len(self.items))

    def last(self, longest: int) -> Histories:
        """The last films of each user, at most `longest`."""
        kept = self.steps_back < longest
        return Histories(self.items[kept], np.minimum(self.lengths, longest), self.entries[kept])

    def backwards(self) -> Histories:
        """The histories with the latest film first."""
        order = np.lexsort((self.steps_back, self.owners))
        return Histories(self.items[order], self.lengths, self.entries[order])


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
    decays: Float64
    weights: NDArray[np.float16]
    scale: float


@dataclass(eq=False)
class SequenceExplainer(Explainer):
    def contributions(self, items: NDArray[np.integer]) -> Float64 | None:
        """As in `Explainer`, of the score without times."""
        model: SequenceModel = self.model
        known = _histories(self.scoring.history[self.row], None, model.columns)
        if not len(known.items):
            return None
        targets = _places(model.columns, model.n_items)[items]
        parts = np.zeros((len(targets), len(self.items)))
        for feature, share in enumerate(_shares(known, model.decays, ordered=False)):
            weights = model.weights[np.ix_(known.items + feature * len(model.columns), targets)]
            parts[:, known.entries] += (share[:, None] * model.scale * weights).T
        return np.where(targets[:, None] < 0, np.nan, parts)


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
        """As in `Recommender`: there are no times, or fitting would take too much."""
        if times is None or not times.nnz:
            return "There are no times, and so no order to learn from."
        return super().obstacle(interactions, items, times)

    def fit_cost(self, interactions: csr_matrix) -> FitCost:
        lengths = np.minimum(np.diff(interactions.indptr), self.longest).astype(np.float64)
        k = float(min(self.max_items, (np.bincount(interactions.indices) > 0).sum()))
        s = len(self.scales)
        seconds = SOLVING_S * k**3 * (s**3 / 3 + 2 * s**2)
        seconds += s * PAIR_S * float((lengths**2).sum())
        # The normal equations, and the weights four times.
        return FitCost(seconds, 4.0 * k**2 * (s**2 + 4 * s))

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


def _shares(histories: Histories, decays: Float64, *, ordered: bool) -> Iterator[Float64]:
    """For each feature, (n,) a film's weight after the last step, or its mean over all orders."""
    steps_back = histories.steps_back
    for decay in decays:
        shares = decay**steps_back
        if not ordered:
            sums = np.bincount(histories.owners, shares, minlength=len(histories.lengths))
            shares = (sums / np.maximum(histories.lengths, 1))[histories.owners]
        yield shares


def next_item_weights(
    histories: Histories,
    decays: Float64,
    *,
    n_items: int,
    backwards: float,
    regularization: float,
    threads: int,
    on_progress: Callable[[float], None] | None = None,
) -> Float32:
    """Ridge regression of the next film on the features of the films so far.

    It builds the normal equations without a loop over all steps. Let f be the feature of decay g
    and e the one-hot film of each step: f_t = g f_(t-1) + e_t. For two features of decays g and h,
    the sum of f f' over the steps, except for the last step of each user, is
    (g C + h D' + N - H K') / (1 - g h). C and D are the sums of each feature times the next film,
    N counts films, and H and K are the features after the last step.

    Returns:
        (len(decays) * n_items, n_items) float32.
    """
    report = on_progress or (lambda share: None)
    followers = _followers(histories, decays, n_items, backwards, report)
    normal, mean_squares = _normal_equations(histories, decays, followers, backwards)
    penalties = regularization * mean_squares / (mean_squares[decays.argmin()] or 1.0)
    normal[np.diag_indices_from(normal)] += np.repeat(
        np.where(penalties > 0, penalties, regularization), n_items
    ).astype(np.float32)
    if not normal.size:
        return np.zeros((*normal.shape[:1], n_items), dtype=np.float32)
    targets = np.asfortranarray(np.concatenate(followers))
    with threadpool_limits(threads, "blas"):
        # The upper blocks are filled; transposed, they are the lower ones, in LAPACK's order.
        factor = cho_factor(normal.T, lower=True, overwrite_a=True, check_finite=False)
        weights: Float32 = cho_solve(factor, targets, overwrite_b=True, check_finite=False)
    report(1.0)
    return weights


def _followers(
    histories: Histories,
    decays: Float64,
    n_items: int,
    backwards: float,
    report: Callable[[float], None],
) -> list[Float32]:
    """For each feature, (n_items, n_items): its sum (first axis) before each film (second axis)."""
    before = [np.zeros((n_items, n_items), dtype=np.float32) for _ in decays]
    counts = _counts(decays, int(histories.lengths.max(initial=0)), backwards)
    for users, films in _portions(histories):
        lengths, items = histories.lengths[users], histories.items[films]
        ends = np.concatenate(([0], np.cumsum(lengths)))
        others = np.concatenate([np.tile(items[a:b], b - a) for a, b in pairwise(ends)])
        rows = np.concatenate(([0], np.cumsum(np.repeat(lengths, lengths))))
        ones = np.ones(len(items), dtype=np.float32)
        came = csr_matrix((ones, (items, np.arange(len(items)))), shape=(n_items, len(items)))
        for count, total in zip(counts, before, strict=True):
            values = np.concatenate([count[:length, :length].ravel() for length in lengths])
            features = csr_matrix((values, others, rows), shape=(len(items), n_items))
            total += (came @ features).toarray().T
        report(COUNTED * users.stop / len(histories.lengths))
    return before


def _counts(decays: Float64, longest: int, backwards: float) -> list[Float32]:
    """For each feature, (longest, longest) float32: the weight of film j when film i comes.

    j comes before i, or after it in histories that are read backwards.
    """
    steps = np.arange(longest)[:, None] - np.arange(longest)
    weights = np.select([steps > 0, steps < 0], [1.0, backwards])
    gaps = np.maximum(np.abs(steps) - 1, 0)
    return [(weights * decay**gaps).astype(np.float32) for decay in decays]


def _portions(histories: Histories) -> Iterator[tuple[slice, slice]]:
    """Slices of users and of their films, with about PAIRS_AT_ONCE pairs of films each."""
    pairs = np.cumsum(histories.lengths.astype(np.int64) ** 2)
    ends = np.cumsum(histories.lengths)
    start = 0
    while start < len(pairs):
        done = pairs[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(pairs, done + PAIRS_AT_ONCE, side="right")))
        yield slice(start, stop), slice(ends[start - 1] if start else 0, ends[stop - 1])
        start = stop


def _normal_equations(
    histories: Histories, decays: Float64, followers: list[Float32], backwards: float
) -> tuple[Float32, Float64]:
    """The features' cross products (upper blocks only), and the mean square of each feature."""
    n_items = followers[0].shape[0] if followers else 0
    n = len(decays)
    normal = np.zeros((n * n_items, n * n_items), dtype=np.float32)
    counted = np.bincount(histories.items, minlength=n_items) * (1 + backwards)
    ends = [_ends(histories, decay, n_items, backwards) for decay in decays]
    squares = np.zeros(n)
    for a in range(n):
        rows = slice(a * n_items, (a + 1) * n_items)
        for b in range(a, n):
            block = normal[rows, b * n_items : (b + 1) * n_items]
            block += np.float32(decays[a]) * followers[a]
            block += np.float32(decays[b]) * followers[b].T
            block -= (ends[a].T.tocsr() @ ends[b]).toarray()
            block[np.diag_indices(n_items)] += counted.astype(np.float32)
            block /= np.float32(1 - decays[a] * decays[b])
        squares[a] = normal[rows, rows].diagonal().mean() if n_items else 0.0
    return normal, squares


def _ends(histories: Histories, decay: float, n_items: int, backwards: float) -> csr_matrix:
    """A feature after the last step of each user, stacked on the same of the backward histories."""
    shape = (len(histories.lengths), n_items)
    parts: list[tuple[Float32, NDArray[np.intp], NDArray[np.int32]]] = []
    for read, weight in ((histories, 1.0), (histories.backwards(), backwards)):
        values = (np.sqrt(weight) * decay**read.steps_back).astype(np.float32)
        kept = np.abs(values) > 1e-6
        parts.append((values[kept], read.owners[kept] + len(parts) * shape[0], read.items[kept]))
    values, rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True))
    return csr_matrix((values, (rows, columns)), shape=(2 * shape[0], shape[1]))
