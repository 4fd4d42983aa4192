"""The default algorithm: a weighted hybrid of ALS, content and popularity.

Burke (2002), doi:10.1023/A:1021240730564.
"""

from __future__ import annotations

from collections.abc import Mapping

from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.content import ContentRecommender
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.composite import Composite


class HybridRecommender(Composite):
    name = "hybrid"
    description = "The default: who likes the same, what films are made of, and what is popular."
    part_types = {
        part.name: part for part in (AlsRecommender, ContentRecommender, PopularityRecommender)
    }

    def __init__(self, *, weights: Mapping[str, float] | None = None) -> None:
        super().__init__(weights=weights or {"als": 0.5, "content": 0.3, "popularity": 0.2})
