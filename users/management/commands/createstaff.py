from __future__ import annotations

import sys
from argparse import ArgumentParser
from getpass import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError, transaction
from psycopg.errors import UndefinedTable

from cinema.audit.recording import recording_as
from cinema.errors import ApiError
from users import services
from users.models import User


class Command(BaseCommand):
    help = "Make an account for a member of staff, or promote a viewer's account."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="", help="the name that colleagues see")
        parser.add_argument(
            "--superuser", action="store_true", help="may also manage accounts in the admin site"
        )
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the password from the first line of standard input instead of asking",
        )
        parser.add_argument(
            "--promote",
            action="store_true",
            help="promote a viewer's account with a verified address; its password stays",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        act = self._promote if options["promote"] else self._create
        try:
            user = act(options)
        except (ApiError, ValueError) as error:
            raise CommandError(str(error)) from error
        except ProgrammingError as error:
            if not isinstance(error.__cause__, UndefinedTable):
                raise
            raise CommandError(
                "The database has no tables yet: `manage.py prepare` first."
            ) from error
        role = "superuser" if user.is_superuser else "member of staff"
        self.stdout.write(f"{user.email} is a {role} now.")

    def _promote(self, options: dict[str, Any]) -> User:
        if options["name"] or options["password_stdin"]:
            raise CommandError("--promote changes neither the name nor the password.")
        with recording_as(via="command", path="createstaff"):
            return services.promote(email=options["email"], is_superuser=options["superuser"])

    def _create(self, options: dict[str, Any]) -> User:
        password = _password_of_stdin() if options["password_stdin"] else self._ask()
        with recording_as(via="command", path="createstaff"), transaction.atomic():
            return services.open_account(
                email=options["email"],
                password=password,
                name=" ".join(options["name"].split())[:100],
                is_staff=True,
                is_superuser=options["superuser"],
            )

    def _ask(self) -> str:
        """Ask without echo. An argument would be kept in the shell's history."""
        if not sys.stdin.isatty():
            raise CommandError("There is no terminal to ask for the password: --password-stdin.")
        try:
            password = getpass("Password: ")
            again = getpass("Password, once more: ")
        except (EOFError, KeyboardInterrupt) as error:
            raise CommandError("Nothing was changed.") from error
        if password != again:
            raise CommandError("The two passwords differ. Nothing was changed.")
        return password


def _password_of_stdin() -> str:
    if not (password := sys.stdin.readline().rstrip("\r\n")):
        raise CommandError("Standard input holds no password.")
    return password
