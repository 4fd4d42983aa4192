"""The office's first page: what is on until tomorrow morning, and what was changed last."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from cinema.audit.models import AuditEntry
from cinema.audit.telling import tell
from movies.days import ONE_DAY, cinema_day, start_of_cinema_day
from movies.models import Screening

MAX_SCREENINGS = 200
MAX_CHANGES = 8


def overview() -> dict[str, Any]:
    today = cinema_day(timezone.now())
    screenings = Screening.objects.filter(
        starts_at__gte=start_of_cinema_day(today),
        starts_at__lt=start_of_cinema_day(today + ONE_DAY),
    )
    return {
        "today": today,
        "screenings": screenings.select_related("movie", "hall")[:MAX_SCREENINGS],
        "told": tell([*AuditEntry.objects.all()[:MAX_CHANGES]]),
    }
