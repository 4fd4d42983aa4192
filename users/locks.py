"""What belongs to one viewer is written by one request at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import IntegrityError

from cinema.errors import Unauthorized
from users.models import User

P = ParamSpec("P")
T = TypeVar("T")

#: Of a transaction that names what others delete.
ATTEMPTS = 3


def lock_viewer(user: User) -> None:
    """Hold off others who write what belongs to the viewer, until the transaction ends.

    So a limit is kept to and a change is made whole. Most of these writes take the lock anyway, by
    the trigger that raises `taste_version`; taken first, two of them cannot wait for each other.

    Raises:
        Unauthorized: The account was deleted since the request began.
    """
    locked = User.objects.select_for_update(no_key=True).filter(pk=user.pk)
    if locked.values_list("pk", flat=True).first() is None:
        raise Unauthorized("This account exists no longer.")


def retry_if_deleted(write: Callable[P, T]) -> Callable[P, T]:
    """Make the transaction anew if what it refers to was deleted before its commit.

    The next attempt finds it gone, and says so as it would have at first.
    """

    @wraps(write)
    def attempts(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(ATTEMPTS - 1):
            try:
                return write(*args, **kwargs)
            except IntegrityError:
                continue
        return write(*args, **kwargs)

    return attempts
