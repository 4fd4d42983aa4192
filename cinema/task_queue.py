"""Sending tasks to the workers."""

from __future__ import annotations

import logging
from typing import Any

from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError as BrokerAway

log = logging.getLogger(__name__)


def send_task(name: str, *args: Any, **options: Any) -> None:
    """Send a task by its registered name; log a warning while the broker is away.

    The message may be lost, so something else must cause the work to be done: a row that a later
    task looks for, or beat. The name is a string because tasks import the modules that send them.
    `ENABLE_BACKGROUND_JOBS=false` sends nothing, or messages would pile up in the broker.

    Args:
        args: Ids, which may stand in the log.
        options: Options of Celery's `apply_async`, such as `expires`.
    """
    if not settings.ENABLE_BACKGROUND_JOBS:
        log.info("%s is not sent: background jobs are disabled", name)
        return
    try:
        current_app.signature(name, args=args).apply_async(**options)
    except (BrokerAway, OSError) as error:
        ids = ", ".join(map(str, args))
        log.warning("%s(%s) is not sent, the broker is away: %s", name, ids, type(error).__name__)
