"""The candidates of a list, and how the models of a release score them for viewers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from django.utils import timezone
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies.catalogue import Snapshot
from recommendations.dataset import History
from recommendations.engine.algorithms.hybrid import Composite
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.matrices import IdMap, Scores, values_at
from recommendations.engine.ranking.explanations import score_parts
from recommendations.engine.recommender import Recommender, Scoring
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

    @cached_property
    def _by_id(self) -> tuple[IdMap, NDArray[np.intp]]:
        order = np.argsort(self.ids)
        return IdMap(self.ids[order]), order

    def places(self, movie_ids: Iterable[int] | NDArray[np.integer]) -> NDArray[np.intp]:
        """The index of each movie that is among them, in the given order."""
        known, order = self._by_id
        found = known.indices(movie_ids)
        return order[found[found >= 0]]

    def not_in(self, histories: Sequence[History]) -> NDArray[np.bool_]:
        """(n_viewers, n_movies) False for the movies of the viewer's history."""
        known, order = self._by_id
        allowed = np.ones((len(histories), len(self.ids)), dtype=bool)
        found = known.indices(np.concatenate([history.movie_ids for history in histories]))
        rows = np.repeat(np.arange(len(histories)), [len(each.movie_ids) for each in histories])
        is_known = found >= 0
        allowed[rows[is_known], order[found[is_known]]] = False
        return allowed


def candidates_for(
    scope: Scope, days: int, snapshot: Snapshot, release: LoadedRelease
) -> Candidates:
    """Movies with a screening to come within the days, or all published ones."""
    if scope == "programme":
        return _showing(tuple(snapshot.upcoming.showing(days)), release)
    return _published(snapshot, release)


@lru_cache(maxsize=2)
def _published(snapshot: Snapshot, release: LoadedRelease) -> Candidates:
    return Candidates.of(snapshot.published, release)


@lru_cache(maxsize=16)
def _showing(movie_ids: tuple[int, ...], release: LoadedRelease) -> Candidates:
    return Candidates.of(movie_ids, release)


@dataclass(frozen=True, eq=False)
class HistoryMatrices:
    """Viewers' histories in the columns of a release.

    Attributes:
        weights: (n_viewers, n_items) float32.
        times: float64 Unix seconds, with the sparsity of `weights`.
        now: (n_viewers,) float64 Unix seconds, when the lists are made.
        kinds: (nnz,) `Evidence`, in the order of the entries of `weights`.
    """

    weights: csr_matrix
    times: csr_matrix
    now: NDArray[np.float64]
    kinds: NDArray[np.int64]

    @classmethod
    def of(cls, histories: Sequence[History], release: LoadedRelease) -> HistoryMatrices:
        """The histories without the movies that the release does not know."""
        movie_ids, weights, seconds, kinds = (
            np.concatenate(columns) for columns in list(zip(*histories, strict=True))[:4]
        )
        indices = release.items.indices(movie_ids)
        known = indices >= 0
        ends = np.cumsum([0, *(len(history.movie_ids) for history in histories)])
        starts = np.append(0, np.cumsum(known))[ends]
        shape, indices = (len(histories), len(release.items)), indices[known]
        return cls(
            csr_matrix((weights[known], indices, starts), shape=shape),
            csr_matrix((seconds[known], indices, starts), shape=shape),
            np.full(len(histories), timezone.now().timestamp()),
            kinds[known],
        )

    def kinds_of(self, row: int) -> NDArray[np.int64]:
        """Those of one viewer."""
        return self.kinds[slice(*self.weights.indptr[row : row + 2])]


@dataclass(frozen=True, eq=False)
class ViewerScores:
    """The scores of the candidates for one viewer.

    Attributes:
        scores: (n_movies,) float32; NaN where the source has no opinion.
        by_model: The model's scores for all viewers; None if no model made the scores.
        row: The viewer's row there.
        source_name: Reported as the source in place of the part.
    """

    scores: Scores
    by_model: ModelScores | None = None
    row: int = 0
    source_name: str = ""

    def source(self, movie: int) -> str:
        if self.source_name or self.by_model is None:
            return self.source_name
        return self.by_model.part(self.row, movie)


@dataclass(frozen=True, eq=False)
class ModelScores:
    """One model's scores for several viewers.

    Attributes:
        model: The model.
        by_part: The scores of all items by the name of the part, or of the model itself.
        columns: (n_movies,) int32, the column of each candidate; -1 for an unknown movie.
        scores: (n_viewers, n_columns) float32; NaN where the model has no opinion.
        leading: (n_viewers, n_columns) int8, the index in `parts` of the part that did most; -1 for
            none.
    """

    model: Recommender
    by_part: Mapping[str, Scoring]
    columns: NDArray[np.int32]
    scores: Scores
    leading: NDArray[np.int8]

    @classmethod
    def of(
        cls,
        model: Recommender,
        past: HistoryMatrices,
        candidates: Candidates,
        by_part: Mapping[str, Scoring] | None = None,
    ) -> ModelScores:
        """Blend all items, or only the candidates if those are few: blending is not cheap.

        Args:
            by_part: The parts that are blended; by default all of them.
        """
        if by_part is None:
            by_part = score_parts(model, past.weights, past.times, past.now)
        if not isinstance(model, Composite):
            scores = by_part[model.name].scores
            leading = np.zeros(scores.shape, dtype=np.int8)
            return cls(model, by_part, candidates.items, scores, leading)
        of_columns = {name: part.scores for name, part in by_part.items()}
        ranges = {name: part.range for name, part in by_part.items()}
        shape, columns = past.weights.shape, candidates.items
        known = candidates.items >= 0
        if known.sum() * ITEMS_PER_CANDIDATE < shape[1]:
            items = candidates.items[known]
            columns = np.where(known, np.cumsum(known) - 1, -1).astype(np.int32)
            of_columns = {name: values[:, items] for name, values in of_columns.items()}
            shape = (shape[0], len(items))
        likes = model.like_counts(past.weights)
        blend = model.blended(of_columns, shape=shape, ranges=ranges, likes=likes)
        return cls(model, by_part, columns, blend.scores, blend.leading)

    @cached_property
    def _parts(self) -> Sequence[str]:
        return [*self.by_part]

    def part(self, row: int, movie: int) -> str:
        """The name of the part that did most for a movie."""
        return self._parts[int(self.leading[row, self.columns[movie]])]

    def of_candidates(self, rows: NDArray[np.intp]) -> Scores:
        """(n_rows, n_movies) for the viewers in these rows; NaN where the model has no opinion."""
        if not self.scores.shape[1]:
            return np.full((len(rows), len(self.columns)), np.nan, dtype=np.float32)
        found: Scores = self.scores[rows[:, None], self.columns]
        found[:, self.columns < 0] = np.nan
        return found

    def from_favourites(self, row: int) -> Scores:
        """(n_movies,) of the movies above the mean, by `ReleaseScorer.personal_scores`.

        Popularity finds the others.
        """
        scores = self.scores[row]
        known = ~np.isnan(scores)
        found = known & (scores > (scores[known].mean() if known.any() else 0))
        return values_at(self.columns, np.where(found, scores, np.float32(np.nan)))


@dataclass(eq=False)
class ReleaseScorer:
    """The models of a release, each of which scores all viewers when it is first asked."""

    release: LoadedRelease
    candidates: Candidates
    histories: Sequence[History]
    #: (n_movies,) False for the candidates that the caller left out.
    eligible: NDArray[np.bool_] | None = None
    _scores: dict[str, ModelScores] = field(default_factory=dict)

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """(n_viewers, n_movies) False for the movies of the viewer's history, and left out ones."""
        allowed = self.candidates.not_in(self.histories)
        return allowed if self.eligible is None else allowed & self.eligible

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

    def personal_scores(self, name: str) -> ModelScores | None:
        """As `scores`, by the personal parts alone: after few likes popularity would cover them."""
        found, key = self.scores(name), f"{name} by personal parts"
        if found is None or not isinstance(model := found.model, Composite):
            return found
        if key not in self._scores:
            personal = {
                part: scores
                for part, scores in found.by_part.items()
                if model.parts[part].is_personal
            }
            self._scores[key] = ModelScores.of(model, self.past, self.candidates, personal)
        return self._scores[key]
