"""The sessions of the admin site, which are Django's own."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session

from users.models import User


def admin_sessions(user: User) -> Iterator[Session]:
    """All sessions are decoded: there are as many as staff have signed in lately."""
    for session in Session.objects.order_by("expire_date").iterator():
        if session.get_decoded().get(SESSION_KEY) == str(user.pk):
            yield session


def end_admin_sessions(user: User, *, besides: str | None = None) -> None:
    """End the user's sessions except for the one with the key `besides`."""
    keys = [session.pk for session in admin_sessions(user) if session.pk != besides]
    Session.objects.filter(pk__in=keys).delete()
