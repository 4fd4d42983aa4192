"""The registry of algorithms. A new algorithm is one file, named after it, and one line here."""

from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.content import ContentRecommender
from recommendations.engine.algorithms.ease import EaseRecommender
from recommendations.engine.algorithms.ensemble import EnsembleRecommender
from recommendations.engine.algorithms.hybrid import HybridRecommender
from recommendations.engine.algorithms.item_knn import ItemKnnRecommender
from recommendations.engine.algorithms.neural import NeuralRecommender
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.algorithms.sequence import SequenceRecommender
from recommendations.engine.algorithms.user_knn import UserKnnRecommender
from recommendations.engine.recommender import Recommender

ALGORITHMS: dict[str, type[Recommender]] = {
    algorithm.name: algorithm
    for algorithm in (
        AlsRecommender,
        ContentRecommender,
        EaseRecommender,
        EnsembleRecommender,
        HybridRecommender,
        ItemKnnRecommender,
        NeuralRecommender,
        PopularityRecommender,
        SequenceRecommender,
        UserKnnRecommender,
    )
}

#: Algorithms that are gone. A release that was trained with them is served without them.
RETIRED = frozenset({"bpr", "slim"})
