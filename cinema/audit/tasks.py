from __future__ import annotations

import logging

from celery import shared_task

from cinema.audit.models import AuditEntry, kept_since
from cinema.locks import single_run
from cinema.partitions import keep_months

log = logging.getLogger(__name__)


@shared_task(name="audit.prune")
def prune() -> None:
    """Make the log's coming months, and drop those older than AUDIT_KEEP_DAYS.

    Safe to deliver twice.
    """
    with single_run("audit.prune") as acquired:
        if acquired and (dropped := keep_months(AuditEntry.MONTHS, since=kept_since())):
            log.info("audit log: old months dropped: %s", ", ".join(dropped))
