"""Algorithms that are made of others: a weighted sum of what these say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.artifacts import model_arrays
from recommendations.engine.matrices import Array, ItemFeatures, Scores
from recommendations.engine.recommender import NotFittedError, Recommender

#: In the arrays, beside those of the parts.
WEIGHTS = "weights"


class Composite(Recommender):
    """Parts and their weights. A part without an opinion gives its weight to the others.

    Fitted by itself it fits its parts; in a release it stands on those that are there anyway.
    """

    #: What it is made of, by name.
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
        """Stand on models that are fitted already; what is not among them is no part."""
        self._parts = {name: fitted[name] for name in self.part_types if name in fitted}
        return self

    def fit(
        self,
        interactions: csr_matrix,
        items: ItemFeatures | None = None,
        times: csr_matrix | None = None,
    ) -> Self:
        return self.compose(
            {
                name: algorithm().fit(interactions, items, times)
                for name, algorithm in self.part_types.items()
            }
        )

    def blended(
        self,
        history: csr_matrix,
        times: csr_matrix | None = None,
        items: NDArray[np.integer] | None = None,
    ) -> Blend:
        """The scores, and which part did most for each; of `items` alone where they are given.

        Of a user to whom no part has anything personal to say there is no opinion.
        """
        scores = {name: part.score(history, times) for name, part in self.parts.items()}
        return self.blended_from(scores, shape=history.shape, items=items)

    def blended_from(
        self,
        scores: Mapping[str, Scores],
        *,
        shape: tuple[int, ...],
        items: NDArray[np.integer] | None = None,
    ) -> Blend:
        """The same from what each of the parts has said, (n_rows, n_items)."""
        known = np.zeros(shape[0], dtype=bool)
        for name, values in scores.items():
            if self.parts[name].is_personal:
                known |= ~np.isnan(values).all(axis=1)
        blended = blend(scores, self._weights(), shape=shape, items=items)
        blended.scores[~known], blended.leading[~known] = np.nan, -1
        return blended

    def score(self, history: csr_matrix, times: csr_matrix | None = None) -> Scores:
        return self.blended(history, times).scores

    def scores_without(
        self,
        history: csr_matrix,
        entries: NDArray[np.integer],
        times: csr_matrix | None = None,
    ) -> Scores:
        scores = self.parts_without(history, entries, times)
        return self.blended_from(scores, shape=(1 + len(entries), history.shape[1])).scores

    def parts_without(
        self,
        history: csr_matrix,
        entries: NDArray[np.integer],
        times: csr_matrix | None = None,
    ) -> Mapping[str, Scores]:
        """By part what `scores_without` says."""
        return {
            name: part.scores_without(history, entries, times) for name, part in self.parts.items()
        }

    def _weights(self) -> Mapping[str, float]:
        """Of each part, not negative; equal ones where none are given."""
        return self.weights if self.weights is not None else dict.fromkeys(self.parts, 1.0)

    def to_arrays(self) -> dict[str, Array]:
        """Those of the parts are the parts' own: `artifacts.save` writes them once."""
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
        recommender = cls(weights=dict(zip(cls.part_types, weights, strict=True)))
        return recommender.compose(
            {
                name: algorithm.from_arrays(own)
                for name, algorithm in cls.part_types.items()
                if (own := model_arrays(arrays, name))
            }
        )


@dataclass(frozen=True)
class Blend:
    """Several models' scores in one.

    Attributes:
        scores: (n_rows, n_items) float32, NaN where no part has an opinion.
        leading: (n_rows, n_items) int8, the place in `parts` of the one that did most for the
            score; -1 for none.
        parts: Their names.
    """

    scores: Scores
    leading: NDArray[np.int8]
    parts: tuple[str, ...]


def blend(
    scores: Mapping[str, Scores],
    weights: Mapping[str, float],
    *,
    shape: tuple[int, ...],
    items: NDArray[np.integer] | None = None,
) -> Blend:
    """The weighted mean of the normalised scores.

    For an item of which a part has no opinion, its weight goes to the others.

    Args:
        scores: By part, (n_rows, n_items) each.
        weights: By part, not negative; one that is not named has none.
        items: Columns that alone are asked for, (m,): the blend has only these. All the same the
            scores are normalised over all columns.
    """
    if items is not None:
        shape = (*shape[:-1], len(items))
    total, weight_of_all = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    most, leading = np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int8)
    for place, (name, values) in enumerate(scores.items()):
        weight = np.float32(weights.get(name, 0.0))
        if not weight:
            continue
        share = _normalised(values, items)
        known = ~np.isnan(values if items is None else values[..., items])
        share *= weight
        total += share
        np.add(weight_of_all, weight, out=weight_of_all, where=known)
        leads = share > most
        leads &= known
        np.copyto(leading, np.int8(place), where=leads)
        np.copyto(most, share, where=leads)
    with np.errstate(invalid="ignore"):
        total /= weight_of_all
    return Blend(total, leading, tuple(scores))


def min_max_normalised(scores: Scores) -> Scores:
    """Each row from 0, its least opinion, to 1, its greatest; NaN stays NaN.

    A row in which all are equal becomes 0. Of eight ways to make scores comparable this lost least
    in `hybrid` (docs/decisions/0044).
    """
    known = ~np.isnan(scores)
    return np.where(known, _normalised(scores), np.float32(np.nan))


def _normalised(scores: Scores, items: NDArray[np.integer] | None = None) -> Scores:
    """The same with 0 in place of NaN, of all or of some columns.

    In place: new arrays take longer than the arithmetic.
    """
    least = np.fmin.reduce(scores, axis=-1, keepdims=True, initial=np.inf)
    greatest = np.fmax.reduce(scores, axis=-1, keepdims=True, initial=-np.inf)
    span = greatest - least
    # Where they differ by less, rounding would be made as large as what is told apart.
    rounding = np.maximum(1e-4 * np.maximum(np.abs(least), np.abs(greatest)), 1e-12)
    span[~(span > rounding)] = np.inf
    values = (scores if items is None else scores[..., items]) - least
    values /= span
    return np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
