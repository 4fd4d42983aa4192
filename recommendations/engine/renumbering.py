"""A model of yesterday on the columns of today."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from recommendations.engine.ids import IdMap
from recommendations.engine.protocol import Recommender, Scores


class Renumbered:
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
