from __future__ import annotations

import logging

from celery import shared_task

from cinema.audit import services
from cinema.locks import single_run

log = logging.getLogger(__name__)


@shared_task(name="audit.prune")
def prune() -> None:
    """Forget what is older than AUDIT_KEEP_DAYS. Safe to deliver twice."""
    with single_run("audit.prune") as acquired:
        if acquired and (pruned := services.prune()):
            log.info("audit log: %d old entries deleted", pruned)
