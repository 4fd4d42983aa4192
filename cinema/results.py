"""Result records that a task can do without for a moment."""

from __future__ import annotations

import logging
from typing import Any

from django.db import InterfaceError, OperationalError
from django_celery_results.backends import DatabaseBackend

from cinema.logs import without_values

log = logging.getLogger(__name__)


class ForgivingDatabaseBackend(DatabaseBackend):  # type: ignore[misc]  # untyped
    """Goes on when a record cannot be written.

    Celery lets such an error end the greenlet before the message is acknowledged: after some
    minutes without Postgres no place of the worker would be left.
    """

    def _store_result(
        self,
        task_id: str,
        result: Any,
        status: str,
        traceback: str | None = None,
        request: Any = None,
        using: str | None = None,
    ) -> Any:
        told = traceback and without_values(traceback)
        try:
            return super()._store_result(task_id, _told(result), status, told, request, using)
        except (OperationalError, InterfaceError) as error:
            log.warning("%s of task %s is not recorded: %s", status, task_id, error)
            return result


def _told(result: Any) -> Any:
    """A failure without what the database said of the row that it refused."""
    if isinstance(result, dict) and "exc_message" in result:
        return {**result, "exc_message": without_values(str(result["exc_message"]))}
    return result
