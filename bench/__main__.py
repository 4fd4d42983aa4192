"""`python -m bench [--small] [NAME ...]` runs the named benchmarks, or all of them."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import (
    capacity,
    catalogue,
    cpu,
    crowd,
    growth,
    journeys,
    models,
    months,
    peers,
    programme,
    startup,
    targets,
    viewers,
    watching,
)
from bench.data import FULL, RATINGS, SMALL, DataSets
from bench.reporting import Report

BENCHMARKS = {
    "programme": programme.run,
    "lists": catalogue.run_lists,
    "loading": models.run_loading,
    "training": models.run_training,
    "releases": models.run_releases,
    "peers": peers.run,
    "recommendations": viewers.run_recommendations,
    "matching": models.run_matching,
    "hybrid": models.run_hybrid,
    "cpu": cpu.run,
    "crowd": crowd.run,
    "growth": growth.run,
    "endpoints": catalogue.run_endpoints,
    "accounts": viewers.run_accounts,
    "importing": catalogue.run_importing,
    "journeys": journeys.run,
    "watching": watching.run,
    "months": months.run,
    "startup": startup.run,
    "capacity": capacity.run,
}
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument(
        "--small",
        action="store_const",
        const=SMALL,
        default=FULL,
        dest="scale",
        help="a quick run on little data, to see that all works",
    )
    parser.add_argument(
        "--data",
        action="append",
        choices=RATINGS,
        help="measure on these ratings alone; the synthetic ones take minutes to make",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    # Ended politely, as by Ctrl-C: every server and folder goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    root = Path(tempfile.mkdtemp(prefix="cinema-bench-"))
    root.chmod(0o755)  # PostgreSQL, which root runs as another account, must be able to pass
    data = DataSets(root, arguments.scale, arguments.data or RATINGS)
    names = arguments.names or list(BENCHMARKS)
    try:
        if len(names) == 1:
            _save(BENCHMARKS[names[0]](data), data)
        else:
            _run_all(names, data)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        data.remove()


def _run_all(names: Sequence[str], data: DataSets) -> None:
    bare = [targets.bare_per_second(data)]
    reports = []
    for name in names:
        reports.append(BENCHMARKS[name](data))
        bare.append(targets.bare_per_second(data))
        _save(reports[-1], data)
    _save(targets.summary(reports, bare), data)


def _save(report: Report, data: DataSets) -> None:
    print(report.as_text(), flush=True)
    report.save(RESULTS / data.scale.folder / f"{report.name}.json")


if __name__ == "__main__":
    main()
