"""Passwords: their hashes, their rules, and the confirmation of a viewer's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher, check_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from cinema.throttling.lockout import check_confirmation
from cinema.web.threads import give_way
from users.errors import TooManyPasswords, WeakPassword, WrongPassword
from users.models import User

#: Hashes computed at once by one process.
AT_ONCE = 2
#: Threads that may wait for a turn, such as those of an audience that signs in before a film. Each
#: has a successor, which serves other requests.
WAITING = 48

_turns = BoundedSemaphore(AT_ONCE)
_places = BoundedSemaphore(AT_ONCE + WAITING)


@contextmanager
def _hashing_place() -> Iterator[None]:
    """Wait for one of `AT_ONCE` turns, without holding a web thread or a connection to Postgres.

    Raises:
        TooManyPasswords: `WAITING` threads wait already.
    """
    if not _places.acquire(blocking=False):
        raise TooManyPasswords
    try:
        give_way()
        with _turns:
            yield
    finally:
        _places.release()


class Argon2(Argon2PasswordHasher):
    """Django's hasher with a bounded queue.

    A hash takes 100 MB and all cores for a tenth of a second. More at once would gain nothing, and
    could take all memory of a small server.
    """

    def encode(self, password: str, salt: str) -> str:
        with _hashing_place():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _hashing_place():
            return super().verify(password, encoded)


class NotTheCinemasName:
    """A password validator against the name of the cinema, which attackers try first."""

    #: A password needs this many characters besides the name.
    REST = 6

    def validate(self, password: str, user: User | None = None) -> None:
        for name in _cinema_names():
            letters = _letters(password)
            if name in letters and len(letters.replace(name, "")) < self.REST:
                raise ValidationError(self.get_help_text(), code="password_too_local")

    def get_help_text(self) -> str:
        return "The password is little more than the name of this cinema."


def _cinema_names() -> set[str]:
    host = (urlsplit(settings.PUBLIC_URL).hostname or "").split(".")
    names = {_letters(name) for name in (settings.CINEMA_NAME, settings.CINEMA_CITY, *host)}
    return {name for name in names if len(name) >= 4}


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()


def set_password(user: User, password: str, *, field: str = "password") -> None:
    """Set a password that Django's validators accept. The account is not saved.

    Args:
        field: The field of the payload that an error names.

    Raises:
        WeakPassword: The validators refuse the password.
    """
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise WeakPassword(" ".join(error.messages), field=field) from error
    user.set_password(password)


def confirm_password(user: User, password: str, *, field: str = "password") -> None:
    """Check the password of a signed-in viewer, as the token may be in other hands.

    Args:
        field: The field of the payload that an error names.

    Raises:
        WrongPassword: The password is not the viewer's.
        TooManyAttempts: There were too many wrong ones; this one was not checked.
    """
    # The method of the user may rehash the password, which would end the sessions.
    if not check_confirmation(lambda: check_password(password, user.password), viewer_id=user.pk):
        raise WrongPassword(field)
