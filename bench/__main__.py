"""`python -m bench [--small] [NAME ...]` runs the named benchmarks, or all of them."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from bench import (
    catalogue,
    cpu,
    crowd,
    growth,
    journeys,
    models,
    peers,
    programme,
    startup,
    viewers,
)
from bench.data import FULL, SMALL, DataSets

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
