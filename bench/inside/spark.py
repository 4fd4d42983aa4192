"""ALS, EASE's products and matches on a Spark cluster and on one machine, on the same files."""

from __future__ import annotations

import json
import resource
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from django.conf import settings
from pyarrow.fs import LocalFileSystem
from scipy.sparse import csr_matrix, vstack

from bench.inside.synthetic import make_ratings
from recommendations.dataset import HALF_STARS, Evidence, weight_table
from recommendations.engine import artifacts
from recommendations.engine.algorithms._item_weights import likes_of
from recommendations.engine.algorithms.als import AlsRecommender
from recommendations.engine.algorithms.ease import gram, weigh_by_activity
from recommendations.engine.matrices import mean_like
from recommendations.engine.viewer_pairs import matching_pairs
from recommendations.engine.viewer_similarity import MatchRule, deviations
from recommendations.matches.services import match_all
from recommendations.models import Neighbour, TrainingRun
from recommendations.spark.cluster import spark_context
from recommendations.spark.extraction import IDS_EACH
from recommendations.spark.factorisation import SparkAls
from recommendations.spark.item_sums import ItemSums
from recommendations.spark.model_fits import like_products
from recommendations.spark.shared_folder import SharedFolder
from recommendations.spark.viewer_blocks import SharedInteractions, ViewerFile
from recommendations.spark.viewer_matches import matching_portions
from recommendations.training.runs import run_training

RULE = MatchRule(0.8, 5)
AT_MOST = 100


def make_files(*, path: str, viewers: int, films: int, ratings: int) -> float:
    """Write synthetic ratings in the form of `recommendations.spark.extraction`."""
    began_at = time.perf_counter()
    made = make_ratings(viewers=viewers, films=films, ratings=ratings)
    starts = range(0, viewers, IDS_EACH)
    bounds = np.searchsorted(made.viewers, [*starts, viewers])
    folder = SharedFolder(LocalFileSystem(), path)
    first = int(Evidence.RATING) * HALF_STARS
    for start, begin, end in zip(starts, bounds, bounds[1:], strict=False):
        part = slice(begin, end)
        folder.write_table(f"{start:010}.parquet", pa.table({
            "user": made.viewers[part], "movie": made.films[part],
            "code": (first + made.half_stars[part]).astype(np.uint8),
            "seconds": made.seconds[part].astype(np.float64),
            "counts": np.ones(end - begin, dtype=bool),
        }))  # fmt: skip
    (Path(path) / "sizes").write_text(json.dumps([viewers, films]))
    return time.perf_counter() - began_at


def _opened(path: str) -> SharedInteractions:
    viewers, films = json.loads((Path(path) / "sizes").read_text())
    files = [
        ViewerFile(f"{start:010}.parquet", start, np.arange(start, min(start + IDS_EACH, viewers)))
        for start in range(0, viewers, IDS_EACH)
    ]
    folder, first = SharedFolder(LocalFileSystem(), path), int(Evidence.RATING) * HALF_STARS + 1
    ratings = range(first, first + HALF_STARS - 1)
    items = np.arange(films, dtype=np.int64)
    return SharedInteractions(folder, tuple(files), items, weight_table().ravel(), ratings)


def measure(
    *, path: str, master: str, sweeps: int, factors: int, matched: int, ease: bool = True
) -> dict[str, Any]:
    """Seconds of each step, and CPU seconds and peak memory (MB) of this process.

    Args:
        master: Of the cluster; empty for one machine.
        matched: Viewers whose matches are found, the first ones.
    """
    settings.SPARK_MASTER = master
    interactions = _opened(path)
    steps: dict[str, Any] = {}
    model = AlsRecommender(factors=factors, iterations=sweeps)
    with spark_context() if master else nullcontext() as context, TemporaryDirectory() as own:
        clock = _Clock(steps)
        if context is None:
            _measure_here(clock, interactions, model, matched, ease=ease)
        else:
            context.parallelize(range(8), 8).map(abs).collect()
            clock.lap("start of executors")
            _measure_cluster(clock, context, interactions, model, matched, Path(own), ease=ease)
    steps["CPU s"] = time.process_time()
    steps["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return steps


def compare_engines(*, master: str) -> dict[str, Any]:
    """Train a release and match all viewers on one machine and on the cluster.

    Returns the NDCG by algorithm, the largest difference of an array relative to its largest value,
    and whether the matches are equal.
    """
    settings.SPARK_MASTER = master
    found: dict[str, Any] = {}
    arrays: dict[str, dict[str, Any]] = {}
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for engine in ("local", "spark"):
        settings.TRAINING_ENGINE = engine
        clock = _Clock(found.setdefault(engine, {}))
        run = run_training(
            TrainingRun.objects.create(), force=True, accept_worse=True, tuning_budget_s=0
        )
        clock.lap("training")
        match_all()
        clock.lap("matching")
        assert run.release is not None, run.message
        found[engine]["NDCG@10"] = {n: of["ndcg"] for n, of in run.release.metrics.items()}
        arrays[engine], _ = artifacts.load(run.release.path)
        columns = [field.attname for field in Neighbour._meta.fields if field.name != "id"]
        columns.remove("matched_since")
        rows[engine] = [*Neighbour.objects.order_by("user", "other").values_list(*columns)]
        Neighbour.objects.all().delete()
    shared = arrays["local"].keys() & arrays["spark"].keys()
    found["largest difference"] = {
        name: float(np.abs(arrays["spark"][name].astype(np.float64) - one).max(initial=0))
        / max(float(np.abs(one).max(initial=0)), 1e-9)
        for name in sorted(shared)
        if (one := arrays["local"][name].astype(np.float64)).size and not np.isnan(one).any()
    }
    found["matches"] = len(rows["local"])
    found["matches are equal"] = rows["local"] == rows["spark"]
    return found


class _Clock:
    def __init__(self, steps: dict[str, Any]) -> None:
        self.steps, self._at = steps, time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.steps[name], self._at = now - self._at, now


def _first_viewers(interactions: SharedInteractions, n: int) -> SharedInteractions:
    return replace(interactions, files=interactions.files[: -(-n // IDS_EACH)])


def _measure_cluster(
    clock: _Clock,
    context: Any,
    interactions: SharedInteractions,
    model: AlsRecommender,
    matched: int,
    own: Path,
    *,
    ease: bool,
) -> None:
    sums = ItemSums(interactions.n_items, time.time())
    for file in interactions.files:
        block = interactions.read(file)
        sums.add(block.interactions, block.times)
    clock.steps["interactions"] = sums.n
    clock.lap("sums")
    work = interactions.folder.below("work")
    began = [time.perf_counter()]

    def report(share: float) -> None:
        began.append(time.perf_counter())

    SparkAls(context, work, model.seed).fit(model, interactions, sums, None, report)
    clock.lap("ALS")
    clock.steps["a sweep"] = float(np.median(np.diff(began)[1:] if len(began) > 2 else [0]))
    clock.steps["check"] = float(np.abs(model.learned().item_factors).sum())
    if ease:
        liked = np.flatnonzero(sums.liked_by)
        as_they_are = partial(weigh_by_activity, power=0.0, mean_length=1.0)
        products = like_products(context, interactions, work, liked, sums.mean_like, as_they_are)
        clock.lap("EASE's products")
        clock.steps["check of products"] = float(products.sum(dtype=np.float64))
    if matched:
        some = _first_viewers(interactions, matched)
        nobody = np.zeros(some.n_users, dtype=bool)
        pairs = matching_portions(
            context, some, work, RULE, at_most=AT_MOST, preferred=nobody, portion=2000, own=own
        )
        clock.steps["pairs"] = sum(len(part) for part in pairs)
        clock.lap("matches")
    work.remove_all()


def _measure_here(
    clock: _Clock,
    interactions: SharedInteractions,
    model: AlsRecommender,
    matched: int,
    *,
    ease: bool,
) -> None:
    whole = _in_memory(interactions)
    clock.steps["interactions"] = int(whole.nnz)
    clock.lap("sums")
    began = [time.perf_counter()]
    model.on_progress = lambda share: began.append(time.perf_counter())
    model.fit(whole)
    clock.lap("ALS")
    clock.steps["a sweep"] = float(np.median(np.diff(began)[1:] if len(began) > 2 else [0]))
    clock.steps["check"] = float(np.abs(model.learned().item_factors).sum())
    if ease:
        likes = likes_of(whole, mean_like(whole))
        liked = np.flatnonzero(np.bincount(likes.indices, minlength=likes.shape[1]))
        products = gram(csr_matrix(likes[:, liked]))
        clock.lap("EASE's products")
        clock.steps["check of products"] = float(products.sum(dtype=np.float64))
    if matched:
        some = _in_memory(_first_viewers(interactions, matched))
        nobody = np.zeros(some.shape[0], dtype=bool)
        pairs = matching_pairs(deviations(some), RULE, at_most=AT_MOST, preferred=nobody)
        clock.steps["pairs"] = len(pairs)
        clock.lap("matches")


def _in_memory(interactions: SharedInteractions) -> csr_matrix:
    parts = [interactions.read(file).interactions for file in interactions.files]
    return csr_matrix(vstack(parts, format="csr"))
