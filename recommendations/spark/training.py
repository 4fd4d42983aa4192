"""A training on Spark: the interactions in files, a sample of viewers to judge by, the release."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from cinema.locks import single_run
from recommendations.dataset import Dataset
from recommendations.engine.evaluation.splits import Split, moment_of, split_by_time
from recommendations.engine.matrices import Array, IdMap, ItemFeatures
from recommendations.engine.viewer_pairs import Pairs
from recommendations.engine.viewer_similarity import MatchRule
from recommendations.releases import MATCHING, PREDICTOR
from recommendations.spark.cluster import spark_context
from recommendations.spark.extraction import extract_interactions, interactions_folder
from recommendations.spark.model_fits import SparkFits
from recommendations.spark.release_arrays import fit_deviations, fit_predictor
from recommendations.spark.shared_folder import SharedFolder
from recommendations.spark.viewer_blocks import SharedInteractions
from recommendations.spark.viewer_matches import matching_portions

#: Viewers of the evaluation, from which onboarding learns too.
JUDGED = 20_000
LOCK = "recommendations.interactions"
LOCK_RETRY_S = 5


@dataclass
class SparkSource:
    """A `TrainingSource` of all interactions in files.

    Attributes:
        dataset: All viewers, or every n-th one: about JUDGED.
        folder: For arrays of this machine, which a release then copies.
    """

    dataset: Dataset
    fits: SparkFits
    interactions: SharedInteractions
    folder: Path

    @property
    def user_ids(self) -> Array:
        return self.interactions.user_ids

    @property
    def n_interactions(self) -> int:
        return self.fits.sums.n

    def viewer_arrays(self) -> dict[str, dict[str, Array]]:
        """As in `TrainingSource`; the large arrays are mapped from files."""
        predictor = fit_predictor(self.interactions, self.folder / PREDICTOR)
        deviations = fit_deviations(self.interactions, self.fits.sums, self.folder / MATCHING)
        return {PREDICTOR: predictor.to_arrays(), MATCHING: deviations.to_arrays()}


@contextmanager
def spark_source() -> Iterator[tuple[SparkSource, Split]]:
    """Bring the files up to date and connect to the cluster, until the block ends."""
    with opened_interactions() as (interactions, features, work, own), spark_context() as context:
        dataset, latest = _judged(interactions, features)
        moment = moment_of(dataset.times)
        fits = SparkFits(
            context,
            interactions,
            work,
            features,
            moment,
            latest,
            judged=(dataset.interactions, features, dataset.times),
        )
        split = split_by_time(dataset.interactions, dataset.times)
        yield SparkSource(dataset, fits, interactions, own), split


@contextmanager
def spark_pairs(
    rule: MatchRule,
    *,
    at_most: int,
    preferred: Callable[[IdMap], NDArray[np.bool_]],
    portion: int,
) -> Iterator[tuple[IdMap, Iterator[Pairs]]]:
    """All viewers, and their pairs as from `matching_pairs`, `portion` viewers at a time."""
    with opened_interactions() as (interactions, _, work, own), spark_context() as context:
        users = IdMap(interactions.user_ids)
        yield (
            users,
            matching_portions(
                context,
                interactions,
                work,
                rule,
                at_most=at_most,
                preferred=preferred(users),
                portion=portion,
                own=own,
            ),
        )


@contextmanager
def opened_interactions() -> Iterator[tuple[SharedInteractions, ItemFeatures, SharedFolder, Path]]:
    """The interactions, the features of movies, and folders for workers and for this machine.

    The folders are deleted after the block. Only one process has the files at a time: another
    extraction would delete those that this one reads.
    """
    folder = interactions_folder()
    work, own = folder.below("work"), Path(settings.CINEMA_HOME) / "spark"

    def remove() -> None:
        work.remove_all()
        shutil.rmtree(own, ignore_errors=True)

    with _wait_for_lock():
        remove()  # what a killed process has left
        own.mkdir(parents=True)
        try:
            yield *extract_interactions(folder), work, own
        finally:
            remove()


@contextmanager
def _wait_for_lock() -> Iterator[None]:
    while True:
        with single_run(LOCK) as acquired:
            if acquired:
                yield
                return
        time.sleep(LOCK_RETRY_S)


def _judged(interactions: SharedInteractions, features: ItemFeatures) -> tuple[Dataset, float]:
    """The data of every n-th viewer, and the Unix seconds of the latest interaction of all."""
    step = -(-interactions.n_users // JUDGED) or 1
    users = [np.empty(0, dtype=np.int64)]
    none = np.empty((0, interactions.n_items))
    parts = [tuple(csr_matrix(none.astype(of)) for of in ("f4", "f8", "u1"))]
    latest = 0.0
    for file in interactions.files:
        block = interactions.read(file)
        latest = max(latest, float(block.times.data.max(initial=0)))
        rows = slice(-block.first_row % step, None, step)
        users.append(file.users[rows])
        matrices = (block.interactions, block.times, block.ratings)
        parts.append(tuple(matrix[rows] for matrix in matrices))
    ids, items = IdMap(np.concatenate(users)), IdMap(interactions.items)
    weights, times, ratings = (
        csr_matrix(vstack(of, format="csr")) for of in zip(*parts, strict=True)
    )
    return Dataset(ids, items, weights, times, ratings, features), latest
