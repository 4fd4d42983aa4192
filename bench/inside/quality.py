"""Curves of the quality of lists: by the length of the history, by gaps, and by diversity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recommendations import evaluation
from recommendations.engine.algorithms.hybrid import Composite
from recommendations.engine.evaluation.metrics import bootstrap_interval
from recommendations.engine.evaluation.quality import EvaluatedLists, evaluate_lists
from recommendations.engine.evaluation.splits import Split
from recommendations.engine.matrices import Now, Scores, Times, row_numbers
from recommendations.engine.ranking.reranking import DiversityReranker, diversity_vectors
from recommendations.engine.recommender import Recommender
from recommendations.evaluation import EvaluationData
from recommendations.training.fitting import BASELINE, DEFAULT, make_recommender

#: Known ratings of each viewer; None for all of them.
LENGTHS = (1, 3, 10, 30, 100, None)
#: The longest seconds between the last film and the next one, by the name of the class.
GAPS = {"a minute": 60.0, "an hour": 3600.0, "longer": np.inf}
DIVERSITIES = tuple(tenth / 10 for tenth in range(0, 11, 2))

#: The mean NDCG and its 95% interval, the number of viewers, and further figures.
Point = dict[str, Any]
#: Points by label, by name of the line.
Lines = dict[str, dict[str, Point]]


def measure_curves(
    *, names: Sequence[str], by_gap: Sequence[str], folder: str, k: int, seed: int, best: str
) -> dict[str, Lines]:
    """The curves by name.

    Args:
        by_gap: The algorithms that are measured by the gap to the next film.
        best: The algorithm whose lists are re-ranked.
    """
    data = evaluation.from_folder(Path(folder), tell=lambda line: None)
    return {
        "strong": _by_length("strong", names, data, k=k, seed=seed),
        "time": _by_length("time", names, data, k=k, seed=seed),
        "gap": _by_gap(by_gap, data, k=k, seed=seed),
        "diversity": _by_diversity(best, data, k=k, seed=seed),
    }


@dataclass(frozen=True)
class _AsServed:
    """The default as a list has it: popularity ranks where the default has no opinion at all."""

    model: Recommender
    popularity: Recommender

    def score(self, history: csr_matrix, times: Times = None) -> Scores:
        return self.score_at(history, times, None)

    def score_at(self, history: csr_matrix, times: Times, now: Now) -> Scores:
        scores = self.model.score_at(history, times, now)
        silent = np.flatnonzero(np.isnan(scores).all(axis=1))
        scores[silent] = self.popularity.score(history[silent])
        return scores


def _fitted(names: Sequence[str], split: Split, data: EvaluationData) -> Mapping[str, Any]:
    """The models of these names that suit the data; each part is fitted once."""
    suitable, _ = evaluation.choose_algorithms(None, split, data.items)
    fitted: dict[str, Any] = {}
    for name in [name for name in suitable if name in names]:  # composites come last
        model = make_recommender(name)
        if isinstance(model, Composite) and model.part_types.keys() <= fitted.keys():
            fitted[name] = model.compose(fitted)
        else:
            fitted[name] = model.fit(split.train, data.items, split.train_times)
    if {DEFAULT, BASELINE} <= fitted.keys():
        fitted[DEFAULT] = _AsServed(fitted[DEFAULT], fitted[BASELINE])
    return {name: fitted[name] for name in names if name in fitted}


def _by_length(
    kind: str, names: Sequence[str], data: EvaluationData, *, k: int, seed: int
) -> Lines:
    split = evaluation.split_data(data, kind, seed=seed)
    shorter = {
        "all" if length is None else str(length): _with_length(split, length, seed)
        for length in LENGTHS
    }
    return {
        name: {
            label: _point(evaluate_lists(model, one, k=k, max_users=None, seed=seed))
            for label, one in shorter.items()
        }
        for name, model in _fitted(names, split, data).items()
    }


def _with_length(split: Split, length: int | None, seed: int) -> Split:
    """The split with so many entries of each history, drawn at random; no list has the others."""
    if length is None:
        return split
    history, owners = split.history, row_numbers(split.history)
    order = np.lexsort((np.random.default_rng(seed).random(history.nnz), owners))
    place = np.empty(history.nnz, dtype=np.intp)
    place[order] = np.arange(history.nnz) - history.indptr[owners[order]]
    kept = place < length
    places = owners[kept], history.indices[kept]
    known, times = (
        csr_matrix((matrix.data[kept], places), shape=matrix.shape)
        for matrix in (history, split.history_times)
    )
    return replace(split, history=known, history_times=times, touched=history)


def _by_gap(names: Sequence[str], data: EvaluationData, *, k: int, seed: int) -> Lines:
    """NDCG by the time between the last film of the history and the film to be found."""
    split = evaluation.split_data(data, "leave-last-out", seed=seed)
    lines: Lines = {}
    for name, model in _fitted(names, split, data).items():
        lists = evaluate_lists(model, split, k=k, max_users=None, seed=seed)
        gaps = _gaps(split, data, lists.users)
        lines[name], least = {}, -np.inf
        for label, longest in GAPS.items():
            lines[name][label] = _point(lists, (gaps > least) & (gaps <= longest))
            least = longest
    return lines


def _gaps(split: Split, data: EvaluationData, users: NDArray[np.intp]) -> NDArray[np.float64]:
    """(m,) seconds."""
    after = split.test[users].astype(bool).multiply(data.times[users])
    before = split.history_times[users]
    gaps: NDArray[np.float64] = after.max(axis=1).toarray() - before.max(axis=1).toarray()
    return gaps.ravel()


def _by_diversity(name: str, data: EvaluationData, *, k: int, seed: int) -> Lines:
    split = evaluation.split_data(data, "strong", seed=seed)
    model = _fitted([name], split, data)[name]
    vectors = diversity_vectors(data.items)
    line = {}
    for diversity in DIVERSITIES:
        lists = evaluate_lists(
            model,
            split,
            k=k,
            max_users=None,
            seed=seed,
            items=data.items,
            reranker=DiversityReranker(vectors, diversity),
        )
        distance = float(np.nanmean(lists.by_user["diversity"]))
        line[str(diversity)] = _point(lists) | {"distance": distance}
    return {name: line}


def _point(lists: EvaluatedLists, among: NDArray[np.bool_] | None = None) -> Point:
    """The NDCG of some of the viewers, by default all."""
    values = lists.by_user["ndcg"] if among is None else lists.by_user["ndcg"][among]
    low, high = bootstrap_interval(values)
    mean = float(values.mean()) if len(values) else float("nan")
    return {"ndcg": mean, "low": low, "high": high, "users": len(values)}
