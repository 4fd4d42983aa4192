"""The erasure of an account, by the viewer or by staff in the admin site."""

from __future__ import annotations

import logging
from functools import partial

from django.db import IntegrityError, OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected, LockNotAvailable

from cinema.locks import retry_at_once
from movies import catalogue
from users.errors import LastSuperuser
from users.models import Playlist, User
from users.passwords import confirm_password
from users.personal_data import personal_data_sources

log = logging.getLogger(__name__)

#: Shorter than Postgres waits before it ends a deadlock by failing one of the two: so the erasure
#: fails and is repeated, and no other request fails.
LOCK_TIMEOUT = "300ms"


def erase_account(*, user: User, password: str) -> None:
    """Erase the viewer who asks for it.

    Raises:
        WrongPassword: The caller may hold the viewer's phone, but is not the viewer.
        LastSuperuser: As in `erase`.
    """
    confirm_password(user, password)
    erase(user_id=user.pk)


def _collides(error: Exception) -> bool:
    """Whether a request of the viewer from another device got in the way of the erasure."""
    return isinstance(error, IntegrityError) or (
        isinstance(error, OperationalError)
        and isinstance(error.__cause__, DeadlockDetected | LockNotAvailable)
    )


@retry_at_once(_collides, attempts=20)
@transaction.atomic
def erase(*, user_id: int) -> None:
    """Delete an account and all that belongs to it. A second call does nothing.

    The count and the average of the movies' ratings stay, as they identify no person.

    Raises:
        LastSuperuser: No other account may appoint staff.
    """
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        return
    _set_lock_timeout(LOCK_TIMEOUT)
    if user.is_superuser:
        _check_others_are_left(user)
    for source in personal_data_sources():
        source.erase(user)
    # The lock that all writers of the viewer's rows take: `users.auth.lock_viewer`.
    User.objects.select_for_update().filter(pk=user_id).first()
    shows_lists = Playlist.objects.filter(user=user, is_public=True).exists()
    user.delete()
    # Rows added meanwhile fail here and not at the commit, which may be a caller's.
    connection.check_constraints()
    _set_lock_timeout("0")
    # After a backup is restored, the log says whom to erase again: docs/accounts.md.
    transaction.on_commit(partial(log.info, "viewer %d is erased", user_id))
    if shows_lists:
        catalogue.raise_version()


def _check_others_are_left(user: User) -> None:
    """Check under a lock: of two superusers erased at once, the second is the last one."""
    superusers = User.objects.select_for_update().filter(is_superuser=True, is_active=True)
    left = set(superusers.order_by("pk").values_list("pk", flat=True))
    if left == {user.pk}:
        raise LastSuperuser


def _set_lock_timeout(limit: str) -> None:
    """Set the limit for this transaction, which may be a caller's and go on."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [limit])
