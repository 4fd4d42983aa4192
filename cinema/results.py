"""The result backend: records of tasks that a short absence of Postgres does not stop."""

from __future__ import annotations

import logging
from typing import Any

from django.db import InterfaceError, OperationalError
from django_celery_results.backends import DatabaseBackend

from cinema.logs import without_values

log = logging.getLogger(__name__)


class ForgivingDatabaseBackend(DatabaseBackend):  # type: ignore[misc]  # untyped
    """Continues when a record cannot be written.

    In Celery such an error ends the greenlet before the message is acknowledged: after some
    minutes without Postgres the worker would have no free place left.
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
        shown = traceback and without_values(traceback)
        try:
            result = _without_values(result)
            return super()._store_result(task_id, result, status, shown, request, using)
        except (OperationalError, InterfaceError) as error:
            log.warning("%s of task %s is not recorded: %s", status, task_id, error)
            return result


def _without_values(result: Any) -> Any:
    """A failure without the values that the database repeats of a row that it refused."""
    if isinstance(result, dict) and "exc_message" in result:
        return {**result, "exc_message": without_values(str(result["exc_message"]))}
    return result
