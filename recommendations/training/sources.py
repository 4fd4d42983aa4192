"""The data of a training: all interactions in memory, or in files for Spark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from django.conf import settings

from recommendations.dataset import Dataset, load_dataset
from recommendations.engine.evaluation.splits import Split, split_by_time
from recommendations.engine.matrices import Array
from recommendations.engine.rating_predictor import RatingPredictor
from recommendations.engine.viewer_similarity import Deviations
from recommendations.releases import MATCHING, PREDICTOR
from recommendations.spark.cluster import require_spark
from recommendations.training.fitting import Fits


class TrainingSource(Protocol):
    """The data of a training.

    Attributes:
        dataset: The viewers that models are judged by.
        fits: None if models learn from `dataset`, on this machine.
        user_ids: (n_users,) int64, all active viewers, ascending.
        n_interactions: Those of all viewers.
    """

    @property
    def dataset(self) -> Dataset: ...

    @property
    def fits(self) -> Fits | None: ...

    @property
    def user_ids(self) -> Array: ...

    @property
    def n_interactions(self) -> int: ...

    def viewer_arrays(self) -> dict[str, dict[str, Array]]:
        """The arrays of the predictor and of matching, by their names in a release."""


@dataclass
class LocalSource:
    """All interactions are in memory."""

    dataset: Dataset
    fits: Fits | None = None

    @property
    def user_ids(self) -> Array:
        return self.dataset.users.ids

    @property
    def n_interactions(self) -> int:
        return int(self.dataset.interactions.nnz)

    def viewer_arrays(self) -> dict[str, dict[str, Array]]:
        """As in `TrainingSource`."""
        data = self.dataset
        return {
            PREDICTOR: RatingPredictor.fit(data.ratings).to_arrays(),
            MATCHING: Deviations.fit(data.interactions, data.times).to_arrays(),
        }


@contextmanager
def training_source() -> Iterator[tuple[TrainingSource, Split]]:
    """The data of a training by TRAINING_ENGINE, and their split, until the block ends."""
    if settings.TRAINING_ENGINE == "spark":
        require_spark()
        from recommendations.spark.training import spark_source

        with spark_source() as (source, split):
            yield source, split
    else:
        dataset = load_dataset()
        yield LocalSource(dataset), split_by_time(dataset.interactions, dataset.times)
