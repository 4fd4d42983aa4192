"""Answers by the number of viewers, list time by that of films, and `docs/images/growth.svg`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench.crowd import open_cinema
from bench.data import FULL, MOVIELENS, DataSets
from bench.homes import REPOSITORY, Home
from bench.line_figure import line_panel
from bench.load import Job, apply_load, get
from bench.quality_figure import figure
from bench.reporting import Cell, Report
from bench.viewers import LIST

FIGURE = REPOSITORY / "docs" / "images" / "growth.svg"
SMALL_FIGURE = Path(__file__).parent / "results" / "small" / FIGURE.name
#: Each viewer of the growing catalogue has rated about so many films.
RATINGS_EACH = 100


def run(data: DataSets) -> Report:
    crowds = _measure_crowds(data)
    lists = [_measure_lists(data, films) for films in data.scale.growing_films]
    path = FIGURE if data.scale == FULL else SMALL_FIGURE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_svg(crowds, lists))
    return Report(
        name="growth",
        figures=[*crowds, *lists],
        targets=[],
        notes=[
            f"The crowd of `crowd`, on ml-latest-small. Lists: {data.scale.growing_ratings:,} "
            "synthetic ratings; GET /recommendations?refresh=true and the kept list, over one "
            f"connection. The figure: {path}. `generator` is its share of all cores."
        ],
    )


def _measure_crowds(data: DataSets) -> list[dict[str, Cell]]:
    scale = replace(
        data.scale,
        crowd_arriving_s=data.scale.growing_arriving_s,
        crowd_seconds=data.scale.growing_s,
    )
    rows: list[dict[str, Cell]] = []
    with (
        data.opened(MOVIELENS) as home,
        open_cinema(home, max(scale.growing_crowds)) as cinema,
    ):
        for viewers in scale.growing_crowds:
            found = cinema.visit(scale, viewers)
            rows.append(
                {
                    "viewers": viewers,
                    "answers/s": found.per_second,
                    "bare view/s": found.bare_per_second,
                    "beside the bare view": found.ratio,
                    "median ms": found.median_ms,
                    "p99 ms": found.p99_ms,
                    "errors": sum(found.visited.errors.values()),
                    "generator": found.generator_share,
                }
            )
    return rows


def _measure_lists(data: DataSets, films: int) -> dict[str, Cell]:
    ratings = data.scale.growing_ratings
    home = Home(data.root / f"growth-{films}")
    with home.running():
        home.manage("migrate", "--verbosity=0")
        viewers = ratings // RATINGS_EACH
        home.call("filling.fill_synthetic", viewers=viewers, films=films, ratings=ratings)
        home.call("serving.train_hybrid", gated=False)
        tokens = home.call("viewers.issue_tokens", at_most=data.scale.cpu_viewers)
        with home.web() as port:

            def ask(path: str) -> float:
                requests = [get(path, {"Authorization": f"Bearer {token}"}) for token in tokens]
                job = Job(port, requests, 1, data.scale.seconds, ignored=len(requests))
                return apply_load(job).median_ms

            found: dict[str, Cell] = {
                "films": films,
                "list ms": ask(f"{LIST}?refresh=true"),
                "kept list ms": ask(LIST),
            }
    home.remove()
    return found


def as_svg(crowds: Sequence[Mapping[str, Cell]], lists: Sequence[Mapping[str, Cell]]) -> str:
    return figure(
        "How cost grows with viewers and films",
        [
            _panel("Throughput", crowds, "viewers", "answers/s"),
            _panel("Slowest of a hundred answers", crowds, "viewers", "p99 ms"),
            _panel("A list that is computed", lists, "films", "list ms"),
        ],
    )


def _panel(title: str, rows: Sequence[Mapping[str, Cell]], x: str, y: str) -> Iterator[str]:
    return line_panel(title, x, y, {"": [(float(row[x] or 0), float(row[y] or 0)) for row in rows]})
