"""`python fit.py PEER FOLDER SETTINGS`: fit one library's ALS to the matrix in a folder.

Each library has a process and an environment of its own. The process writes the scores of the
evaluated viewers beside the matrix, and prints seconds and peak memory as JSON. The conversion of
the matrix for the library counts for memory and not for time.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

#: Fits, and gives the model; and of that and rows of viewers the scores of all films.
Peer = tuple[Callable[[], Any], Callable[[Any, Any], Any]]


def cinema(users: Any, items: Any, settings: dict[str, Any]) -> Peer:
    """Our ALS, which uses `implicit`."""
    from recommendations.engine.algorithms.als import AlsRecommender

    matrix = _matrix(users, items, settings)
    names = ("factors", "iterations", "regularization", "alpha")
    model = AlsRecommender(**{name: settings[name] for name in names})

    return lambda: model.fit(matrix), lambda _, rows: model.score(matrix[rows])


def implicit(users: Any, items: Any, settings: dict[str, Any]) -> Peer:
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    matrix = _matrix(users, items, settings)
    names = ("factors", "iterations", "regularization", "alpha")
    solver = AlternatingLeastSquares(
        **{name: settings[name] for name in names}, random_state=settings["seed"]
    )

    def fit() -> None:
        with threadpool_limits(1, "blas"):
            solver.fit(matrix, show_progress=False)

    return fit, lambda _, rows: solver.user_factors[rows] @ solver.item_factors.T


def _matrix(users: Any, items: Any, settings: dict[str, Any]) -> Any:
    from scipy.sparse import csr_matrix

    shape = settings["n_users"], settings["n_items"]
    return csr_matrix((np.ones(len(users), dtype=np.float32), (users, items)), shape=shape)


def lenskit(users: Any, items: Any, settings: dict[str, Any]) -> Peer:
    import pandas as pd
    from lenskit.als import ImplicitMFScorer
    from lenskit.data import from_interactions_df

    frame = pd.DataFrame({"user_id": users, "item_id": items})
    data = from_interactions_df(frame)
    scorer = ImplicitMFScorer(
        embedding_size=settings["factors"],
        epochs=settings["iterations"],
        regularization=settings["regularization"],
        weight=settings["alpha"],
    )

    def scores(_: Any, rows: Any) -> Any:
        by_user = _placed(scorer.users.ids(), scorer.user_embeddings, settings["n_users"])
        by_item = _placed(scorer.items.ids(), scorer.item_embeddings, settings["n_items"])
        return by_user[rows] @ by_item.T

    return lambda: scorer.train(data), scores


def spark(users: Any, items: Any, settings: dict[str, Any]) -> Peer:
    import pandas as pd
    from pyspark.ml.recommendation import ALS
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.driver.memory", "10g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    # By a file: a million rows one by one through Python would be most of the time.
    path = str(Path(settings["folder"]) / "interactions.parquet")
    pd.DataFrame({"user": users, "item": items, "rating": np.float32(1)}).to_parquet(path)
    rows = session.read.parquet(path).repartition(2).cache()
    rows.count()
    als = ALS(
        rank=settings["factors"],
        maxIter=settings["iterations"],
        # It multiplies by the number of a user's, or an item's, interactions.
        regParam=settings["regularization"] / settings["mean_interactions"],
        implicitPrefs=True,
        alpha=settings["alpha"],
        numUserBlocks=2,
        numItemBlocks=2,
    )

    def scores(model: Any, rows: Any) -> Any:
        users, items = model.userFactors.toPandas(), model.itemFactors.toPandas()
        by_user = _placed(users["id"], np.stack(users["features"]), settings["n_users"])
        by_item = _placed(items["id"], np.stack(items["features"]), settings["n_items"])
        return by_user[rows] @ by_item.T

    def fit() -> Any:
        model = als.fit(rows)
        model.itemFactors.count()  # it is lazy
        return model

    return fit, scores


def _placed(ids: Any, vectors: Any, count: int) -> Any:
    vectors = np.asarray(vectors, dtype=np.float32)
    placed = np.zeros((count, vectors.shape[1]), dtype=np.float32)
    placed[np.asarray(ids)] = vectors
    return placed


PEERS = {"cinema": cinema, "implicit": implicit, "lenskit": lenskit, "spark": spark}


class _Watch(threading.Thread):
    """The most memory that this process and those below it have held at once, in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_bytes = 0

    def run(self) -> None:
        own = psutil.Process(os.getpid())
        while True:
            held = 0
            for process in [own, *own.children(recursive=True)]:
                try:
                    held += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.peak_bytes = max(self.peak_bytes, held)
            time.sleep(0.05)


def main() -> None:
    peer, folder, settings = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
    watch = _Watch()
    watch.start()
    users, items = np.load(folder / "users.npy"), np.load(folder / "items.npy")
    settings["folder"] = str(folder)
    fit, scores = PEERS[peer](users, items, settings)
    began_at = time.perf_counter()
    model = fit()
    seconds = time.perf_counter() - began_at
    peak_bytes = watch.peak_bytes
    np.save(folder / f"{peer}.npy", scores(model, np.load(folder / "judged.npy")))
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes}))


if __name__ == "__main__":
    main()
