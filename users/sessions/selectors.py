from __future__ import annotations

from django.db.models import Q, QuerySet
from django.utils import timezone

from users.models import Session, User


def standing() -> Q:
    """What holds for the sessions that have not ended."""
    return Q(revoked_at=None, expires_at__gt=timezone.now())


def list_sessions(*, user: User) -> QuerySet[Session]:
    """Those that stand, the one used last first, each with whether the caller speaks from it."""
    current = user.session.pk if user.session else 0
    return (
        Session.objects.filter(standing(), user=user)
        .annotate(is_current=Q(pk=current))
        .order_by("-last_used_at", "-pk")
    )
