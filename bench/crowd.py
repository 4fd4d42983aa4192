"""A thousand viewers at once, who fetch, click and rate, beside all of Cinema's programs."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict
from itertools import chain
from statistics import median
from typing import Any

from bench.crowd_load import Crowd
from bench.data import MOVIELENS, DataSets
from bench.reporting import Report, Target

P99_AT_MOST_MS = 500
THINK_S = 1.0


def run(data: DataSets) -> Report:
    scale = data.scale
    with data.opened(MOVIELENS) as home, ExitStack() as stack:
        home.call("hybrid.train_hybrid")
        tokens = home.call("viewers.issue_tokens_to", count=scale.crowd)
        for name in ("worker", "beat"):
            stack.enter_context(home.program(name))
        port = stack.enter_context(home.web())
        crowd = Crowd(port, tokens, THINK_S, scale.crowd_arriving_s, scale.crowd_seconds)
        found = _visited(crowd)
        stored = home.call("viewers.count_stored")
    return _report(found, stored, crowd)


def _visited(crowd: Crowd) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.crowd_load"],
        input=json.dumps(asdict(crowd)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=crowd.arriving_s + crowd.seconds + 180,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _p99(ms: list[float]) -> float:
    return sorted(ms)[int(0.99 * (len(ms) - 1))]


def _report(found: dict[str, Any], stored: dict[str, int], crowd: Crowd) -> Report:
    by_kind = {**found["ms"], "all": [*chain.from_iterable(found["ms"].values())]}
    return Report(
        name="crowd",
        figures=[
            {
                "request": kind,
                "answers": len(ms),
                "a second": len(ms) / crowd.seconds,
                "median ms": median(ms),
                "p99 ms": _p99(ms),
                "slowest ms": max(ms),
            }
            for kind, ms in by_kind.items()
        ],
        targets=[
            Target("errors", sum(found["errors"].values()), "at most", 0),
            Target("p99 of all, ms", _p99(by_kind["all"]), "at most", P99_AT_MOST_MS),
        ],
        rounds={"errors": found["errors"], "stored": stored},
        notes=[
            f"{len(crowd.tokens):,} viewers, each of whom waits {crowd.think_s:.0f} s (give or "
            f"take a half) after each answer, for {crowd.seconds:.0f} s; they came within "
            f"{crowd.arriving_s:.0f} s before. Beside the web a worker and beat ran, on the same "
            "cores as the generator, which used "
            f"{found['generator_share']:.2f} of one.",
            f"Stored meanwhile: {stored['impressions']:,} impressions, {stored['clicks']:,} "
            "clicks.",
        ],
    )
