"""Algorithms held against each other, on interactions that are withheld from all of them."""

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
from recommendations.engine.composite import Composite
from recommendations.engine.evaluation.quality import (
    EvaluatedLists,
    Quality,
    evaluable_users,
    evaluate_lists,
)
from recommendations.engine.evaluation.significance import (
    Comparison,
    bootstrap_interval,
    paired_test,
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

#: Told what is being done, and the share of it all that is done.
Report = Callable[[str, float], None]

#: Of the time that one algorithm takes, what fitting is taken for in a progress bar.
FITTING = 0.8
#: What `DIVERSITY` is tried at.
DIVERSITIES = tuple(tenth / 10 for tenth in range(11))


class CannotEvaluate(Exception):
    """There is nothing to measure, or nothing to measure on; the message says what is missing."""


@dataclass(frozen=True)
class EvaluationData:
    """What is divided.

    Attributes:
        interactions, times: (n_users, n_items) as in `Recommender.fit`.
        age: (n_items,) the higher the newer.
    """

    interactions: csr_matrix
    times: csr_matrix
    items: ItemFeatures
    age: NDArray[np.int64]


#: By name, from the material and a seed.
SPLITS: Mapping[str, Callable[[EvaluationData, int], Split]] = {
    "time": lambda of, seed: split_by_time(of.interactions, of.times),
    "leave-last-out": lambda of, seed: leave_last_out(of.interactions, of.times),
    "leave-one-out": lambda of, seed: leave_one_out(of.interactions, of.times, seed=seed),
    "strong": lambda of, seed: strong_generalisation(of.interactions, of.times, seed=seed),
    "cold": lambda of, seed: cold_items(of.interactions, of.times, age=of.age, seed=seed),
}


@dataclass(frozen=True)
class AlgorithmResult:
    """One algorithm.

    Attributes:
        fit_s: That of its parts included, where it stands on models that were fitted anyway.
        score_s: Of folding in, scoring and ranking all judged users.
    """

    judged: EvaluatedLists
    fit_s: float
    score_s: float

    @cached_property
    def quality(self) -> Quality:
        return Quality.of(self.judged)


def from_database() -> EvaluationData:
    """All that a training would learn from; a film is as new as its start."""
    dataset = load_dataset()
    starts = dict(Movie.objects.values_list("pk", "start_date"))
    age = np.array([starts[pk].toordinal() for pk in dataset.items.ids.tolist()], dtype=np.int64)
    return EvaluationData(dataset.interactions, dataset.times, dataset.features, age)


def from_folder(path: Path, tell: Callable[[str], None]) -> EvaluationData:
    """A MovieLens folder; a film is as new as its year.

    Raises:
        NotMovieLens: It is none.
    """
    data = read_matrices(path, tell=tell)
    return EvaluationData(data.interactions, data.times, data.items, data.years)


def split_data(material: EvaluationData, split: str, *, seed: int) -> Split:
    """By the name of the split.

    Raises:
        CannotEvaluate: There is too little to divide.
    """
    if not material.interactions.nnz:
        raise CannotEvaluate("There are no interactions to measure on.")
    parts = SPLITS[split](material, seed)
    n_judged = len(evaluable_users(parts))
    if not parts.train.nnz or not n_judged:
        raise CannotEvaluate(
            f"There is too little for the split {split!r}: of {material.interactions.nnz:,} "
            f"interactions {parts.train.nnz:,} to learn from, and {n_judged:,} viewers to judge by."
        )
    return parts


def check_names(names: Iterable[str]) -> None:
    """Raises CannotEvaluate for one that is unknown."""
    if unknown := sorted(set(names) - ALGORITHMS.keys()):
        raise CannotEvaluate(
            f"There is no {', '.join(unknown)}. There are {', '.join(sorted(ALGORITHMS))}."
        )


def choose_algorithms(
    named: Sequence[str] | None, split: Split, items: ItemFeatures
) -> tuple[list[str], dict[str, str]]:
    """What to measure, composites last, and why the rest is left out.

    What is named is measured, whatever stands in its way.
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
    """Fit and judge each, in this order.

    A composite stands on those of its parts that are measured before it, where all are; one that
    learns more than its parts is fitted by itself.
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
        parts = _parts_at_hand(model, fitted)
        if parts and isinstance(model, Composite):
            model.compose(parts)
        else:
            model.fit(split.train, items, split.train_times)
        fitted[name] = model
        fitted_at = time.perf_counter()
        report(f"judging {name}", (place + FITTING) / len(names))
        judged = evaluate_lists(model, split, k=k, max_users=max_users, seed=seed, items=items)
        measured[name] = AlgorithmResult(
            judged,
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
    """One algorithm, in the order in which its lists would be shown, by each `DIVERSITY`."""
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
        order = DiversityReranker(vectors, diversity)
        judged = evaluate_lists(
            model, split, k=k, max_users=max_users, seed=seed, items=items, arranger=order
        )
        measured[str(diversity)] = AlgorithmResult(judged, fit_s, time.perf_counter() - began_at)
    report("done", 1)
    return measured


def _parts_at_hand(
    model: Recommender, fitted: Mapping[str, Recommender]
) -> Mapping[str, Recommender]:
    """The parts of a composite that needs no fitting beside them; empty where one is missing."""
    if not isinstance(model, Composite) or type(model).fit is not Composite.fit:
        return {}
    parts = {name: fitted[name] for name in model.part_types if name in fitted}
    return parts if len(parts) == len(model.part_types) else {}


def best_algorithm(measured: Mapping[str, AlgorithmResult]) -> str:
    """The name of the one with the highest NDCG."""
    return max(measured, key=lambda name: np.nan_to_num(measured[name].quality.ndcg, nan=-1.0))


def compare_with(measured: Mapping[str, AlgorithmResult], baseline: str) -> dict[str, Comparison]:
    """Each other one's NDCG less that of the baseline."""
    gains = measured[baseline].judged.by_user["ndcg"]
    return {
        name: paired_test(one.judged.by_user["ndcg"], gains)
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
    """Tables: how well lists were met, what they are made of, and who is better than by chance."""
    tables = [_accuracy(measured), _lists(measured)]
    if len(measured) > 1:
        tables.append(_comparison(measured, baseline))
    texts = [_aligned(list(rows)) for rows in tables]
    if left_out:
        texts.append("\n".join(f"Without {name}: {why}" for name, why in left_out.items()))
    return "\n\n".join(texts)


def _accuracy(measured: Mapping[str, AlgorithmResult]) -> Iterator[Row]:
    k = next(iter(measured.values())).judged.k
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
    """The first column to the left, figures to the right."""
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
    """For orjson, which writes null for NaN."""
    return {
        "algorithms": {
            name: {
                "quality": one.quality,
                "intervals": {
                    what: bootstrap_interval(v) for what, v in one.judged.by_user.items()
                },
                "fit_s": round(one.fit_s, 3),
                "score_s": round(one.score_s, 3),
            }
            for name, one in measured.items()
        },
        "baseline": baseline,
        "beside_baseline": compare_with(measured, baseline),
        "left_out": dict(left_out),
    }
