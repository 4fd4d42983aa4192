"""Become the web server that `make run` starts, with another application.

`python -m bench.web APPLICATION`: the options are those of Cinema's own. An application of
`bench` is WSGI, on as many threads of granian.
"""

from __future__ import annotations

import os
import sys

from django.conf import settings

from cinema.programs import programs


def main() -> None:
    [web] = [child for child in programs() if child.name == "web"]
    *options, _ = web.command
    if sys.argv[1].startswith("bench."):
        options.remove("--interface=rsgi")
        options += ["--interface=wsgi", f"--blocking-threads={settings.WEB_THREADS}"]
    os.environ.update(web.environment)
    os.execv(options[0], [*options, sys.argv[1]])  # noqa: S606 - the process itself is to be it


if __name__ == "__main__":
    main()
