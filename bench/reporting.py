"""The result of a benchmark, as a table to read and as JSON to keep."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Literal, TypeVar

import psutil

K = TypeVar("K")
T = TypeVar("T")
Cell = str | float | int | None


@dataclass(frozen=True)
class Target:
    """A limit, and the measured value.

    Attributes:
        kind: Whether the speed of the machine changes it: a time, or a rate.
    """

    what: str
    measured: float
    bound: Literal["at least", "at most"]
    limit: float
    kind: Literal["time", "rate", ""] = ""

    def limit_at(self, speed: float) -> float:
        """The limit on a machine that is `speed` times as fast."""
        return self.limit * {"time": 1 / speed, "rate": speed, "": 1}[self.kind]

    @property
    def met(self) -> bool:
        at_least = self.bound == "at least"
        return self.measured >= self.limit if at_least else self.measured <= self.limit


@dataclass(frozen=True)
class Report:
    """The result of one benchmark.

    Attributes:
        figures: The rows of the table: medians over the rounds.
        ratios: One thing beside another, round by round, and then the median.
        rounds: The single measurements behind the medians.
    """

    name: str
    figures: Sequence[Mapping[str, Cell]]
    targets: Sequence[Target]
    ratios: Mapping[str, float] = field(default_factory=dict)
    rounds: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def as_text(self) -> str:
        parts = [f"\n{self.name}\n{'=' * len(self.name)}", table(self.figures)]
        if self.ratios:
            parts.append(table([{"ratio": what, "": ratio} for what, ratio in self.ratios.items()]))
        parts.append(
            table(
                [
                    {
                        "target": target.what,
                        "": f"{target.bound} {_shown(target.limit)}",
                        "measured": target.measured,
                        " ": "met" if target.met else "MISSED",
                    }
                    for target in self.targets
                ]
            )
        )
        return "\n\n".join([*parts, *self.notes])

    def save(self, path: Path) -> None:
        document = {
            "name": self.name,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": describe_machine(),
            "targets": [{**asdict(target), "met": target.met} for target in self.targets],
            "ratios": self.ratios,
            "figures": self.figures,
            "notes": self.notes,
            "rounds": self.rounds,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False, default=asdict) + "\n")


def describe_machine() -> dict[str, Cell]:
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def alternate(things: Mapping[K, Callable[[], T]], *, rounds: int) -> dict[K, list[T]]:
    """Measure A B A B, not A A B B: when the machine drifts, both do."""
    found: dict[K, list[T]] = {name: [] for name in things}
    for _ in range(rounds):
        for name, measure in things.items():
            found[name].append(measure())
    return found


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    return median(a / b for a, b in zip(numerators, denominators, strict=True))


def table(rows: Sequence[Mapping[str, Cell]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([_shown(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    return f"{cell:,.0f}" if abs(cell) >= 1000 or isinstance(cell, int) else f"{cell:.3g}"
