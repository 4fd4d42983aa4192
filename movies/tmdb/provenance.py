"""Who writes a film: TMDb or the office."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

#: What their terms want to stand wherever their data are shown, word for word.
ATTRIBUTION = (
    "This product uses TMDB and the TMDB APIs but is not endorsed, certified, or otherwise "
    "approved by TMDB."
)


@contextmanager
def tmdb_writes() -> Iterator[None]:
    """A transaction in which films are written from TMDb's data.

    What anybody else writes into a film counts as edited by the office, and triggers take it off
    the film's `tmdb_fields` (`migrations/0002_provenance.py`).
    """
    with transaction.atomic():
        _say("yes")
        yield
        _say("no")  # for what else follows in an outer transaction; a rollback takes it back


def _say(answer: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('cinema.tmdb_is_writing', %s, true)", [answer])
