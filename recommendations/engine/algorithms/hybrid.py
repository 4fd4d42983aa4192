"""What viewers get unless they ask for another: collaborative filtering, content and popularity.

A weighted hybrid by Burke (2002), doi:10.1023/A:1021240730564.
"""

from __future__ import annotations

from collections.abc import Mapping

from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.content import ContentRecommender
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.composite import Composite


class HybridRecommender(Composite):
    """Half by the viewers who like the same, then by what films are made of, then by popularity."""

    name = "hybrid"
    description = "The default: who likes the same, what films are made of, and what is popular."
    part_types = {
        algorithm.name: algorithm
        for algorithm in (AlsRecommender, ContentRecommender, PopularityRecommender)
    }

    def __init__(self, *, weights: Mapping[str, float] | None = None) -> None:
        super().__init__(weights=weights or {"als": 0.5, "content": 0.3, "popularity": 0.2})
