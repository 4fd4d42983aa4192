"""One algorithm on one split, in a process of its own: so its memory is its own."""

from __future__ import annotations

import gc
import resource
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from bench.inside.loading import RSS_UNIT_BYTES
from recommendations import evaluation
from recommendations.engine.evaluation.significance import bootstrap_interval


def measure(*, name: str, split: str, folder: str, k: int, seed: int) -> dict[str, Any]:
    """Quality, seconds, and MB beyond the data; or why the algorithm is left out."""
    material = evaluation.from_folder(Path(folder), tell=lambda line: None)
    parts = evaluation.split_data(material, split, seed=seed)
    _, left_out = evaluation.choose_algorithms(None, parts, material.items)
    if name in left_out:
        return {"left_out": left_out[name]}
    gc.collect()
    before_bytes = psutil.Process().memory_info().rss
    measured = evaluation.measure([name], parts, material.items, k=k, max_users=None, seed=seed)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES
    one = measured[name]
    return {
        "learned_from": int(parts.train.nnz),
        "quality": asdict(one.quality),
        "intervals": {
            what: bootstrap_interval(values) for what, values in one.lists.by_user.items()
        },
        "fit_s": one.fit_s,
        "score_ms": 1000 * one.score_s / max(one.quality.users, 1),
        "peak_mb": (peak_bytes - before_bytes) / 1e6,
        "ndcg_by_user": one.lists.by_user["ndcg"].tolist(),
    }
