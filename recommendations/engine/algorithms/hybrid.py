"""Algorithms made of others: a weighted mean of normalised scores; and `hybrid`, the default.

Burke (2002), doi:10.1023/A:1021240730564.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.content import ContentRecommender
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.artifacts import model_arrays
from recommendations.engine.matrices import Array, Features, Scores, Times
from recommendations.engine.recommender import NotFittedError, Recommender, extremes

#: The name of the weights among the arrays of the parts.
WEIGHTS = "weights"


@dataclass(frozen=True)
class Blend:
    """The blended scores of several models.

    Attributes:
        scores: (n_rows, n_items) float32, 0 to 1; NaN where no part has an opinion.
        leading: (n_rows, n_items) int8, the index in `parts` of the part that added most to the
            score; -1 for none.
        parts: The names of the parts.
    """

    scores: Scores
    leading: NDArray[np.int8]
    parts: tuple[str, ...]


#: The least and the greatest score of each row in the whole catalogue, by part.
Ranges: TypeAlias = Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]]


def blend(
    scores: Mapping[str, NDArray[np.floating]],
    weights: Mapping[str, float],
    *,
    shape: tuple[int, ...],
    ranges: Ranges | None = None,
) -> Blend:
    """The weighted mean of the normalised scores; where a part is NaN, the others share its weight.

    Args:
        scores: (n_rows, n) by part.
        weights: By part, not negative; a part without a weight is left out.
        shape: (n_rows, n), which `scores` does not tell if it is empty.
        ranges: If the scores are of some items only.
    """
    total, weight_of_all = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    most, leading = np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int8)
    for place, (name, values) in enumerate(scores.items()):
        weight = np.float32(weights.get(name, 0.0))
        if not weight:
            continue
        share = _normalised(values, *(ranges[name] if ranges else extremes(values)))
        known = ~np.isnan(share)
        share *= weight
        np.add(weight_of_all, weight, out=weight_of_all, where=known)
        np.add(total, share, out=total, where=known)
        leads = share > most  # never where a part is NaN
        np.copyto(leading, np.int8(place), where=leads)
        np.copyto(most, share, where=leads)
    with np.errstate(invalid="ignore"):
        total /= weight_of_all
    return Blend(total, leading, tuple(scores))


def min_max_normalised(scores: Scores) -> Scores:
    """Scale each row to 0 (its least score) to 1 (its greatest); NaN stays NaN.

    A row of equal scores becomes 0. Of eight ways to make scores comparable, this one lost least
    in `hybrid`.
    """
    return _normalised(scores, *extremes(scores))


def _normalised(
    values: NDArray[np.floating], least: NDArray[np.floating], greatest: NDArray[np.floating]
) -> Scores:
    with np.errstate(invalid="ignore"):
        span = greatest - least
    # A smaller span is rounding, which scaling would blow up.
    rounding = np.maximum(1e-4 * np.maximum(np.abs(least), np.abs(greatest)), 1e-12)
    span[~(span > rounding)] = np.inf
    found = (values - least[..., None]).astype(np.float32, copy=False)
    found /= span[..., None].astype(np.float32)
    return found


class Composite(Recommender):
    """A weighted mean of parts. Where a part has no opinion, the others share its weight.

    `fit` fits the parts; in a release `compose` uses the models that the release has anyway.
    """

    #: The parts, by name.
    part_types: ClassVar[Mapping[str, type[Recommender]]]

    def __init__(self, *, weights: Mapping[str, float] | None = None) -> None:
        self.weights: Mapping[str, float] | None = weights
        self._parts: dict[str, Recommender] | None = None

    @property
    def parts(self) -> Mapping[str, Recommender]:
        """Raises NotFittedError."""
        if self._parts is None:
            raise NotFittedError(self.name)
        return self._parts

    def compose(self, fitted: Mapping[str, Recommender]) -> Self:
        """Use models that are fitted already; parts that are not among them are left out."""
        self._parts = {name: fitted[name] for name in self.part_types if name in fitted}
        return self

    def fit(self, interactions: csr_matrix, items: Features = None, times: Times = None) -> Self:
        make = self.part_types.items()
        return self.compose({name: part().fit(interactions, items, times) for name, part in make})

    def blended(
        self,
        scores: Mapping[str, NDArray[np.floating]],
        *,
        shape: tuple[int, ...],
        ranges: Ranges | None = None,
    ) -> Blend:
        """Blend the (n_rows, n) scores of each part, as in `blend`.

        All NaN for a user for whom no personal part has an opinion.
        """
        ranges = ranges or {name: extremes(values) for name, values in scores.items()}
        known = np.zeros(shape[0], dtype=bool)
        for name, (_, greatest) in ranges.items():
            if self.parts[name].is_personal:
                known |= greatest > -np.inf
        blended = blend(scores, self._weights(), shape=shape, ranges=ranges)
        blended.scores[~known], blended.leading[~known] = np.nan, -1
        return blended

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        scores = {name: part.score(history, times) for name, part in self.parts.items()}
        return self.blended(scores, shape=history.shape).scores

    def _weights(self) -> Mapping[str, float]:
        """The weight of each part, not negative; equal if none are given."""
        return self.weights if self.weights is not None else dict.fromkeys(self.parts, 1.0)

    def to_arrays(self) -> dict[str, Array]:
        """The weights, and the arrays of the parts, which `artifacts.save` writes only once."""
        arrays: dict[str, Array] = {
            f"{name}.{key}": array
            for name, part in self.parts.items()
            for key, array in part.to_arrays().items()
        }
        weights = self._weights()
        return arrays | {WEIGHTS: np.array([weights.get(name, 0.0) for name in self.part_types])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        weights = np.asarray(arrays[WEIGHTS], dtype=np.float64).tolist()
        # Not strict: the ensemble of an older release ends with a weight of SLIM, which is gone.
        recommender = cls(weights=dict(zip(cls.part_types, weights, strict=False)))
        return recommender.compose({
            name: part.from_arrays(own)
            for name, part in cls.part_types.items()
            if (own := model_arrays(arrays, name))
        })  # fmt: skip


class HybridRecommender(Composite):
    """ALS, content and popularity: the default algorithm."""

    name = "hybrid"
    description = "The default: who likes the same, what films are made of, and what is popular."
    part_types = {
        part.name: part for part in (AlsRecommender, ContentRecommender, PopularityRecommender)
    }

    def __init__(self, *, weights: Mapping[str, float] | None = None) -> None:
        super().__init__(weights=weights or {"als": 0.5, "content": 0.3, "popularity": 0.2})
