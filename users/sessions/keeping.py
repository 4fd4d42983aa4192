"""What the trigger that ends a viewer's sessions with their password is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

#: In the place of a session's id.
EVERY = "*"


@contextmanager
def sessions_kept(which: int | str = EVERY) -> Iterator[None]:
    """A password that is written within ends no session, or all but the one with this id.

    In a transaction that goes on afterwards, the next password ends them again.
    """
    with transaction.atomic():
        _tell(str(which))
        yield
        _tell("")


def _tell(kept: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('cinema.session', %s, true)", [kept])
