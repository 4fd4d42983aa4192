from __future__ import annotations

import logging
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from cinema.audit.models import AuditEntry
from cinema.locks import single_run

log = logging.getLogger(__name__)


@shared_task(name="audit.prune")
def prune() -> None:
    """Delete entries older than AUDIT_KEEP_DAYS. Safe to deliver twice."""
    with single_run("audit.prune") as acquired:
        if acquired and (pruned := delete_old_entries()):
            log.info("audit log: %d old entries deleted", pruned)


#: Rows deleted by one statement, so that the first run after years holds no lock for long.
PRUNE_BATCH = 10_000


def delete_old_entries() -> int:
    """Delete entries older than AUDIT_KEEP_DAYS; returns their number."""
    end = timezone.now() - timedelta(days=settings.AUDIT_KEEP_DAYS)
    pruned = 0
    while True:
        oldest = (
            AuditEntry.objects.filter(at__lt=end).order_by("at", "id").values("pk")[:PRUNE_BATCH]
        )
        deleted, _ = AuditEntry.objects.filter(pk__in=oldest).delete()
        pruned += deleted
        if deleted < PRUNE_BATCH:
            return pruned
