#!/usr/bin/env python
"""Run a management command. The embedded servers are started for it if they are not up already."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cinema.settings")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from django.core.management import execute_from_command_line
    from django.db import InterfaceError, OperationalError

    from cinema import embedded
    from cinema.logs import without_values

    try:
        with embedded.servers_for_command(sys.argv):
            execute_from_command_line(sys.argv)
    except (InterfaceError, OperationalError) as error:
        # A traceback would show parts of DATABASE_URL.
        sys.exit(f"The database refused or did not answer: {without_values(str(error)).strip()}")


if __name__ == "__main__":
    main()
