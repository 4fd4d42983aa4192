"""Our ALS beside those of others: `implicit` alone, LensKit's and Spark's, on the same matrix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data import DataSets
from bench.homes import REPOSITORY
from bench.inside.synthetic import make_ratings
from bench.reporting import Cell, Report

LIBRARIES = REPOSITORY / "bench" / "peer_libraries"
#: An environment with `requirements.txt`, in place of one that is made for the run.
PYTHON = "PEERS_PYTHON"
OURS, THEIRS = ("cinema", "implicit"), ("lenskit", "spark")
#: Spark takes a quarter of an hour for 20 million likes, and the result adds nothing.
SPARK_AT_MOST = 5_000_000
SEED = 1895
SETTINGS = {"factors": 64, "iterations": 15, "regularization": 20.0, "alpha": 8.0, "seed": SEED}
JUDGED = 2000
K = 10


@dataclass(frozen=True)
class Task:
    """A matrix of likes in a folder; of each judged viewer one like is withheld.

    Attributes:
        withheld: (n_judged,) the film, of the viewers `judged`.
    """

    folder: Path
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    judged: NDArray[np.int64]
    withheld: NDArray[np.int64]
    shape: tuple[int, int]

    @property
    def settings(self) -> dict[str, Any]:
        # Spark multiplies the regularisation by the number of interactions; this divides it again.
        mean = len(self.users) / np.mean(self.shape)
        n_users, n_items = self.shape
        return {**SETTINGS, "n_users": n_users, "n_items": n_items, "mean_interactions": mean}


def run(data: DataSets) -> Report:
    theirs = _their_python(data.root)
    figures: list[dict[str, Cell]] = []
    rounds: dict[str, Any] = {}
    for size, viewers, films, ratings in data.scale.peer_sizes:
        task = _make_task(data.root / "peers" / size, viewers, films, ratings)
        found = dict(_fit_all(task, theirs))
        rounds[size] = found
        figures += [
            {
                "data": size,
                "library": peer,
                "seconds": of["seconds"],
                "beside implicit": of["seconds"] / found["implicit"]["seconds"],
                "peak MB": of["peak_bytes"] / 1e6,
                f"NDCG@{K}": of["ndcg"],
            }
            for peer, of in found.items()
        ]
    return Report(
        name="peers",
        figures=figures,
        ratios={},
        targets=[],
        rounds=rounds,
        notes=[
            f"{SETTINGS}, as far as the libraries mean the same by them.",
            "Synthetic likes; of some viewers one is withheld and ranked among all others.",
        ],
    )


def _their_python(root: Path) -> str:
    """An environment with the libraries. Making it takes minutes and the network."""
    if standing := os.environ.get(PYTHON):
        return standing
    home = root / "peers"
    print("Installing the peers ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", home / "environment"], check=True)
    python = str(home / "environment" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "-r", str(LIBRARIES / "requirements.txt")]
    subprocess.run(install, check=True)
    return python


def _make_task(folder: Path, viewers: int, films: int, count: int) -> Task:
    folder.mkdir(parents=True)
    ratings = make_ratings(viewers=viewers, films=films, ratings=count)
    rng = np.random.default_rng(SEED)
    users, items = ratings.viewers, ratings.films
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    lengths = np.diff(starts, append=len(users))
    able = np.flatnonzero(lengths >= 5)
    chosen = np.sort(rng.choice(able, min(JUDGED, len(able)), replace=False))
    places = starts[chosen] + rng.integers(0, lengths[chosen])
    kept = np.ones(len(users), dtype=bool)
    kept[places] = False
    np.save(folder / "users.npy", users[kept])
    np.save(folder / "items.npy", items[kept])
    np.save(folder / "judged.npy", users[places])
    shape = (viewers, films)
    return Task(folder, users[kept], items[kept], users[places], items[places], shape)


def _fit_all(task: Task, theirs: str) -> Iterator[tuple[str, Mapping[str, float]]]:
    for peer in (*OURS, *THEIRS):
        if peer == "spark" and len(task.users) > SPARK_AT_MOST:
            continue
        python = sys.executable if peer in OURS else theirs
        done = subprocess.run(
            [python, LIBRARIES / "fit.py", peer, task.folder, json.dumps(task.settings)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout.splitlines()[-1])
        yield peer, {**found, "ndcg": _ndcg(task, peer)}
        print(f"{task.folder.name}: {peer} {found['seconds']:.1f} s", flush=True)


def _ndcg(task: Task, peer: str) -> float:
    """The NDCG of the withheld films, each ranked among the films that the viewer does not like."""
    scores = np.load(task.folder / f"{peer}.npy", mmap_mode="r")
    starts = np.searchsorted(task.users, task.judged)
    ends = np.searchsorted(task.users, task.judged, side="right")
    gains = []
    for row, item, start, end in zip(scores, task.withheld, starts, ends, strict=True):
        better = row > row[item]
        above = better.sum() - better[task.items[start:end]].sum()
        gains.append(1 / np.log2(above + 2) if above < K else 0.0)
    return float(np.mean(gains))
