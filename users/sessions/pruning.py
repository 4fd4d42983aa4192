"""Rows that are of no use any more: ended sessions, and refresh tokens whose time is over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from users.models import RefreshToken, Session

#: Deleted at once, so that a first clearing after years holds no lock for long.
BATCH = 2_000


def prune(*, now: datetime | None = None) -> dict[str, int]:
    """Delete expired refresh tokens, and sessions that have ended SESSIONS_KEPT_DAYS ago.

    Returns:
        How many of each were deleted.
    """
    now = now or timezone.now()
    end = now - timedelta(days=settings.SESSIONS_KEPT_DAYS)
    sessions = Session.objects.all()
    return {
        "refresh tokens": _delete(RefreshToken.objects.filter(expires_at__lt=now)),
        # One index each; a query with an `or` would use none.
        "sessions": _delete(sessions.filter(expires_at__lt=end))
        + _delete(sessions.filter(revoked_at__lt=end)),
    }


def _delete(rows: QuerySet[Any]) -> int:
    """In batches; what somebody is writing at the moment is left for the next time."""
    deleted = 0
    while True:
        with transaction.atomic():
            held = rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:BATCH]
            batch = [*held]
            rows.model._default_manager.filter(pk__in=batch).delete()
        deleted += len(batch)
        if len(batch) < BATCH:
            return deleted
