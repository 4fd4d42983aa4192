#!/usr/bin/env python
"""Run a management command. The embedded servers are started for it if they are not up already."""

import os
import sys

#: Commands that make files for other accounts: those that a web server reads, and source code.
FOR_OTHERS = {"collectstatic", "makemigrations", "startapp", "startproject"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cinema.settings")
    from django.core.management import execute_from_command_line

    from cinema.development import embedded_servers
    from cinema.home import keep_private

    if not {*sys.argv[1:2]} & FOR_OTHERS:
        keep_private()
    if sys.argv[1:2] == ["up"]:
        # The supervisor stays for as long as Cinema runs. Without Django's apps it takes half.
        from cinema.management.commands.up import Command

        Command().run_from_argv(sys.argv)
        return
    from django.db import InterfaceError, OperationalError

    from cinema.logs import without_values

    try:
        with embedded_servers.servers_for_command(sys.argv):
            execute_from_command_line(sys.argv)
    except (InterfaceError, OperationalError) as error:
        # A traceback would show parts of DATABASE_URL.
        sys.exit(f"The database refused or did not answer: {without_values(str(error)).strip()}")


if __name__ == "__main__":
    main()
