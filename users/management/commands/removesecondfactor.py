from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cinema.audit.recording import recording_as
from cinema.errors import ApiError
from users import second_factor


class Command(BaseCommand):
    help = "Remove the second factor of an account whose authenticator app and codes are lost."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with recording_as(via="command", path="removesecondfactor"):
                was_there = second_factor.remove_by_email(email=options["email"])
        except ApiError as error:
            raise CommandError(error.detail) from error
        if not was_there:
            raise CommandError("This account has no second factor.")
        self.stdout.write("The second factor is removed: the password alone signs in now.")
