"""Algorithms that are made of others: a weighted sum of what these say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.artifacts import arrays_of
from recommendations.engine.blending import Blend, blend
from recommendations.engine.protocol import (
    Array,
    ItemFeatures,
    NotFittedError,
    Recommender,
    Scores,
)

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
                if (own := arrays_of(arrays, name))
            }
        )
