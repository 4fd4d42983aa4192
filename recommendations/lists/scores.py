"""The films that a list may be made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies.catalogue import Snapshot
from recommendations.dataset import History
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.composite import Composite
from recommendations.engine.matrices import Scores, values_at
from recommendations.engine.recommender import Recommender
from recommendations.releases import LoadedRelease

Scope = Literal["catalogue", "programme"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may be listed, by date.

    Attributes:
        ids: (n_films,) int64.
        items: (n_films,) int32, the column of each in the release; -1 for what that does not know.
    """

    ids: NDArray[np.int64]
    items: NDArray[np.int32]

    @classmethod
    def of(cls, movie_ids: Sequence[int], release: LoadedRelease) -> Candidates:
        ids = np.array(movie_ids, dtype=np.int64)
        return cls(ids, release.items.indices(ids))


def candidates_for(
    scope: Scope, days: int, snapshot: Snapshot, release: LoadedRelease
) -> Candidates:
    """Of the programme what is still to be shown within the days, or else all that is published."""
    if scope == "programme":
        return Candidates.of(snapshot.showing(days), release)
    return _published(snapshot, release)


@lru_cache(maxsize=2)
def _published(snapshot: Snapshot, release: LoadedRelease) -> Candidates:
    return Candidates.of(snapshot.published, release)


POPULARITY = PopularityRecommender.name
#: Films are few beside the items of a release if those are so many times as many.
FEW = 4


@dataclass(frozen=True, eq=False)
class HistoryMatrices:
    """Viewers' histories as a release knows them; all are (n_viewers, n_items) of one sparsity.

    Attributes:
        weights: float32.
        kinds: `Evidence`.
        times: float64 Unix seconds.
    """

    weights: csr_matrix
    kinds: csr_matrix
    times: csr_matrix

    @classmethod
    def of(cls, histories: Sequence[History], release: LoadedRelease) -> HistoryMatrices:
        """What the release does not know is left out."""
        movie_ids = np.concatenate([history.movie_ids for history in histories])
        indices = release.items.indices(movie_ids)
        known = indices >= 0
        ends = np.cumsum([0, *(len(history.movie_ids) for history in histories)])
        starts = np.append(0, np.cumsum(known))[ends]
        shape = (len(histories), len(release.items))

        def matrix(columns: list[NDArray[np.generic]]) -> csr_matrix:
            return csr_matrix((np.concatenate(columns)[known], indices[known], starts), shape=shape)

        return cls(
            weights=matrix([history.weights for history in histories]),
            kinds=matrix([history.kinds for history in histories]),
            times=matrix([history.seconds for history in histories]),
        )

    def viewer(self, row: int) -> HistoryMatrices:
        """Of one of them: (1, n_items) each."""
        return HistoryMatrices(
            _row(self.weights, row), _row(self.kinds, row), _row(self.times, row)
        )


def _row(matrix: csr_matrix, row: int) -> csr_matrix:
    """What `matrix[row]` is, in a fifth of its time."""
    start, end = matrix.indptr[row : row + 2]
    entries = (matrix.data[start:end], matrix.indices[start:end], np.array([0, end - start]))
    return csr_matrix(entries, shape=(1, matrix.shape[1]))


@dataclass(frozen=True, eq=False)
class ViewerScores:
    """What is said of the films of a list to one viewer.

    Attributes:
        scores: (n_films,) float32; NaN where nothing is said.
        leading: (n_films,) int8, the place in `parts` of what did most for the score.
        parts: The models by name; empty for what is said by no model.
        mark: Named as the source in place of the part.
        model: What the parts are parts of, or the only one of them.
    """

    scores: Scores
    leading: NDArray[np.int8] | None = None
    parts: Mapping[str, Recommender] = field(default_factory=dict)
    mark: str = ""
    model: Recommender | None = None

    def part(self, film: int) -> str:
        """The name of the model that did most for a film; empty for none."""
        return "" if self.leading is None else list(self.parts)[self.leading[film]]

    def source(self, film: int) -> str:
        return self.mark or self.part(film)


@dataclass(frozen=True, eq=False)
class ModelScores:
    """What one model says of items to some viewers.

    Attributes:
        scores: (n_viewers, n_columns) float32; NaN where it has no opinion.
        leading: (n_viewers, n_columns) int8, the place in `parts` of the one that did most; -1 for
            none.
        parts: What the model is made of, or itself.
        columns: (n_films,) int32, that of each film; -1 for what the release does not know.
        model: Itself.
    """

    scores: Scores
    leading: NDArray[np.int8]
    parts: Mapping[str, Recommender]
    columns: NDArray[np.int32]
    model: Recommender

    @classmethod
    def by(cls, model: Recommender, past: HistoryMatrices, films: Candidates) -> ModelScores:
        """Of all items, or if there are far fewer films of these: to blend costs as much as to
        score."""
        known = films.items >= 0
        items, columns = None, films.items
        if known.sum() * FEW < past.weights.shape[1]:
            items = films.items[known]
            columns = np.where(known, np.cumsum(known) - 1, -1).astype(np.int32)
        if isinstance(model, Composite):
            blend = model.blended(past.weights, past.times, items)
            parts = {name: model.parts[name] for name in blend.parts}
            return cls(blend.scores, blend.leading, parts, columns, model)
        scores = model.score(past.weights, past.times)
        scores = scores if items is None else scores[:, items]
        leading = np.zeros(scores.shape, dtype=np.int8)
        return cls(scores, leading, {model.name: model}, columns, model)

    def to_viewer(self, row: int) -> ViewerScores:
        return self._opinion(self.scores[row], row)

    def from_favourites(self, row: int, mark: str) -> ViewerScores:
        """What taste makes better than the mean film: what else there is, popularity has found."""
        by_taste = np.array([*(part.is_personal for part in self.parts.values()), False])
        scores = self.scores[row]
        known = ~np.isnan(scores)
        found = known & by_taste[self.leading[row]]
        found &= scores > (scores[known].mean() if known.any() else 0)
        return self._opinion(np.where(found, scores, np.float32(np.nan)), row, mark)

    def _opinion(self, scores: Scores, row: int, mark: str = "") -> ViewerScores:
        leading = np.append(self.leading[row], np.int8(-1))[self.columns]
        return ViewerScores(values_at(self.columns, scores), leading, self.parts, mark, self.model)


@dataclass(eq=False)
class ReleaseScorer:
    """Those of a release, asked about some films for some viewers at once, each when it is first
    wanted."""

    release: LoadedRelease
    films: Candidates
    histories: Sequence[History]
    _said: dict[str, ModelScores] = field(default_factory=dict)

    @cached_property
    def past(self) -> HistoryMatrices:
        return HistoryMatrices.of(self.histories, self.release)

    def say(self, name: str) -> ModelScores | None:
        """None if the release is without the model."""
        if name not in self._said:
            model = self.release.recommenders.get(name)
            if model is None:
                return None
            self._said[name] = ModelScores.by(model, self.past, self.films)
        return self._said[name]


PREFERENCES = "preferences"
