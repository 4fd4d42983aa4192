from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cinema.development.demonstration import DatabaseNotEmpty, fill_demonstration
from cinema.locks import single_run


class Command(BaseCommand):
    help = "Fill an empty database with 120 films, three weeks of screenings and 400 viewers."

    def handle(self, *args: Any, **options: Any) -> None:
        with single_run("cinema.prepare") as acquired:
            if not acquired:
                raise CommandError("Another process is preparing the database. Wait for its end.")
            try:
                filled = fill_demonstration()
            except DatabaseNotEmpty as error:
                raise CommandError(str(error)) from error
        self.stdout.write("The demonstration is there." if filled else "It was there already.")
