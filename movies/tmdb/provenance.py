"""Attribution of TMDb's data, and the marker of the transactions that write them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

#: TMDb's terms require this sentence wherever their data are shown.
ATTRIBUTION = (
    "This product uses TMDB and the TMDB APIs but is not endorsed, certified, or otherwise "
    "approved by TMDB."
)


@contextmanager
def tmdb_writes() -> Iterator[None]:
    """Open a transaction that writes TMDb's data into movies.

    In any other transaction a trigger removes the written fields from the movie's `tmdb_fields`
    (`migrations/0002_provenance.py`).
    """
    with transaction.atomic():
        _say("yes")
        yield
        _say("no")  # an outer transaction may go on; a rollback resets it


def _say(answer: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('cinema.tmdb_is_writing', %s, true)", [answer])
