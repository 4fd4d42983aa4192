"""The registry. A new algorithm is one file and one line here."""

from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.protocol import Recommender

ALGORITHMS: dict[str, type[Recommender]] = {
    algorithm.name: algorithm for algorithm in (AlsRecommender, PopularityRecommender)
}
