from __future__ import annotations

import logging

from celery import shared_task

from cinema.locks import single_run
from users.sessions import pruning

log = logging.getLogger(__name__)


@shared_task(name="users.prune_sessions")
def prune_sessions() -> None:
    """Delete expired tokens and sessions that ended long ago. Safe to deliver twice."""
    with single_run("users.prune_sessions") as acquired:
        if acquired and any((pruned := pruning.prune()).values()):
            log.info("deleted: %s", ", ".join(f"{n} {what}" for what, n in pruned.items()))
