"""Panels of lines, for figures that `quality_figure.figure` puts side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from bench.quality_figure import LINE, PANEL_HEIGHT, PANEL_WIDTH, axes, ticks


def line_panel(
    title: str,
    x_title: str,
    y_title: str,
    lines: Mapping[str, Sequence[tuple[float, float]]],
    x_labels: Mapping[float, str] | None = None,
) -> Iterator[str]:
    """A panel of lines whose y axis begins at 0.

    Args:
        lines: Points (x, y) by the name of the line, which stands at its end if there are several;
            x is above 0.
        x_labels: Values of x at equal distances, in their order. Without them x grows by powers.
    """
    sizes = sorted({x for line in lines.values() for x, _ in line})
    labels = x_labels or {size: f"{size:,.0f}" for size in sizes}
    top = max(y for line in lines.values() for _, y in line) * 1.1
    # The names of several lines need room behind their ends.
    width = PANEL_WIDTH * (0.72 if len(lines) > 1 else 1)

    def x_of(size: float) -> float:
        if x_labels:
            return width * [*x_labels].index(size) / (len(x_labels) - 1)
        first, last = math.log(sizes[0]), math.log(sizes[-1])
        return (math.log(size) - first) / (last - first) * width

    def y_of(value: float) -> float:
        return PANEL_HEIGHT * (1 - value / top)

    yield from axes(
        title,
        y_title,
        x_title,
        {f"{value:g}": y_of(value) for value in ticks(top)},
        {label: x_of(size) for size, label in labels.items()},
    )
    ends: list[tuple[float, float, str]] = []
    for name, line in lines.items():
        points = [(x_of(size), y_of(value)) for size, value in line]
        yield f'<path class="line" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in points)}"/>'
        for (x_at, y_at), (_, value) in zip(points, line, strict=True):
            shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
            yield f'<circle class="point" cx="{x_at:.1f}" cy="{y_at:.1f}" r="4"/>'
            yield f'<text x="{x_at:.1f}" y="{y_at - 10:.1f}" text-anchor="middle">{shown}</text>'
        ends.append((points[-1][1], points[-1][0], name))
    if len(lines) > 1:
        yield from line_names(ends)


def line_names(ends: Sequence[tuple[float, float, str]]) -> Iterator[str]:
    """The name of each line, by y and x of its end, moved down where another one stands."""
    free = -float("inf")
    for y, x, name in sorted(ends):
        free = max(y, free)
        yield f'<text x="{x + 7:.1f}" y="{free + 4:.1f}">{escape(name)}</text>'
        free += LINE
