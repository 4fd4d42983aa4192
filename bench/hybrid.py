"""The default list within the process: for one viewer at once, and for many in a batch."""

from __future__ import annotations

from statistics import median
from typing import Any

from bench.data import MOVIELENS, RATINGS, SYNTHETIC, DataSets
from bench.reporting import Cell, Report, Target

AT_MOST_MS = {MOVIELENS: 8.0, SYNTHETIC: 20.0}
WHOLE_AT_MOST_MS = {MOVIELENS: 15.0, SYNTHETIC: 40.0}
LISTS_A_SECOND = 1000


def run(data: DataSets) -> Report:
    found = {name: _measure(data, name) for name in RATINGS}
    figures: list[dict[str, Cell]] = []
    targets = []
    for name, of in found.items():
        one = {what: median(of["ms"][what]) for what in of["ms"]}
        a_second = median(of["lists a second"])
        figures += [{"data": name, "what": what, "ms": ms} for what, ms in one.items()]
        figures.append({"data": name, "what": "batch lists", "a second": a_second})
        targets += [
            Target(f"{name}: fold in and rank, ms", one["ranked"], "at most", AT_MOST_MS[name]),
            Target(
                f"{name}: a whole list of 40, ms",
                one["a whole list"],
                "at most",
                WHOLE_AT_MOST_MS[name],
            ),
            Target(f"{name}: batch lists a second", a_second, "at least", LISTS_A_SECOND),
        ]
    return Report(
        name="hybrid",
        figures=figures,
        targets=targets,
        rounds=found,
        notes=[
            f"{name}: {of['films']:,} films, {of['showing']} of them showing; {of['viewers']:,} "
            f"viewers with {of['history']:.0f} films each; their lists come from {of['parts']}."
            for name, of in found.items()
        ]
        + [
            "`ranked` is without the query of the history, which is `history`; a whole list has "
            "its queries, and reasons that were tried out. Batch lists are of "
            "10 films of the programme, with the query and without reasons."
        ],
    )


def _measure(data: DataSets, name: str) -> dict[str, Any]:
    with data.opened(name) as home:
        home.call("hybrid.train_hybrid")
        found: dict[str, Any] = home.call(
            "hybrid.measure_hybrid", viewers=data.scale.tokens, rounds=data.scale.rounds
        )
        return found
