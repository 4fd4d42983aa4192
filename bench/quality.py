"""`python -m bench.quality`: all algorithms on ml-latest-small, on three splits, and curves.

The curves show the quality by the number of known ratings, by the gap to the next film, and by the
diversity of the lists.

Each with its default settings, and nothing is chosen by what comes out: these are test splits.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import curves_figure, quality_figure
from bench.data import MOVIELENS_FOLDER
from bench.homes import OWN_SERVERS, REPOSITORY
from bench.reporting import describe_machine, table
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.evaluation.metrics import paired_test

RESULT = Path(__file__).parent / "results" / "quality.json"
#: The splits, by their names in `manage.py evaluate`.
SPLITS = ("time", "strong", "cold")
K, SEED = 10, 1895
#: The time limit of one algorithm on one split. A slower one is left out, and named as such.
AT_MOST_S = 120

#: The curves of these, and of the best of them re-ranked by diversity.
DRAWN, RERANKED = ("hybrid", "ease", "als", "popularity", "content"), "hybrid"
#: And by the gap to the next film the one that reads it.
DRAWN_BY_GAP = (*DRAWN, "sequence")
CURVES_AT_MOST_S = 600

Found = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these algorithms")
    parser.add_argument("--to", type=Path, default=RESULT, help="by default results/quality.json")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - ALGORITHMS.keys():
        parser.error(f"no such algorithm: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    names = arguments.names or sorted(ALGORITHMS)
    with tempfile.TemporaryDirectory(prefix="cinema-bench-") as home:
        splits = {split: _measure(split, names, Path(home)) for split in SPLITS}
        curves = _measure_curves(names, Path(home))
    document = {
        "name": "quality",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "data": MOVIELENS_FOLDER.name,
        "k": K,
        "seed": SEED,
        "splits": splits,
        "curves": curves,
    }
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
    arguments.to.write_text(json.dumps(_without_nan(document), indent=2) + "\n")
    if arguments.to == RESULT:
        quality_figure.draw(document)
        curves_figure.draw(document)


def _measure(split: str, names: Sequence[str], home: Path) -> Found:
    found = {}
    for name in names:
        print(f"{split}: {name} ...", file=sys.stderr, flush=True)
        found[name] = _in_a_process(name, split, home)
    measured = {name: one for name, one in found.items() if "quality" in one}
    best = max(measured, key=lambda name: measured[name]["quality"]["ndcg"])
    gains = {name: np.array(one.pop("ndcg_by_user")) for name, one in measured.items()}
    for name, one in measured.items():
        one["beside_best"] = asdict(paired_test(gains[name], gains[best]))
    result = {
        "best": best,
        "algorithms": measured,
        "left_out": {name: one["left_out"] for name, one in found.items() if "left_out" in one},
    }
    print(_as_text(split, result), flush=True)
    return result


def _in_a_process(name: str, split: str, home: Path) -> Found:
    try:
        return _run("models.measure_quality", home, AT_MOST_S, name=name, split=split)
    except subprocess.TimeoutExpired:
        return {"left_out": f"It took more than {AT_MOST_S} s."}


def _measure_curves(names: Sequence[str], home: Path) -> Found:
    print("curves ...", file=sys.stderr, flush=True)
    drawn, by_gap = ([n for n in wanted if n in names] for wanted in (DRAWN, DRAWN_BY_GAP))
    best = RERANKED if RERANKED in drawn else names[0]
    how = {"names": drawn, "by_gap": by_gap, "best": best}
    curves = _run("quality.measure_curves", home, CURVES_AT_MOST_S, **how)
    print("\n\n".join(_curve_as_text(name, lines) for name, lines in curves.items()), flush=True)
    return curves


def _curve_as_text(name: str, lines: Mapping[str, Any]) -> str:
    return "\n" + table([
        {f"{name}: NDCG@{K}": line}
        | {
            f"{label} ({point['users']})": f"{point['ndcg']:.4f} "
            f"({point['low']:.4f} to {point['high']:.4f})"
            for label, point in points.items()
        }
        for line, points in lines.items()
    ])  # fmt: skip


def _run(function: str, home: Path, longest_s: float, **arguments: Any) -> Found:
    """The JSON of a function of `bench.inside` in a process of its own."""
    given = {"folder": str(MOVIELENS_FOLDER), "k": K, "seed": SEED, **arguments}
    done = subprocess.run(
        [sys.executable, "-m", "bench.inside", function, json.dumps(given)],
        env=_environment(home),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=longest_s,
    )
    found: Found = json.loads(done.stdout)
    return found


def _environment(home: Path) -> dict[str, str]:
    """The environment of the trainer: one thread for BLAS, one for each core for `implicit`."""
    return {
        **os.environ,
        **OWN_SERVERS,
        "CINEMA_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "cinema.settings",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _as_text(split: str, result: Mapping[str, Any]) -> str:
    measured = result["algorithms"]
    ordered = sorted(measured, key=lambda name: -measured[name]["quality"]["ndcg"])
    rows = [
        {
            split: name,
            f"NDCG@{K}": f"{one['quality']['ndcg']:.4f}",
            "95 of 100": f"{one['quality']['ndcg_low']:.4f} to {one['quality']['ndcg_high']:.4f}",
            "HR": f"{one['quality']['hit_rate']:.4f}",
            "recall": f"{one['quality']['recall']:.4f}",
            "coverage": f"{one['quality']['coverage']:.4f}",
            f"p beside {result['best']}": f"{one['beside_best']['p_value']:.4f}",
            "fit s": f"{one['fit_s']:.2f}",
            "score ms": f"{one['score_ms']:.2f}",
            "MB": f"{one['peak_mb']:.0f}",
        }
        for name, one in ((name, measured[name]) for name in ordered)
    ]
    without = [f"Without {name}: {why}" for name, why in result["left_out"].items()]
    return "\n".join(["", table(rows), *without])


def _without_nan(value: Any) -> Any:
    """JSON has null, and six digits are more than anything here means."""
    if isinstance(value, Mapping):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    if isinstance(value, float):
        return None if np.isnan(value) else float(f"{value:.6g}")
    return value


if __name__ == "__main__":
    main()
