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
        ease: Likes with which EASE has half of its largest share.
        weights: Fixed weights of the parts, for any history.
    """

    name = "ensemble"
    description = "Two ways to learn from who liked what, weighed by the length of the history."
    part_types = {part.name: part for part in (AlsRecommender, EaseRecommender)}
    search_space: ClassVar[Mapping[str, Sequence[Any]]] = {"ease": (2.0, 5.0, 10.0, 20.0)}

    def __init__(self, *, ease: float = 10.0, weights: Mapping[str, float] | None = None) -> None:
        super().__init__(weights=weights)
        self.ease = ease

    def part_weights(self, likes: Float32) -> PartWeights:
        share = ease_share(likes, self.ease)
        return {AlsRecommender.name: 1 - share, EaseRecommender.name: share}
