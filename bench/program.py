"""Become one of the programs that `make run` starts, with the same options.

`python -m bench.program NAME [APPLICATION]`: the web server can get another application. The bare
one is WSGI, on as many threads of granian as Cinema's own.
"""

from __future__ import annotations

import os
import sys

from django.conf import settings

from cinema.programs import ENVIRONMENT, commands


def main() -> None:
    name, *application = sys.argv[1:]
    command = commands()[name]
    if application:
        command[-1:] = application
        if application[0].startswith("bench.bare"):
            command.remove("--interface=rsgi")
            command[-1:-1] = ["--interface=wsgi", f"--blocking-threads={settings.WEB_THREADS}"]
    os.environ.update(ENVIRONMENT)
    os.execv(command[0], command)  # noqa: S606 - this process becomes the program


if __name__ == "__main__":
    main()
