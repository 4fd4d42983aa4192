"""`python -m bench.curves_figure`: `docs/images/quality-curves.svg` from `results/quality.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.homes import REPOSITORY
from bench.line_figure import line_names
from bench.quality_figure import PANEL_HEIGHT, PANEL_WIDTH, RESULT, axes, figure, ticks

FIGURE = REPOSITORY / "docs" / "images" / "quality-curves.svg"


class Curve(NamedTuple):
    """A panel: its name in the results, its title, and the title of its x axis."""

    name: str
    title: str
    x_title: str


CURVES = (
    Curve("strong", "Viewers never seen", "known ratings"),
    Curve("time", "Later interactions", "known ratings"),
    Curve("gap", "The next film", "time since the last film"),
    Curve("diversity", "Re-ranked by DIVERSITY", "mean distance of two films of a list"),
)


def draw(document: Mapping[str, Any], path: Path = FIGURE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_svg(document))


def as_svg(document: Mapping[str, Any]) -> str:
    """A panel for each curve that was measured; bars are 95% intervals."""
    measured = document["curves"]
    panels = [
        list(_panel(curve, measured[curve.name], document["k"]))
        for curve in CURVES
        if measured.get(curve.name)
    ]
    return figure(f"Curves of NDCG@{document['k']}, {document['data']}", panels)


def _panel(curve: Curve, lines: Mapping[str, Any], k: int) -> Iterator[str]:
    points = [point for line in lines.values() for point in line.values()]
    top = max((point["high"] or 0 for point in points), default=0) * 1.05 or 1.0
    x_ticks = _x_ticks(lines)
    yield from axes(
        curve.title,
        f"NDCG@{k}",
        curve.x_title,
        {f"{ndcg:g}": PANEL_HEIGHT * (1 - ndcg / top) for ndcg in ticks(top)},
        x_ticks,
    )
    ends: list[tuple[float, float, str]] = []
    for name, line in lines.items():
        known = {label: point for label, point in line.items() if point["ndcg"] is not None}
        places = {label: _x(label, point, x_ticks) for label, point in known.items()}
        path = [
            (places[label], PANEL_HEIGHT * (1 - point["ndcg"] / top))
            for label, point in known.items()
        ]
        for (x, y), point in zip(path, known.values(), strict=True):
            low, high = (PANEL_HEIGHT * (1 - point[end] / top) for end in ("low", "high"))
            yield f'<path class="range" d="M{x:.1f} {low:.1f}V{high:.1f}"/>'
            yield f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        if path:
            drawn = "L".join(f"{x:.1f} {y:.1f}" for x, y in path)
            yield f'<path class="line" d="M{drawn}"/>'
            x, y = path[-1]
            ends.append((y, x, name))
    yield from line_names(ends)


def _x_ticks(lines: Mapping[str, Any]) -> dict[str, float]:
    """Classes at equal distances, or five figures along the distances."""
    points = [point for line in lines.values() for point in line.values()]
    if points and "distance" in points[0]:
        low, high = (end(point["distance"] for point in points) for end in (min, max))
        steps = [low + (high - low) * step / 4 for step in range(5)]
        return {f"{value:.2f}": PANEL_WIDTH * (step / 5) for step, value in enumerate(steps)}
    labels: Sequence[str] = list(dict.fromkeys(label for line in lines.values() for label in line))
    return {label: PANEL_WIDTH * place / len(labels) for place, label in enumerate(labels)}


def _x(label: str, point: Mapping[str, Any], x_ticks: Mapping[str, float]) -> float:
    if "distance" not in point:
        return x_ticks[label]
    values = [float(value) for value in x_ticks]
    share: float = (point["distance"] - values[0]) / ((values[-1] - values[0]) or 1)
    return share * max(x_ticks.values())


if __name__ == "__main__":
    draw(json.loads(RESULT.read_text()))
