"""Guards of operations: `signed_in`, `staff` and `anyone`.

`users`, which knows the tokens, registers the function that reads them, so that no app has to
import another one to protect its operations.
"""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, PermissionsMixin
from django.http import HttpRequest
from ninja.security import HttpBearer

from cinema.errors import Forbidden, Unauthorized
from cinema.http import bearer_token
from cinema.throttling.limits import count_for_account

TokenReader = Callable[[str], AbstractBaseUser | None]
_readers: list[TokenReader] = []


def register_token_reader(reader: TokenReader) -> None:
    """Set the function that finds a token's user; an app calls this in `AppConfig.ready`."""
    _readers[:] = [reader]


def token_user(token: str) -> AbstractBaseUser | None:
    """The user of a valid access token whose session has not ended."""
    return _readers[0](token)


class SignedIn(HttpBearer):
    """A viewer or a member of staff: `request.auth` is the user."""

    openapi_bearerFormat = "JWT"  # noqa: N815 - django-ninja's name

    def __call__(self, request: HttpRequest) -> AbstractBaseUser | AnonymousUser | None:
        if token := bearer_token(request):
            return self.authenticate(request, token)
        return self.without_token(request)

    def without_token(self, request: HttpRequest) -> AnonymousUser | None:
        raise Unauthorized("Sign in first: send the access token as `Authorization: Bearer …`.")

    def authenticate(self, request: HttpRequest, token: str) -> AbstractBaseUser | None:
        user = token_user(token)
        if user is None:
            raise Unauthorized("This access token is invalid or has expired.")
        count_for_account(request, user)
        request.user = user  # type: ignore[assignment]  # `users` defines the only class
        return user


class Staff(SignedIn):
    """A member of staff."""

    def authenticate(self, request: HttpRequest, token: str) -> AbstractBaseUser | None:
        user = super().authenticate(request, token)
        if not isinstance(user, PermissionsMixin) or not getattr(user, "is_staff", False):
            raise Forbidden("Only staff may do this.")
        return user


class Anyone(SignedIn):
    """Signed-in callers may see more; a bad token is still refused."""

    def without_token(self, request: HttpRequest) -> AnonymousUser:
        request.user = AnonymousUser()
        return request.user


signed_in = SignedIn()
staff = Staff()
anyone = Anyone()


def is_staff(request: HttpRequest) -> bool:
    """Whether the caller of an operation for `anyone` is a member of staff."""
    return bool(getattr(request.user, "is_staff", False))
