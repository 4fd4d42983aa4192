"""What was measured, as tables to read and as a document to keep."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from recommendations.engine.comparing import interval
from recommendations.engine.evaluation import Quality
from recommendations.evaluating import Measured, beside

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


def as_text(measured: Mapping[str, Measured], baseline: str, left_out: Mapping[str, str]) -> str:
    """Tables: how well lists were met, what they are made of, and who is better than by chance."""
    tables = [_accuracy(measured), _lists(measured)]
    if len(measured) > 1:
        tables.append(_comparison(measured, baseline))
    texts = [_aligned(list(rows)) for rows in tables]
    if left_out:
        texts.append("\n".join(f"Without {name}: {why}" for name, why in left_out.items()))
    return "\n\n".join(texts)


def _accuracy(measured: Mapping[str, Measured]) -> Iterator[Row]:
    k = next(iter(measured.values())).judged.k
    titles = (column.title for column in ACCURACY)
    yield ["", f"NDCG@{k}", "95 of 100", *titles, "fit", "score"]
    for name, one in measured.items():
        quality = one.quality
        within = f"{_shown(quality.ndcg_low)} to {_shown(quality.ndcg_high)}"
        seconds = (f"{one.fit_s:.2f} s", f"{one.score_s:.2f} s")
        yield [name, _shown(quality.ndcg), within, *_figures(quality, ACCURACY), *seconds]


def _lists(measured: Mapping[str, Measured]) -> Iterator[Row]:
    yield ["", *(column.title for column in LISTS)]
    for name, one in measured.items():
        yield [name, *_figures(one.quality, LISTS)]


def _comparison(measured: Mapping[str, Measured], baseline: str) -> Iterator[Row]:
    yield [f"beside {baseline}", "NDCG", "95 of 100", "p"]
    for name, found in beside(measured, baseline).items():
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
    measured: Mapping[str, Measured], baseline: str, left_out: Mapping[str, str]
) -> dict[str, Any]:
    """For orjson, which writes null for NaN."""
    return {
        "algorithms": {
            name: {
                "quality": one.quality,
                "intervals": {what: interval(v) for what, v in one.judged.by_user.items()},
                "fit_s": round(one.fit_s, 3),
                "score_s": round(one.score_s, 3),
            }
            for name, one in measured.items()
        },
        "baseline": baseline,
        "beside_baseline": beside(measured, baseline),
        "left_out": dict(left_out),
    }
