"""How fast the user-item matrix comes out of Postgres, and how much memory that takes."""

from __future__ import annotations

import gc
import resource
import sys
import time
import tracemalloc

import numpy as np
import psutil
from scipy.sparse import csr_matrix

from recommendations.dataset import Dataset, load_dataset
from recommendations.interaction_weights import weight_table
from recommendations.item_features import load_features
from recommendations.models import Interaction

#: `ru_maxrss` counts in these.
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def measure_rates(*, rounds: int, orm_rows: int) -> dict[str, list[float]]:
    """Interactions a second, in turn by `load_dataset` and by the ORM on a part of the table.

    What the films are made of, which `load_dataset` reads too, is timed by itself and left out of
    its time: it grows with the films, and the ORM's rows have nothing of it.
    """
    rates: dict[str, list[float]] = {"load_dataset": [], "the ORM": [], "features, s": []}
    for _ in range(rounds):
        started_at = time.perf_counter()
        dataset = load_dataset()
        whole_s = time.perf_counter() - started_at
        started_at = time.perf_counter()
        load_features(dataset.items)
        features_s = time.perf_counter() - started_at
        rates["features, s"].append(features_s)
        rates["load_dataset"].append(dataset.interactions.nnz / (whole_s - features_s))
        started_at = time.perf_counter()
        loaded = _load_by_orm(orm_rows)
        rates["the ORM"].append(loaded / (time.perf_counter() - started_at))
    return rates


def _load_by_orm(at_most: int) -> int:
    """The way that is written first: rows as tuples, ids to places by dictionaries."""
    columns = ("user_id", "movie_id", "kind", "half_stars", "updated_at")
    rows = list(Interaction.objects.values_list(*columns)[:at_most])
    users = {pk: place for place, pk in enumerate(sorted({row[0] for row in rows}))}
    movies = {pk: place for place, pk in enumerate(sorted({row[1] for row in rows}))}
    table = weight_table()
    weights = [table[kind, half_stars] for _, _, kind, half_stars, _ in rows]
    seconds = [updated_at.timestamp() for *_, updated_at in rows]
    places = ([users[row[0]] for row in rows], [movies[row[1]] for row in rows])
    shape = (len(users), len(movies))
    csr_matrix((np.array(seconds), places), shape=shape)
    return csr_matrix((np.array(weights, dtype=np.float32), places), shape=shape).nnz


def measure_resident_memory() -> dict[str, float]:
    """By the most that this fresh process ever held, over what it held before."""
    Interaction.objects.first()  # opens the connection
    gc.collect()
    before_bytes = psutil.Process().memory_info().rss
    dataset = load_dataset()
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES
    return _beyond_matrices(dataset, peak_bytes - before_bytes)


def measure_allocations() -> dict[str, float]:
    """By what Python and NumPy asked for at the most; slower, so in a run of its own."""
    Interaction.objects.first()
    tracemalloc.start()
    dataset = load_dataset()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return _beyond_matrices(dataset, peak_bytes)


def _beyond_matrices(dataset: Dataset, peak_bytes: int) -> dict[str, float]:
    arrays = [
        array
        for matrix in (
            dataset.interactions,
            dataset.times,
            dataset.ratings,
            dataset.features.matrix,
        )
        for array in (matrix.data, matrix.indices, matrix.indptr)
    ]
    # Two of the matrices may share what says where their entries are.
    distinct = {array.__array_interface__["data"][0]: array.nbytes for array in arrays}
    matrices_bytes = sum(distinct.values())
    n = dataset.interactions.nnz
    return {
        "interactions": n,
        "matrices_bytes": matrices_bytes / n,
        "beyond_bytes": (peak_bytes - matrices_bytes) / n,
    }
