#!/usr/bin/env python
"""Run a management command. Embedded servers that are not up are started for it."""

import os
import sys
from contextlib import AbstractContextManager, nullcontext

#: Commands that make files for other accounts: those that a web server reads, and source code.
FOR_OTHERS = {"collectstatic", "makemigrations", "startapp", "startproject"}
WITHOUT_SERVERS = {"up", "help", "version", "--help", "--version", "-h", "collectstatic", "doctor"}


def servers_for(command: str) -> AbstractContextManager[None]:
    from django.conf import settings

    if command in WITHOUT_SERVERS or not (settings.EMBEDDED_POSTGRES or settings.EMBEDDED_VALKEY):
        return nullcontext()
    try:
        from cinema.development.embedded_servers import servers_for_command
    except ModuleNotFoundError as error:
        sys.exit(f"{error}: without the embedded servers, set DATABASE_URL and REDIS_URL.")
    return servers_for_command()


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cinema.settings")
    from django.core.management import execute_from_command_line

    from cinema.home import keep_private

    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if command not in FOR_OTHERS:
        keep_private()
    if command == "up":
        # The supervisor runs as long as Cinema. Without Django's apps it takes half the memory.
        from cinema.management.commands.up import Command

        Command().run_from_argv(sys.argv)
        return
    from django.db import InterfaceError, OperationalError

    from cinema.logs import without_values

    try:
        with servers_for(command):
            execute_from_command_line(sys.argv)
    except (InterfaceError, OperationalError) as error:
        # A traceback would show parts of DATABASE_URL.
        sys.exit(f"The database refused or did not answer: {without_values(str(error)).strip()}")


if __name__ == "__main__":
    main()
