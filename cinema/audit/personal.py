from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Q

from cinema.audit.models import AuditEntry


class AuditEntries:
    """What somebody wrote as a member of staff, and what staff wrote of somebody's account."""

    name = "audit_log"

    def export(self, user: AbstractBaseUser) -> Iterator[Mapping[str, Any]]:
        """Without who else it was: that is somebody else's."""
        by, about = Q(user_id=user.pk), Q(model=AuditEntry.Model.USER, object_id=user.pk)
        about |= Q(model=AuditEntry.Model.SESSION, before__user_id=user.pk)
        factor = Q(model=AuditEntry.Model.SECOND_FACTOR)
        about |= factor & (Q(before__user_id=user.pk) | Q(after__user_id=user.pk))
        for entry in AuditEntry.objects.filter(by | about).order_by("id").iterator():
            yield {
                "at": entry.at,
                "by_you": entry.user_id == user.pk,
                "what": f"{entry.get_model_display()} {entry.object_id}",
                "action": entry.get_action_display(),
                "before": entry.before,
                "after": entry.after,
                "via": entry.get_via_display(),
                "path": entry.path,
                "request_id": entry.request_id,
            }

    def erase(self, user: AbstractBaseUser) -> None:
        """The log stays: it holds a number, which says nothing of anybody any more."""
