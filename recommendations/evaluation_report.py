"""The results of an evaluation, as tables and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommendations.engine.evaluation.metrics import bootstrap_interval, paired_test
from recommendations.engine.evaluation.quality import Quality, mean
from recommendations.evaluation import AlgorithmResult, compare_with

#: A longer gap between a viewer's last interaction and the list has a table of its own.
HOUR_S = 3600

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
    """Tables of the accuracy, of the lists, and of the comparisons with the baseline."""
    tables = [_accuracy(measured), _lists(measured)]
    if len(measured) > 1:
        tables.append(_comparison(measured, baseline))
    if after_an_hour(measured).any():
        tables.append(_after_an_hour(measured, baseline))
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


def after_an_hour(measured: Mapping[str, AlgorithmResult]) -> NDArray[np.bool_]:
    """(m,) the viewers, alike for all algorithms, whose list comes later than that."""
    return np.asarray(next(iter(measured.values())).lists.gaps_s > HOUR_S)


def _after_an_hour(measured: Mapping[str, AlgorithmResult], baseline: str) -> Iterator[Row]:
    later = after_an_hour(measured)
    gains = measured[baseline].lists.by_user["ndcg"][later]
    yield ["after an hour", "viewers", "NDCG", "95 of 100", "HR", f"beside {baseline}", "p"]
    for name, one in measured.items():
        ndcg, hits = (one.lists.by_user[figure][later] for figure in ("ndcg", "hit_rate"))
        found = paired_test(ndcg, gains)
        within = " to ".join(map(_shown, bootstrap_interval(ndcg)))
        beside = (f"{found.difference:+.4f}", f"{found.p_value:.4f}")
        yield [name, str(len(ndcg)), _shown(ndcg.mean()), within, _shown(hits.mean()), *beside]


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
    later = after_an_hour(measured)
    return {
        "algorithms": {
            name: {
                "quality": one.quality,
                "intervals": {what: bootstrap_interval(v) for what, v in one.lists.by_user.items()},
                "after_an_hour": {
                    "users": int(later.sum()),
                    **{what: mean(one.lists.by_user[what][later]) for what in ("ndcg", "hit_rate")},
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
