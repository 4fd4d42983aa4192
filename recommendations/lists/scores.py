"""The candidates of a list, and how the models of a release score them for viewers."""

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

POPULARITY = PopularityRecommender.name
PREFERENCES = "preferences"
#: Only the candidates are scored if the release has more than so many items for each of them.
ITEMS_PER_CANDIDATE = 4


@dataclass(frozen=True, eq=False)
class Candidates:
    """The movies that a list may be made of, by date.

    Attributes:
        ids: (n_movies,) int64.
        items: (n_movies,) int32 columns in the release; -1 for a movie that it does not know.
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
    """Movies with a screening to come within the days, or all published ones."""
    if scope == "programme":
        return Candidates.of(snapshot.showing(days), release)
    return _published(snapshot, release)


@lru_cache(maxsize=2)
def _published(snapshot: Snapshot, release: LoadedRelease) -> Candidates:
    return Candidates.of(snapshot.published, release)


@dataclass(frozen=True, eq=False)
class HistoryMatrices:
    """Viewers' histories in the columns of a release: (n_viewers, n_items), of one sparsity.

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
        """The histories without the movies that the release does not know."""
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
        """One viewer's history: (1, n_items) matrices."""
        return HistoryMatrices(
            *(_row(each, row) for each in (self.weights, self.kinds, self.times))
        )


def _row(matrix: csr_matrix, row: int) -> csr_matrix:
    """Like `matrix[row]`, in a fifth of its time."""
    start, end = matrix.indptr[row : row + 2]
    entries = (matrix.data[start:end], matrix.indices[start:end], np.array([0, end - start]))
    return csr_matrix(entries, shape=(1, matrix.shape[1]))


@dataclass(frozen=True, eq=False)
class ViewerScores:
    """The scores of the candidates for one viewer.

    Attributes:
        scores: (n_movies,) float32; NaN where the source has no opinion.
        leading: (n_movies,) int8, the index in `parts` of the part that did most for the score.
        parts: The parts of the model by name; empty if no model made the scores.
        source_name: Reported as the source in place of the part.
        model: The model that has the parts, or that is the only part.
    """

    scores: Scores
    leading: NDArray[np.int8] | None = None
    parts: Mapping[str, Recommender] = field(default_factory=dict)
    source_name: str = ""
    model: Recommender | None = None

    def part(self, movie: int) -> str:
        """The name of the part that did most for a movie; empty for none."""
        return "" if self.leading is None else list(self.parts)[self.leading[movie]]

    def source(self, movie: int) -> str:
        return self.source_name or self.part(movie)


@dataclass(frozen=True, eq=False)
class ModelScores:
    """One model's scores for several viewers.

    Attributes:
        scores: (n_viewers, n_columns) float32; NaN where the model has no opinion.
        leading: (n_viewers, n_columns) int8, the index in `parts` of the part that did most; -1 for
            none.
        parts: The parts of a composite model, or the model itself.
        columns: (n_movies,) int32, the column of each candidate; -1 for an unknown movie.
        model: The model.
    """

    scores: Scores
    leading: NDArray[np.int8]
    parts: Mapping[str, Recommender]
    columns: NDArray[np.int32]
    model: Recommender

    @classmethod
    def of(cls, model: Recommender, past: HistoryMatrices, candidates: Candidates) -> ModelScores:
        """Score all items, or only the candidates if those are few: blending is not cheap."""
        known = candidates.items >= 0
        items, columns = None, candidates.items
        if known.sum() * ITEMS_PER_CANDIDATE < past.weights.shape[1]:
            items = candidates.items[known]
            columns = np.where(known, np.cumsum(known) - 1, -1).astype(np.int32)
        if isinstance(model, Composite):
            blend = model.blended(past.weights, past.times, items)
            parts = {name: model.parts[name] for name in blend.parts}
            return cls(blend.scores, blend.leading, parts, columns, model)
        scores = model.score(past.weights, past.times)
        scores = scores if items is None else scores[:, items]
        leading = np.zeros(scores.shape, dtype=np.int8)
        return cls(scores, leading, {model.name: model}, columns, model)

    def for_viewer(self, row: int) -> ViewerScores:
        return self._for_viewer(self.scores[row], row)

    def from_favourites(self, row: int, source_name: str) -> ViewerScores:
        """The movies that a personal part lifts above the mean; popularity finds the others."""
        is_personal = np.array([*(part.is_personal for part in self.parts.values()), False])
        scores = self.scores[row]
        known = ~np.isnan(scores)
        found = known & is_personal[self.leading[row]]
        found &= scores > (scores[known].mean() if known.any() else 0)
        return self._for_viewer(np.where(found, scores, np.float32(np.nan)), row, source_name)

    def _for_viewer(self, scores: Scores, row: int, source_name: str = "") -> ViewerScores:
        leading = np.append(self.leading[row], np.int8(-1))[self.columns]
        scores = values_at(self.columns, scores)
        return ViewerScores(scores, leading, self.parts, source_name, self.model)


@dataclass(eq=False)
class ReleaseScorer:
    """The models of a release, each of which scores all viewers when it is first asked."""

    release: LoadedRelease
    candidates: Candidates
    histories: Sequence[History]
    _scores: dict[str, ModelScores] = field(default_factory=dict)

    @cached_property
    def past(self) -> HistoryMatrices:
        return HistoryMatrices.of(self.histories, self.release)

    def scores(self, name: str) -> ModelScores | None:
        """None if the release does not have the model."""
        if name not in self._scores:
            model = self.release.recommenders.get(name)
            if model is None:
                return None
            self._scores[name] = ModelScores.of(model, self.past, self.candidates)
        return self._scores[name]
