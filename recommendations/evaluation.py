"""Compares algorithms on withheld interactions, and writes the results as tables and as JSON."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies.models import Movie
from recommendations.dataset import load_dataset
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.algorithms.hybrid import Composite
from recommendations.engine.evaluation.metrics import (
    Comparison,
    bootstrap_interval,
    paired_test,
)
from recommendations.engine.evaluation.quality import (
    EvaluatedLists,
    Quality,
    evaluable_users,
    evaluate_lists,
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
from recommendations.engine.ranking.reranking import DiversityReranker, diversity_vectors
from recommendations.engine.recommender import Recommender
from recommendations.movielens.matrices import read_matrices
from recommendations.training.fitting import make_recommender

#: Called with the current step and the share done, 0 to 1.
Report = Callable[[str, float], None]

#: The share of fitting in the time of an algorithm, for the progress bar.
FITTING = 0.8
#: The compared values of the setting DIVERSITY.
DIVERSITIES = tuple(tenth / 10 for tenth in range(11))


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
        parts = _parts_at_hand(model, fitted, (split.train, items, split.train_times))
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


def measure_diversity(
    name: str,
    split: Split,
    items: ItemFeatures,
    *,
    k: int,
    max_users: int | None,
    seed: int,
    report: Report = lambda what, share: None,
) -> dict[str, AlgorithmResult]:
    """Fit one algorithm and evaluate its lists, re-ranked by each of `DIVERSITIES`."""
    report(f"fitting {name}", 0)
    began_at = time.perf_counter()
    model = make_recommender(name)
    model.fit(split.train, items, split.train_times)
    fit_s = time.perf_counter() - began_at
    vectors = diversity_vectors(items)
    measured: dict[str, AlgorithmResult] = {}
    for place, diversity in enumerate(DIVERSITIES):
        report(f"judging by {diversity}", (1 + place) / (1 + len(DIVERSITIES)))
        began_at = time.perf_counter()
        reranker = DiversityReranker(vectors, diversity)
        lists = evaluate_lists(
            model, split, k=k, max_users=max_users, seed=seed, items=items, reranker=reranker
        )
        measured[str(diversity)] = AlgorithmResult(lists, fit_s, time.perf_counter() - began_at)
    report("done", 1)
    return measured


def _parts_at_hand(
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


Row = list[str]


class Column(NamedTuple):
    title: str
    figure: str
    digits: int = 4


ACCURACY = (
    Column("HR", "hit_rate"),
    Column("recall", "recall"),
    Column("precision", "precision"),
    Column("MRR", "mrr"),
    Column("MAP", "map"),
)
LISTS = (
    Column("coverage", "coverage"),
    Column("Gini", "gini"),
    Column("novelty", "novelty", 2),
    Column("popularity", "popularity"),
    Column("diversity", "diversity"),
    Column("miscalibration", "miscalibration"),
)


def as_text(
    measured: Mapping[str, AlgorithmResult], baseline: str, left_out: Mapping[str, str]
) -> str:
    """Tables of the accuracy, of the lists, and of the comparison with the baseline."""
    tables = [_accuracy(measured), _lists(measured)]
    if len(measured) > 1:
        tables.append(_comparison(measured, baseline))
    texts = [_aligned(list(rows)) for rows in tables]
    if left_out:
        texts.append("\n".join(f"Without {name}: {why}" for name, why in left_out.items()))
    return "\n\n".join(texts)


def _accuracy(measured: Mapping[str, AlgorithmResult]) -> Iterator[Row]:
    k = next(iter(measured.values())).lists.k
    titles = (column.title for column in ACCURACY)
    yield ["", f"NDCG@{k}", "95 of 100", *titles, "fit", "score"]
    for name, one in measured.items():
        quality = one.quality
        within = f"{_shown(quality.ndcg_low)} to {_shown(quality.ndcg_high)}"
        seconds = (f"{one.fit_s:.2f} s", f"{one.score_s:.2f} s")
        yield [name, _shown(quality.ndcg), within, *_figures(quality, ACCURACY), *seconds]


def _lists(measured: Mapping[str, AlgorithmResult]) -> Iterator[Row]:
    yield ["", *(column.title for column in LISTS)]
    for name, one in measured.items():
        yield [name, *_figures(one.quality, LISTS)]


def _comparison(measured: Mapping[str, AlgorithmResult], baseline: str) -> Iterator[Row]:
    yield [f"beside {baseline}", "NDCG", "95 of 100", "p"]
    for name, found in compare_with(measured, baseline).items():
        within = f"{found.low:+.4f} to {found.high:+.4f}"
        yield [name, f"{found.difference:+.4f}", within, f"{found.p_value:.4f}"]


def _figures(quality: Quality, columns: Sequence[Column]) -> list[str]:
    return [_shown(getattr(quality, column.figure), column.digits) for column in columns]


def _shown(figure: float, digits: int = 4) -> str:
    return "-" if math.isnan(figure) else f"{figure:.{digits}f}"


def _aligned(rows: Sequence[Row]) -> str:
    """The rows as text, the first column aligned left and the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def as_document(
    measured: Mapping[str, AlgorithmResult], baseline: str, left_out: Mapping[str, str]
) -> dict[str, Any]:
    """The results for orjson, which writes null for NaN."""
    return {
        "algorithms": {
            name: {
                "quality": one.quality,
                "intervals": {what: bootstrap_interval(v) for what, v in one.lists.by_user.items()},
                "fit_s": round(one.fit_s, 3),
                "score_s": round(one.score_s, 3),
            }
            for name, one in measured.items()
        },
        "baseline": baseline,
        "beside_baseline": compare_with(measured, baseline),
        "left_out": dict(left_out),
    }
