from __future__ import annotations

import logging
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from cinema.development.demonstration import fill_demonstration, is_empty
from cinema.locks import single_run
from recommendations.models import Interaction
from recommendations.selectors import current_release
from recommendations.tasks import match_viewers, relate_films

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Bring the database up to date, fill an empty one if asked, and train the first models."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--demonstrate", action="store_true", help="fill an empty database")

    def handle(self, *args: Any, **options: Any) -> None:
        with single_run("cinema.prepare") as acquired:
            if not acquired:
                self.stdout.write("Another process is preparing the database.")
                return
            call_command("migrate", verbosity=0, interactive=False)
            if options["demonstrate"] and is_empty():
                self.stdout.write("Filling the empty database with a demonstration ...")
                fill_demonstration()
            if current_release() is None and Interaction.objects.exists():
                self.stdout.write("Training the models ...")
                self._try(self._train, "the first training")
                self._try(match_viewers, "finding viewers of similar taste")
                self._try(relate_films, "finding similar films")

    def _train(self) -> None:
        # Whoever has just started it waits. A later training searches.
        call_command("train", tuning_budget_s=0, verbosity=0)

    def _try(self, step: Callable[[], object], name: str) -> None:
        try:
            step()
        except Exception:
            # The programme can be served without it, and beat asks for it again.
            log.exception("%s failed", name)
