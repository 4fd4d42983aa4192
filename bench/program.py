"""`python -m bench.program NAME`: become the worker, or another of what `make run` starts."""

from __future__ import annotations

import os
import sys

from cinema.programs import programs


def main() -> None:
    [program] = [child for child in programs() if child.name == sys.argv[1]]
    os.environ.update(program.environment)
    os.execv(program.command[0], [*program.command])  # noqa: S606 - the process itself is to be it


if __name__ == "__main__":
    main()
