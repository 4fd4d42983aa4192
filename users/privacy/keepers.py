"""Who keeps something of a viewer where no foreign key shows it.

Apps that this one does not know register what they keep by PERSONAL_DATA_KEEPERS in
`cinema/settings.py`, as Django's authentication backends are registered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

from users.models import User


class Keeper(Protocol):
    #: Its key in the export.
    name: str

    def export(self, user: User) -> Iterable[Mapping[str, Any]]:
        """What is kept, row by row. Within the export's transaction, which only reads."""

    def erase(self, user: User) -> None:
        """Forget it. Within the transaction that erases the viewer, and before the viewer's rows
        go; what is no part of the database, after its commit.
        """


@cache
def keepers() -> list[Keeper]:
    return [import_string(path)() for path in settings.PERSONAL_DATA_KEEPERS]
