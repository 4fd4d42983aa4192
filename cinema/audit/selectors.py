from __future__ import annotations

from django.db.models import QuerySet

from cinema.audit.models import AuditEntry
from cinema.audit.schemas import AuditFilters


def list_entries(filters: AuditFilters) -> QuerySet[AuditEntry]:
    """What was written, the newest first."""
    wanted = filters.model_dump(exclude_none=True)
    for name, lookup in (("since", "at__gte"), ("until", "at__lt")):
        if name in wanted:
            wanted[lookup] = wanted.pop(name)
    return AuditEntry.objects.filter(**wanted)


def history(model: str | None, object_id: int) -> QuerySet[AuditEntry]:
    """What happened to one thing, the newest first; to a film with its screenings."""
    if model == AuditEntry.Model.MOVIE:
        return AuditEntry.objects.filter(movie_id=object_id)
    return AuditEntry.objects.filter(model=model or "", object_id=object_id)
