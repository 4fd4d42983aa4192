from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from cinema.audit.models import AuditEntry

#: Deleted at once, so that a first clearing after years holds no lock for long.
BATCH = 10_000


def prune() -> int:
    """Delete what is older than AUDIT_KEEP_DAYS; returns how many entries."""
    end = timezone.now() - timedelta(days=settings.AUDIT_KEEP_DAYS)
    pruned = 0
    while True:
        oldest = AuditEntry.objects.filter(at__lt=end).order_by("at", "id").values("pk")[:BATCH]
        deleted, _ = AuditEntry.objects.filter(pk__in=oldest).delete()
        pruned += deleted
        if deleted < BATCH:
            return pruned
