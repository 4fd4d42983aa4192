"""A blend of the collaborative algorithms, with weights learned on a validation split.

Stacking with non-negative weights: Breiman (1996), doi:10.1007/BF00117832; for recommenders, Sill
et al. (2009), arXiv:0911.0460.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.ease import EaseRecommender
from recommendations.engine.algorithms.hybrid import Composite, min_max_normalised
from recommendations.engine.evaluation.splits import BATCH, Split, leave_last_out
from recommendations.engine.evaluation.tuning import is_more_than_chance
from recommendations.engine.matrices import Features, Scores, Times
from recommendations.engine.recommender import Recommender

SEED = 1895
#: With fewer users to learn from, all parts get the same weight.
ENOUGH_USERS = 50
#: Held-out likes that are ranked among the whole catalogue; more of them do not change the weights.
MAX_LIKES = 3000
#: Scores held in memory for each part: 80 MB.
MAX_CELLS = 20_000_000
#: The lead of an item that is not ranked.
FAR_BEHIND = np.float32(-1e9)
#: Step sizes of the weights, from coarse to fine.
STEPS = (0.5, 0.25, 0.1)


class EnsembleRecommender(Composite):
    """A weighted mean of the normalised scores of ALS and EASE.

    Args:
        weights: The weight of each part, not negative. None: `fit` withholds the last like of each
            user, fits the parts on the rest, and learns the weights from it.
    """

    name = "ensemble"
    description = "Several ways to learn from who liked what, weighed by how well each foretells."
    part_types = {part.name: part for part in (AlsRecommender, EaseRecommender)}

    def __init__(self, *, weights: Mapping[str, float] | None = None, seed: int = SEED) -> None:
        super().__init__(weights=weights)
        self.seed = seed
        self._given = weights

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        names = [
            name
            for name, part in self.part_types.items()
            if part().obstacle(interactions, items, times) is None
        ]
        self.weights = self._given
        self._report(0.0)
        if self._given is None:
            split = self._inner_split(interactions, times)
            past = self._fit_parts(names, split.train, items, split.train_times)
            self._report(0.4)
            self.weights = learn_weights(past, split, seed=self.seed)
        self._report(0.5)
        self.compose(self._fit_parts(names, interactions, items, times))
        self._report(1.0)
        return self

    def _fit_parts(
        self,
        names: list[str],
        interactions: csr_matrix,
        items: Features,
        times: Times,
    ) -> dict[str, Recommender]:
        return {name: self.part_types[name]().fit(interactions, items, times) for name in names}

    def _inner_split(self, interactions: csr_matrix, times: Times) -> Split:
        """The test is the last liked item of each user; without times, a random liked item."""
        if times is None:
            order = np.random.default_rng(self.seed).permutation(interactions.nnz)
            times = csr_matrix(
                (order.astype(np.float64), interactions.indices, interactions.indptr),
                shape=interactions.shape,
            )
        return leave_last_out(interactions, times)


def learn_weights(
    parts: Mapping[str, Recommender], split: Split, *, seed: int = SEED
) -> dict[str, float]:
    """Learn the weights for which the blended scores rank the liked items of the test best.

    The criterion is the mean NDCG without a cut-off, which is 1 / log2(1 + r) for one held-out item
    at rank r. Starting from equal weights, one weight is moved at a time, as long as the gain is
    larger than its standard error.

    Args:
        parts: Models fitted on `split.train`.

    Returns:
        A weight by part, not negative, of sum 1. Equal weights for fewer than ENOUGH_USERS users.
    """
    names = list(parts)
    weights = np.full(len(names), 1 / max(len(names), 1))
    users, held_out = _draw_likes(split, seed)
    if len(names) < 2 or len(np.unique(users)) < ENOUGH_USERS:
        return dict(zip(names, weights.tolist(), strict=True))
    leads = _leads(parts, split, users, held_out)
    best = _gains(leads, weights)
    for step in STEPS:
        while True:
            tried = [(_gains(leads, moved), moved) for moved in _neighbours(weights, step)]
            gains, moved = max(tried, key=lambda pair: float(pair[0].mean()))
            if not is_more_than_chance(gains - best):
                break
            weights, best = moved, gains
    return dict(zip(names, weights.tolist(), strict=True))


def _neighbours(weights: NDArray[np.float64], step: float) -> list[NDArray[np.float64]]:
    """All weights with one of them a step higher or lower, rescaled to sum 1."""
    moves = step * np.vstack([np.eye(len(weights)), -np.eye(len(weights))])
    moved = np.maximum(weights + moves, 0)
    return [row / row.sum() for row in moved if row.sum() > 0]


def _draw_likes(split: Split, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(m,) users, drawn from those with a liked item in the test, and (m,) one such item each."""
    random = np.random.default_rng(seed)
    liked = split.test.tocoo()
    judged = (liked.data > 0) & (split.history.getnnz(axis=1) > 0)[liked.row]
    order = random.permutation(np.flatnonzero(judged))
    users, first = np.unique(liked.row[order], return_index=True)
    most = min(MAX_LIKES, MAX_CELLS // max(split.test.shape[1], 1))
    drawn = np.sort(random.permutation(len(users))[:most])
    return users[drawn].astype(np.intp), liked.col[order[first[drawn]]].astype(np.intp)


def _leads(
    parts: Mapping[str, Recommender],
    split: Split,
    users: NDArray[np.intp],
    held_out: NDArray[np.intp],
) -> Scores:
    """The lead of each item over the held-out item in the normalised scores of each part.

    Returns:
        (n_parts, m, n_items) float32; FAR_BEHIND for items in the history, and for items for which
        a part has no opinion.
    """
    leads = np.empty((len(parts), len(users), split.test.shape[1]), dtype=np.float32)
    for start in range(0, len(users), BATCH):
        rows = users[start : start + BATCH]
        batch = slice(start, start + len(rows))
        history, own = split.history[rows], (np.arange(len(rows)), held_out[batch])
        left_out = history.astype(bool).toarray()
        for place, part in enumerate(parts.values()):
            scores = min_max_normalised(part.score(history, split.history_times[rows]))
            leads[place, batch] = scores - scores[own][:, None]
        left_out |= np.isnan(leads[:, batch]).any(axis=0)
        leads[:, batch][:, left_out] = FAR_BEHIND
    return leads


def _gains(leads: Scores, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m,) the NDCG of each held-out item, which ranks last among ties."""
    ahead = np.tensordot(weights.astype(np.float32), leads, axes=1)
    ranks = np.maximum((ahead >= 0).sum(axis=1), 1)
    gains: NDArray[np.float64] = 1 / np.log2(1 + ranks)
    return gains
