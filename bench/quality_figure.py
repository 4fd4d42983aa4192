"""`python -m bench.quality_figure`: `docs/images/quality.svg` from `results/quality.json`.

Quality against time, a panel for each split; written by hand, so that it needs no library.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from bench.homes import REPOSITORY

RESULT = Path(__file__).parent / "results" / "quality.json"
FIGURE = REPOSITORY / "docs" / "images" / "quality.svg"

TITLES = {
    "time": "Later interactions",
    "strong": "Viewers never seen",
    "cold": "Films never seen",
}
PANEL_WIDTH, PANEL_HEIGHT = 300, 340
#: Around a panel: its axis and its title.
LEFT, TOP, RIGHT, BOTTOM = 46, 58, 22, 52
#: The width of a letter of the labels, and the distance of two labels.
LETTER, LINE = 6.4, 13
#: The place of algorithms that fit faster.
MIN_S = 0.01

STYLE = """
text { font: 11px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 13px; font-weight: 600; }
.quiet { fill: #59636e; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.line { stroke: #0969da; stroke-width: 1.5; fill: none; }
.range { stroke: #0969da; stroke-width: 1.5; opacity: .35; }
.point { fill: #0969da; }
.lead { stroke: #59636e; stroke-width: .7; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .quiet { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  .line, .range { stroke: #4493f8; }
  .point { fill: #4493f8; }
  .lead { stroke: #9198a1; }
}
"""


@dataclass(frozen=True)
class Point:
    name: str
    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Box:
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def within(self, other: Box) -> bool:
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


def draw(document: Mapping[str, Any], path: Path = FIGURE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_svg(document))


def as_svg(document: Mapping[str, Any]) -> str:
    """All panels share the axis of time, so that they can be read across."""
    splits: Mapping[str, Any] = document["splits"]
    seconds = [
        max(one["fit_s"], MIN_S)
        for split in splits.values()
        for one in split["algorithms"].values()
    ]
    decades = range(math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds))) + 1)
    return figure(
        f"NDCG@{document['k']} against seconds of fitting, {document['data']}",
        [
            _panel(TITLES.get(name, name), split["algorithms"], decades, document["k"])
            for name, split in splits.items()
        ],
    )


def figure(title: str, panels: Sequence[Iterable[str]]) -> str:
    """An SVG document of panels side by side."""
    width = LEFT + RIGHT + PANEL_WIDTH
    height = TOP + PANEL_HEIGHT + BOTTOM
    total = width * len(panels)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}" '
        f'width="{total}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
    ]
    for place, panel in enumerate(panels):
        lines.append(f'<g transform="translate({place * width + LEFT} {TOP})">')
        lines += panel
        lines.append("</g>")
    return "\n".join([*lines, "</svg>", ""])


def axes(
    title: str,
    y_title: str,
    x_title: str,
    y_ticks: Mapping[str, float],
    x_ticks: Mapping[str, float],
) -> Iterator[str]:
    """The frame of a panel; ticks are labels and their places."""
    yield f'<text class="title" x="0" y="-34">{escape(title)}</text>'
    yield f'<text class="quiet" x="0" y="-14">{escape(y_title)}</text>'
    for label, y in y_ticks.items():
        yield f'<path class="grid" d="M0 {y:.1f}H{PANEL_WIDTH}"/>'
        yield f'<text class="quiet" x="-6" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    for label, x in x_ticks.items():
        yield (
            f'<text class="quiet" x="{x:.1f}" y="{PANEL_HEIGHT + 18}" '
            f'text-anchor="middle">{label}</text>'
        )
    yield (
        f'<text class="quiet" x="{PANEL_WIDTH / 2}" y="{PANEL_HEIGHT + 38}" '
        f'text-anchor="middle">{escape(x_title)}</text>'
    )


def _panel(title: str, algorithms: Mapping[str, Any], decades: range, k: int) -> Iterator[str]:
    top = max(one["quality"]["ndcg_high"] or 0 for one in algorithms.values()) * 1.05 or 1.0
    span = max(len(decades) - 1, 1)

    def x_of(seconds: float) -> float:
        return (math.log10(max(seconds, MIN_S)) - decades[0]) / span * PANEL_WIDTH

    def y_of(ndcg: float) -> float:
        return PANEL_HEIGHT * (1 - ndcg / top)

    yield from axes(
        title,
        f"NDCG@{k}",
        "to fit",
        {f"{ndcg:g}": y_of(ndcg) for ndcg in ticks(top)},
        {f"{10.0**decade:g} s": x_of(10.0**decade) for decade in decades},
    )
    points = [
        Point(
            name,
            x_of(one["fit_s"]),
            y_of(one["quality"]["ndcg"]),
            y_of(one["quality"]["ndcg_low"]),
            y_of(one["quality"]["ndcg_high"]),
        )
        for name, one in algorithms.items()
        if one["quality"]["coverage"]
    ]
    yield from _silent(sorted(algorithms.keys() - {point.name for point in points}))
    for point in points:
        yield f'<path class="range" d="M{point.x:.1f} {point.low:.1f}V{point.high:.1f}"/>'
    for point in points:
        yield f'<circle class="point" cx="{point.x:.1f}" cy="{point.y:.1f}" r="4"/>'
    yield from _labels(points)


def _silent(names: Sequence[str]) -> Iterator[str]:
    """Name algorithms without an opinion on any film at the foot of the panel."""
    text = f"Without an opinion: {', '.join(names)}" if names else ""
    lines = textwrap.wrap(text, width=int(PANEL_WIDTH / LETTER))
    for number, line in enumerate(reversed(lines)):
        y = PANEL_HEIGHT - 8 - number * (LINE + 2)
        yield f'<text class="quiet" x="8" y="{y}">{escape(line)}</text>'


def ticks(top: float) -> list[float]:
    """Round figures from 0 to the top, at most nine of them."""
    magnitude = 10.0 ** math.floor(math.log10(top))
    step = next(s * magnitude for s in (0.1, 0.2, 0.5, 1, 2) if top / (s * magnitude) <= 8)
    return [round(step * number, 6) for number in range(int(top / step) + 1)]


def _labels(points: Sequence[Point]) -> Iterator[str]:
    """Each beside its point where there is room, or else a little off with a line to it."""
    frame = Box(-LEFT, -8, PANEL_WIDTH + RIGHT, PANEL_HEIGHT + 8)
    taken = [Box(p.x - 5, p.y - 5, p.x + 5, p.y + 5) for p in points]
    for point in sorted(points, key=lambda point: point.y):
        box = next(
            (b for b in _boxes(point) if b.within(frame) and not any(map(b.meets, taken))),
            next(_boxes(point)),
        )
        taken.append(box)
        middle = (box.top + box.bottom) / 2
        if abs(middle - point.y) > LINE:
            end = box.left if box.left > point.x else box.right
            yield f'<path class="lead" d="M{point.x:.1f} {point.y:.1f}L{end:.1f} {middle:.1f}"/>'
        yield f'<text x="{box.left + 1:.1f}" y="{middle + 4:.1f}">{escape(point.name)}</text>'


def _boxes(point: Point) -> Iterator[Box]:
    """Possible places of the label: to the right, to the left, then further up and down."""
    width = LETTER * len(point.name) + 2
    for off in range(0, PANEL_HEIGHT, 4):
        for y in (point.y - off, point.y + off):
            for left in (point.x + 7 + off / 3, point.x - 7 - off / 3 - width):
                yield Box(left, y - LINE / 2, left + width, y + LINE / 2)


if __name__ == "__main__":
    draw(json.loads(RESULT.read_text()))
