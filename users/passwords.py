"""What a password has to be, and whether one is the viewer's."""

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
from users.errors import TooManyPasswords, WeakPassword, WrongPassword
from users.models import User


class NotTheCinemasName:
    """For AUTH_PASSWORD_VALIDATORS: whoever guesses begins with the name on the door."""

    #: A password needs so many characters besides.
    REST = 6

    def validate(self, password: str, user: User | None = None) -> None:
        for name in _names_of_the_cinema():
            letters = _letters(password)
            if name in letters and len(letters.replace(name, "")) < self.REST:
                raise ValidationError(self.get_help_text(), code="password_too_local")

    def get_help_text(self) -> str:
        return "The password is little more than the name of this cinema."


def _names_of_the_cinema() -> set[str]:
    host = (urlsplit(settings.PUBLIC_URL).hostname or "").split(".")
    names = {_letters(name) for name in (settings.CINEMA_NAME, settings.CINEMA_CITY, *host)}
    return {name for name in names if len(name) >= 4}


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()


def set_password(user: User, password: str, *, field: str = "password") -> None:
    """Give the account, which is not saved here, a password that Django's validators accept.

    Raises:
        WeakPassword: They do not; `field` of the payload is named.
    """
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise WeakPassword(" ".join(error.messages), field=field) from error
    user.set_password(password)


def confirm_password(user: User, password: str, *, field: str = "password") -> None:
    """Make sure that whoever holds the viewer's token knows the viewer's password, too.

    Raises:
        WrongPassword: They do not; `field` of the payload is named.
        TooManyAttempts: After too many wrong ones; this one was not looked at.
    """
    # Not by the method of the user, which may make the hash anew: that would end the sessions.
    if not check_confirmation(lambda: check_password(password, user.password), viewer_id=user.pk):
        raise WrongPassword(field)


#: Of one process.
AT_ONCE = 2
#: Threads that may wait for a turn. The other threads of the web stay free for other requests.
WAITING = max(1, settings.WEB_THREADS // 2)

_turns = BoundedSemaphore(AT_ONCE)
_places = BoundedSemaphore(AT_ONCE + WAITING)


@contextmanager
def _turn() -> Iterator[None]:
    """Wait for one of `AT_ONCE` turns.

    Raises:
        TooManyPasswords: `WAITING` threads wait already.
    """
    if not _places.acquire(blocking=False):
        raise TooManyPasswords
    try:
        with _turns:
            yield
    finally:
        _places.release()


class Argon2(Argon2PasswordHasher):
    """Django's hasher, with a bounded queue: a hash takes 100 MB and all cores for a tenth of a
    second, so more at once would gain nothing (0029) and could take all memory of a small server.
    """

    def encode(self, password: str, salt: str) -> str:
        with _turn():
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _turn():
            return super().verify(password, encoded)
