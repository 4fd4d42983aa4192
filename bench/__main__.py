"""`python -m bench [--small] [NAME ...]` runs the named benchmarks, or all of them."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from bench import (
    accounts,
    crowd,
    endpoints,
    hybrid,
    importing,
    impressions,
    journeys,
    lists,
    loading,
    matching,
    peers,
    programme,
    recommendations,
    releases,
    startup,
    training,
)
from bench.data import DataSets
from bench.scale import FULL, SMALL

BENCHMARKS = {
    "programme": programme.run,
    "lists": lists.run,
    "loading": loading.run,
    "training": training.run,
    "releases": releases.run,
    "peers": peers.run,
    "recommendations": recommendations.run,
    "matching": matching.run,
    "hybrid": hybrid.run,
    "crowd": crowd.run,
    "endpoints": endpoints.run,
    "accounts": accounts.run,
    "importing": importing.run,
    "impressions": impressions.run,
    "journeys": journeys.run,
    "startup": startup.run,
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
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    # Ended politely, as by Ctrl-C: every server and folder goes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    root = Path(tempfile.mkdtemp(prefix="cinema-bench-"))
    root.chmod(0o755)  # PostgreSQL, which root runs as another account, must be able to pass
    data = DataSets(root, arguments.scale)
    try:
        for name in arguments.names or BENCHMARKS:
            report = BENCHMARKS[name](data)
            print(report.as_text(), flush=True)
            report.save(RESULTS / data.scale.folder / f"{name}.json")
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        data.remove()


if __name__ == "__main__":
    main()
