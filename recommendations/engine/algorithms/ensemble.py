"""The collaborative part of the default by itself: ALS and EASE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.ease import EaseRecommender
from recommendations.engine.algorithms.hybrid import Composite, Float32, PartWeights, ease_share


class EnsembleRecommender(Composite):
    """A weighted mean of the normalised scores of ALS and EASE.

    Args:
        ease: The largest share of EASE, as in `ease_share`.
        weights: Fixed weights of the parts, for any history.
    """

    name = "ensemble"
    description = "Two ways to learn from who liked what, weighed by the length of the history."
    part_types = {part.name: part for part in (AlsRecommender, EaseRecommender)}
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {"ease": (0.4, 0.6, 0.8, 1.0)}

    def __init__(self, *, ease: float = 0.8, weights: Mapping[str, float] | None = None) -> None:
        super().__init__(weights=weights)
        self.ease = ease

    def part_weights(self, likes: Float32) -> PartWeights:
        share = ease_share(likes, self.ease)
        return {AlsRecommender.name: 1 - share, EaseRecommender.name: share}
