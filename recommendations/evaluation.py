"""Compares algorithms on withheld interactions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies.models import Movie
from recommendations.dataset import load_dataset
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.algorithms.hybrid import Composite
from recommendations.engine.evaluation.metrics import (
    Comparison,
    is_significantly_worse,
    paired_test,
)
from recommendations.engine.evaluation.quality import (
    EvaluatedLists,
    Quality,
    Reranker,
    evaluable_users,
    evaluate_lists,
    genre_columns,
    mean,
)
from recommendations.engine.evaluation.splits import (
    Split,
    cold_items,
    leave_last_out,
    leave_one_out,
    split_by_time,
    strong_generalisation,
)
from recommendations.engine.matrices import ItemFeatures
from recommendations.engine.ranking.calibration import CalibratedReranker, genre_shares
from recommendations.engine.ranking.reranking import DiversityReranker, diversity_vectors
from recommendations.engine.recommender import Recommender
from recommendations.movielens.matrices import read_matrices
from recommendations.training.fitting import make_recommender

#: Called with the current step and the share done, 0 to 1.
Report = Callable[[str, float], None]

#: The share of fitting in the time of an algorithm, for the progress bar.
FITTING = 0.8
#: The compared weights of diversity or calibration beside relevance.
WEIGHTS = tuple(tenth / 10 for tenth in range(11))
#: The share of the NDCG that diversity may cost.
MAX_LOSS = 0.02


class CannotEvaluate(Exception):
    """The algorithm is unknown, or the data are too few."""


@dataclass(frozen=True)
class EvaluationData:
    """The data to split.

    Attributes:
        interactions, times: (n_users, n_items) as in `Recommender.fit`.
        age: (n_items,) the higher the newer.
    """

    interactions: csr_matrix
    times: csr_matrix
    items: ItemFeatures
    age: NDArray[np.int64]


#: The splits by name; they take the data and a seed.
SPLITS: Mapping[str, Callable[[EvaluationData, int], Split]] = {
    "time": lambda of, seed: split_by_time(of.interactions, of.times),
    "leave-last-out": lambda of, seed: leave_last_out(of.interactions, of.times),
    "leave-one-out": lambda of, seed: leave_one_out(of.interactions, of.times, seed=seed),
    "strong": lambda of, seed: strong_generalisation(of.interactions, of.times, seed=seed),
    "cold": lambda of, seed: cold_items(of.interactions, of.times, age=of.age, seed=seed),
}


@dataclass(frozen=True)
class AlgorithmResult:
    """The result of one algorithm.

    Attributes:
        fit_s: Seconds of fitting, including the parts of a composite.
        score_s: Seconds of fold-in, scores and rankings of all evaluated users.
    """

    lists: EvaluatedLists
    fit_s: float
    score_s: float

    @cached_property
    def quality(self) -> Quality:
        return Quality.of(self.lists)


def from_database() -> EvaluationData:
    """The data of a training; the age of a film is its start date."""
    dataset = load_dataset()
    starts = dict(Movie.objects.values_list("pk", "start_date"))
    age = np.array([starts[pk].toordinal() for pk in dataset.items.ids.tolist()], dtype=np.int64)
    return EvaluationData(dataset.interactions, dataset.times, dataset.features, age)


def from_folder(path: Path, tell: Callable[[str], None]) -> EvaluationData:
    """The data of a MovieLens folder; the age of a film is its year.

    Raises:
        NotMovieLens: The folder has no MovieLens files.
    """
    data = read_matrices(path, tell=tell)
    return EvaluationData(data.interactions, data.times, data.items, data.years)


def split_data(data: EvaluationData, split: str, *, seed: int) -> Split:
    """Split the data by the name of the split.

    Raises:
        CannotEvaluate: The data are too few.
    """
    if not data.interactions.nnz:
        raise CannotEvaluate("There are no interactions to measure on.")
    parts = SPLITS[split](data, seed)
    n_users = len(evaluable_users(parts))
    if not parts.train.nnz or not n_users:
        raise CannotEvaluate(
            f"There is too little for the split {split!r}: of {data.interactions.nnz:,} "
            f"interactions {parts.train.nnz:,} to learn from, and {n_users:,} viewers to judge by."
        )
    return parts


def past_of(data: EvaluationData, split: Split) -> EvaluationData:
    """The training data of a split, to choose settings on a split of them."""
    users = np.flatnonzero(np.diff(split.train.indptr))
    return replace(data, interactions=split.train[users], times=split.train_times[users])


def check_names(names: Iterable[str]) -> None:
    """Raises CannotEvaluate if a name is unknown."""
    if unknown := sorted(set(names) - ALGORITHMS.keys()):
        raise CannotEvaluate(
            f"There is no {', '.join(unknown)}. There are {', '.join(sorted(ALGORITHMS))}."
        )


def choose_algorithms(
    named: Sequence[str] | None, split: Split, items: ItemFeatures
) -> tuple[list[str], dict[str, str]]:
    """The algorithms to measure, composites last, and why others are left out.

    An algorithm that is named is measured in spite of obstacles.
    """
    left_out = {}
    for name in [] if named else ALGORITHMS:
        if reason := make_recommender(name).obstacle(split.train, items, split.train_times):
            left_out[name] = reason
    names = dict.fromkeys(name for name in named or ALGORITHMS if name not in left_out)
    return sorted(names, key=lambda name: issubclass(ALGORITHMS[name], Composite)), left_out


def measure(
    names: Sequence[str],
    split: Split,
    items: ItemFeatures,
    *,
    k: int,
    max_users: int | None,
    seed: int,
    report: Report = lambda what, share: None,
) -> dict[str, AlgorithmResult]:
    """Fit and evaluate the algorithms in this order.

    A composite uses its parts if all of them have been fitted before.
    """
    fitted: dict[str, Recommender] = {}
    measured: dict[str, AlgorithmResult] = {}
    for place, name in enumerate(names):

        def fitting(share: float, name: str = name, place: int = place) -> None:
            report(f"fitting {name}", (place + share * FITTING) / len(names))

        fitting(0)
        began_at = time.perf_counter()
        model = make_recommender(name)
        model.on_progress = fitting
        parts = _fitted_parts(model, fitted, (split.train, items, split.train_times))
        if parts and isinstance(model, Composite):
            model.compose(parts)
        else:
            model.fit(split.train, items, split.train_times)
        fitted[name] = model
        fitted_at = time.perf_counter()
        report(f"judging {name}", (place + FITTING) / len(names))
        lists = evaluate_lists(model, split, k=k, max_users=max_users, seed=seed, items=items)
        measured[name] = AlgorithmResult(
            lists,
            fit_s=fitted_at - began_at + sum(measured[part].fit_s for part in parts),
            score_s=time.perf_counter() - fitted_at,
        )
    report("done", 1)
    return measured


def diversity_rerankers(items: ItemFeatures) -> dict[str, Reranker]:
    """The rerankers of the compared values of DIVERSITY, by value."""
    vectors = diversity_vectors(items)
    return {str(weight): DiversityReranker(vectors, weight) for weight in WEIGHTS}


def calibration_rerankers(items: ItemFeatures) -> dict[str, Reranker]:
    """The rerankers by weight of calibration, without 1, which would leave relevance out."""
    shares = genre_shares(genre_columns(items))
    return {str(weight): CalibratedReranker(shares, weight) for weight in WEIGHTS[:-1]}


def measure_reranked(
    name: str,
    split: Split,
    items: ItemFeatures,
    rerankers: Mapping[str, Reranker],
    *,
    k: int,
    max_users: int | None,
    seed: int,
    report: Report = lambda what, share: None,
) -> dict[str, AlgorithmResult]:
    """Fit one algorithm and evaluate its lists by each of the rerankers."""
    report(f"fitting {name}", 0)
    began_at = time.perf_counter()
    model = make_recommender(name).fit(split.train, items, split.train_times)
    fit_s = time.perf_counter() - began_at
    measured: dict[str, AlgorithmResult] = {}
    for place, (weight, reranker) in enumerate(rerankers.items()):
        report(f"judging by {weight}", (1 + place) / (1 + len(rerankers)))
        began_at = time.perf_counter()
        lists = evaluate_lists(
            model, split, k=k, max_users=max_users, seed=seed, items=items, reranker=reranker
        )
        measured[weight] = AlgorithmResult(lists, fit_s, time.perf_counter() - began_at)
    report("done", 1)
    return measured


def choose_weight(measured: Mapping[str, AlgorithmResult]) -> str:
    """The largest of the weights that `measure_reranked` measured that costs little NDCG.

    That is at most MAX_LOSS of the best NDCG, and not significant. All weights between that of
    the best NDCG and the chosen one satisfy this.
    """
    chosen = best = best_algorithm(measured)
    highest = measured[best].lists.by_user["ndcg"]
    for weight in [*measured][[*measured].index(best) :]:
        gains = measured[weight].lists.by_user["ndcg"]
        is_much = mean(gains) < (1 - MAX_LOSS) * mean(highest)
        if is_much or is_significantly_worse(gains, highest):
            break
        chosen = weight
    return chosen


def _fitted_parts(
    model: Recommender,
    fitted: Mapping[str, Recommender],
    past: tuple[csr_matrix, ItemFeatures, csr_matrix],
) -> Mapping[str, Recommender]:
    """The fitted parts of a composite; empty if a part is missing."""
    names = model.parts_for(*past) if isinstance(model, Composite) else []
    return {name: fitted[name] for name in names} if {*names} <= fitted.keys() else {}


def best_algorithm(measured: Mapping[str, AlgorithmResult]) -> str:
    """The name of the algorithm with the highest NDCG."""
    return max(measured, key=lambda name: np.nan_to_num(measured[name].quality.ndcg, nan=-1.0))


def compare_with(measured: Mapping[str, AlgorithmResult], baseline: str) -> dict[str, Comparison]:
    """Paired tests of the NDCG of each other algorithm against the baseline."""
    gains = measured[baseline].lists.by_user["ndcg"]
    return {
        name: paired_test(one.lists.by_user["ndcg"], gains)
        for name, one in measured.items()
        if name != baseline
    }
