from __future__ import annotations

import logging
import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

import psycopg
import stamina
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS, connection

from cinema.database import connect_for_checks
from cinema.health import missing_migrations
from cinema.home import unfinished_restore
from cinema.locks import is_lock_timeout, single_run
from recommendations.models import Interaction
from recommendations.selectors import current_release
from recommendations.tasks import find_similar_movies, match_viewers

log = logging.getLogger(__name__)

#: Requests of the running version queue behind a migration that waits for a lock.
LOCK_TIMEOUT_S = 2
LOCK_RETRIES = 60
#: After a power cut Postgres recovers for a while, or its machine starts later than this one.
DATABASE_WITHIN_S = 300
WAIT_S = 1


@stamina.retry(on=is_lock_timeout, attempts=LOCK_RETRIES, timeout=None, wait_initial=1, wait_max=5)
def _migrate() -> None:
    """Migrate while another version serves: give way to its transactions, and try again."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
        try:
            call_command("migrate", verbosity=0, interactive=False)
        finally:
            cursor.execute("RESET lock_timeout")


class Command(BaseCommand):
    help = "Bring the database up to date, fill an empty one if asked, and train the first models."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--demonstrate", action="store_true", help="fill an empty database")

    def handle(self, *args: Any, **options: Any) -> None:
        if unfinished_restore(settings.CINEMA_HOME).exists():
            raise CommandError(
                "A restore was interrupted. Repeat `manage.py restore FILE` with the same file, or"
                " remove this CINEMA_HOME and its database."
            )
        self._wait_for_database()
        self._prepare_alone(demonstrate=options["demonstrate"])
        if settings.RELEASES_URL:
            from recommendations import releases  # imports NumPy

            self._attempt("uploading releases", releases.upload_local_releases)
            self._attempt("fetching the release", releases.loaded_release)

    def _wait_for_database(self) -> None:
        """Raises CommandError if it does not answer in time."""
        deadline, said = time.monotonic() + DATABASE_WITHIN_S, ""
        while True:
            try:
                connect_for_checks(DEFAULT_DB_ALIAS).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise CommandError(f"The database does not answer: {error}") from error
                if str(error) != said:
                    said = str(error)
                    self._say(f"Waiting for the database: {said}")
                time.sleep(WAIT_S)
            else:
                return

    def _say(self, text: str) -> None:
        """Write a line at once, into a pipe too."""
        self.stdout.write(text)
        self.stdout.flush()

    def _prepare_alone(self, *, demonstrate: bool) -> None:
        """Prepare the database, or wait until another process has migrated it."""
        is_told = False
        while True:
            with single_run("cinema.prepare") as acquired:
                if acquired:
                    self._prepare_database(demonstrate=demonstrate)
                    return
            if not is_told:
                self._say("Another process is preparing the database.")
                is_told = True
            if not missing_migrations():
                return  # it trains the first models, which programs do not need to start
            time.sleep(WAIT_S)

    def _prepare_database(self, *, demonstrate: bool) -> None:
        _migrate()
        if demonstrate:
            self._demonstrate()
        if current_release() is None and Interaction.objects.exists():
            self.stdout.write("Training the models ...")
            # The first start does not wait for a search for better parameters.
            self._attempt(
                "the first training",
                lambda: call_command("train", tuning_budget_s=0, verbosity=0),
            )
            self._attempt("finding viewers of similar taste", match_viewers)
            self._attempt("finding similar films", find_similar_movies)

    def _demonstrate(self) -> None:
        from cinema.development.demonstration import fill_demonstration, is_empty

        if is_empty():
            self.stdout.write("Filling the empty database with a demonstration ...")
            fill_demonstration()

    def _attempt(self, name: str, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception:
            # The programme can be served without it, and beat asks for it again.
            log.exception("%s failed", name)
