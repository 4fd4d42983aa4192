from __future__ import annotations

from django.db.models import QuerySet

from users.history.schemas import ViewingFilters
from users.models import User, Viewing


def list_viewings(user: User, filters: ViewingFilters) -> QuerySet[Viewing]:
    """With their films, the latest first. Those of withdrawn films wait until these come back."""
    viewings = Viewing.objects.filter(user=user, movie__withdrawn_at=None)
    if filters.movie_id is not None:
        viewings = viewings.filter(movie_id=filters.movie_id)
    if filters.checked_in is not None:
        viewings = viewings.filter(checked_in=filters.checked_in)
    if filters.watched_from is not None:
        viewings = viewings.filter(watched_at__gte=filters.watched_from)
    if filters.watched_before is not None:
        viewings = viewings.filter(watched_at__lt=filters.watched_before)
    rows = viewings.select_related("movie").prefetch_related("movie__genres")
    return rows.order_by("-watched_at", "-id")
