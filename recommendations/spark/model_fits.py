"""Fits the models of a release on Spark.

The trainer computes sums and counts, which take time linear in the interactions, one file at a
time. The workers compute the sweeps of ALS and the products of EASE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations.engine.algorithms._item_weights import likes_of
from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.content import ContentRecommender
from recommendations.engine.algorithms.ease import EaseRecommender, weigh_by_activity
from recommendations.engine.algorithms.hybrid import Composite
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.engine.matrices import Features
from recommendations.engine.recommender import FitInterrupted, Recommender
from recommendations.spark.factorisation import SparkAls
from recommendations.spark.item_sums import ItemSums
from recommendations.spark.shared_folder import SharedFolder
from recommendations.spark.viewer_blocks import SharedInteractions, ViewerFile

Float32 = NDArray[np.float32]

#: The algorithms that Spark trains; composites need no training of their own.
TRAINED = (PopularityRecommender, ContentRecommender, AlsRecommender, EaseRecommender)
#: Bytes of the rows of a product that a task holds.
PRODUCT_BYTES = 256_000_000


@dataclass(eq=False)
class SparkFits:
    """Fits on the past, and updates with all interactions; in place of `LocalFits`.

    Attributes:
        work: For files between tasks.
        moment: Unix seconds; the past ends here.
        latest: Unix seconds of the latest interaction.
        judged: The arguments of `Recommender.fit` of the viewers that models are judged by.
    """

    context: Any
    interactions: SharedInteractions
    work: SharedFolder
    items: Features
    moment: float
    latest: float
    judged: Sequence[Any]
    past_sums: ItemSums = field(init=False)
    sums: ItemSums = field(init=False)
    _als: SparkAls | None = None

    def __post_init__(self) -> None:
        self.past_sums, self.sums = (
            ItemSums(self.interactions.n_items, self.latest) for _ in range(2)
        )
        past = replace(self.interactions, until=self.moment)
        for interactions, sums in ((past, self.past_sums), (self.interactions, self.sums)):
            for file in interactions.files:
                block = interactions.read(file)
                sums.add(block.interactions, block.times)

    def obstacle(self, model: Recommender) -> str | None:
        if not isinstance(model, (Composite, *TRAINED)):
            return "TRAINING_ENGINE=spark does not train it."
        return model.obstacle(*self.judged)

    def fit(self, model: Recommender) -> Recommender:
        """Fit the model on the interactions until `moment`."""
        return self._fit(model, self.moment, self.past_sums)

    def update(self, model: Recommender) -> Recommender:
        """Update the model with all interactions."""
        return self._fit(model, inf, self.sums)

    def _fit(self, model: Recommender, until: float, sums: ItemSums) -> Recommender:
        """Raises FitInterrupted: The cluster is away, or gave a task up."""
        from py4j.protocol import Py4JError

        interactions = replace(self.interactions, until=until)
        try:
            if isinstance(model, PopularityRecommender):
                return model.fit_sums(sums.popularity, sums.touched, sums.liked_by)
            if isinstance(model, ContentRecommender):
                return model.fit_counts(self.items, sums.touched, sums.liked_by)
            if isinstance(model, AlsRecommender):
                return self._fit_als(model, interactions, sums)
            assert isinstance(model, EaseRecommender)
            return self._fit_ease(model, interactions, sums)
        except Py4JError as error:
            java = getattr(error, "java_exception", None)
            message = str(java.getMessage() if java else error)
            raise FitInterrupted(f"Spark: {message.partition(chr(10))[0]}") from error

    def _fit_als(
        self, model: AlsRecommender, interactions: SharedInteractions, sums: ItemSums
    ) -> Recommender:
        if self._als is None:
            self._als = SparkAls(self.context, self.work.below("als"), model.seed)
        report = model.on_progress or (lambda share: None)
        return self._als.fit(model, interactions, sums, self.items, report)

    def _fit_ease(
        self, model: EaseRecommender, interactions: SharedInteractions, sums: ItemSums
    ) -> Recommender:
        liked = np.flatnonzero(sums.liked_by)
        weigh = partial(
            weigh_by_activity,
            power=model.activity_for(sums.n_likes),
            mean_length=sums.n_likes / max(1, sums.n_likers),
        )
        products = like_products(
            self.context, interactions, self.work.below("ease"), liked, sums.mean_like, weigh
        )
        weights = model.solve(products, sums.liked_by[liked]) if len(liked) else products
        return model.adopt(weights, liked, sums.touched > 0, sums.mean_like)


def like_products(
    context: Any,
    interactions: SharedInteractions,
    work: SharedFolder,
    liked: NDArray[np.intp],
    mean: float,
    weigh: Callable[[csr_matrix], csr_matrix],
) -> Float32:
    """(n_liked, n_liked) float32 cross products of the likes, as `ease.gram` of one machine.

    Each task adds up some rows of the products over a group of viewers, into a file.

    Args:
        liked: The items with a like, ascending indices.
        mean: The mean weight of a like.
        weigh: Weights the likes of some viewers, as `weigh_by_activity`.
    """
    n = len(liked)
    products = np.zeros((n, n), dtype=np.float32)
    groups = min(context.defaultParallelism, max(1, len(interactions.files)))
    step = max(1, PRODUCT_BYTES // max(1, 4 * n))
    parts = [
        (start, group, interactions.files[group::groups])
        for start in range(0, n, step)
        for group in range(groups)
    ]
    task = partial(_write_products, interactions, work, liked, mean, weigh, step)
    context.parallelize(parts, max(1, len(parts))).foreach(task)
    for start, group, _ in parts:
        name = _product_name(start, group)
        products[start : start + step] += work.read_array(name)
        work.remove(name)
    return products


def _product_name(start: int, group: int) -> str:
    return f"products-{start}-{group}.npy"


def _write_products(
    interactions: SharedInteractions,
    work: SharedFolder,
    liked: NDArray[np.intp],
    mean: float,
    weigh: Callable[[csr_matrix], csr_matrix],
    step: int,
    part: tuple[int, int, tuple[ViewerFile, ...]],
) -> None:
    start, group, files = part
    total = np.zeros((len(liked[start : start + step]), len(liked)), dtype=np.float32)
    for file in files:
        likes = weigh(likes_of(interactions.read(file).interactions, mean)[:, liked].tocsr())
        total += (likes[:, start : start + step].T @ likes).toarray()
    work.write_array(_product_name(start, group), total)
