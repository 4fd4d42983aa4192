from __future__ import annotations

from django.db import connection
from django.db.models import Model


def hold_writes(model: type[Model]) -> None:
    """Let nobody else write to the model's table until this transaction ends; all may read it.

    For what no row lock can guard: a row that is not there yet.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {model._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")
