"""The collaborative algorithms together, by weights that validation has taught.

Stacking with non-negative weights: Breiman (1996), doi:10.1007/BF00117832; of recommenders, Sill
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
from recommendations.engine.algorithms.slim import SlimRecommender
from recommendations.engine.composite import Composite, min_max_normalised
from recommendations.engine.evaluation.splits import BATCH, Split, leave_last_out
from recommendations.engine.evaluation.tuning import is_more_than_chance
from recommendations.engine.matrices import ItemFeatures, Scores
from recommendations.engine.recommender import Recommender

SEED = 1895
#: With fewer viewers to judge by, all parts weigh the same.
ENOUGH_USERS = 50
#: Held-out likes that are ranked, each among the whole catalogue: more no longer move the weights.
MAX_LIKES = 3000
#: Scores held at once for each part: 80 MB.
MAX_CELLS = 20_000_000
#: Instead of a lead, for an item that is not to be ranked.
FAR_BEHIND = np.float32(-1e9)
#: By how much a weight is moved, ever less.
STEPS = (0.5, 0.25, 0.1)


class EnsembleRecommender(Composite):
    """A weighted sum of the normalised scores of factors and of linear item models.

    Args:
        weights: Of each part, not negative. None: `fit` holds back what each viewer liked last,
            fits the parts on the rest, and learns them by that.
    """

    name = "ensemble"
    description = "Several ways to learn from who liked what, weighed by how well each foretells."
    part_types = {
        algorithm.name: algorithm
        for algorithm in (AlsRecommender, EaseRecommender, SlimRecommender)
    }

    def __init__(self, *, weights: Mapping[str, float] | None = None, seed: int = SEED) -> None:
        super().__init__(weights=weights)
        self.seed = seed
        self._given = weights

    def fit(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> Self:
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
        items: ItemFeatures | None,
        times: csr_matrix | None,
    ) -> dict[str, Recommender]:
        return {name: self.part_types[name]().fit(interactions, items, times) for name in names}

    def _inner_split(self, interactions: csr_matrix, times: csr_matrix | None) -> Split:
        """Each viewer's last liked item is the test; any one of them, where no times are known."""
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
    """The weights by which the blended scores rank the liked items of the test best.

    Best is the mean NDCG without a cut-off, which every place of a held-out item moves: of one
    item at rank r it is 1 / log2(1 + r). From equal weights one is moved at a time, as long as that
    gains more than the standard error of the gain.

    Args:
        parts: Fitted on `split.train`.

    Returns:
        By part, none negative, of sum 1. Equal ones where fewer than ENOUGH_USERS can be judged.
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
    """The weights with one of them a step higher or lower, of sum 1 again."""
    moves = step * np.vstack([np.eye(len(weights)), -np.eye(len(weights))])
    moved = np.maximum(weights + moves, 0)
    return [row / row.sum() for row in moved if row.sum() > 0]


def _draw_likes(split: Split, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(m,) users and (m,) items: one liked item of the test of each user, for some of the users."""
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
    """How far each item stands ahead of the one held out, by each part's normalised scores.

    Returns:
        (n_parts, m, n_items) float32; FAR_BEHIND for what is in the history, and for what one of
        the parts has no opinion on: the others alone decide on that.
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
    """(m,) the NDCG of each held-out item; among equals it stands last."""
    ahead = np.tensordot(weights.astype(np.float32), leads, axes=1)
    ranks = np.maximum((ahead >= 0).sum(axis=1), 1)
    gains: NDArray[np.float64] = 1 / np.log2(1 + ranks)
    return gains
