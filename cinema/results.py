"""Result records that a task can do without for a moment."""

from __future__ import annotations

import logging
from typing import Any

from django.db import InterfaceError, OperationalError
from django_celery_results.backends import DatabaseBackend

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
        try:
            return super()._store_result(task_id, result, status, traceback, request, using)
        except (OperationalError, InterfaceError) as error:
            log.warning("%s of task %s is not recorded: %s", status, task_id, error)
            return result
