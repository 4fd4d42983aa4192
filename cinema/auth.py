"""Guards of operations: `signed_in`, `staff` and `anyone`.

The token is read by the authentication backend of `users`, through Django's `authenticate`, so that
no app has to import another one to protect its operations.
"""

from __future__ import annotations

from django.contrib.auth import authenticate
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, PermissionsMixin
from django.http import HttpRequest
from ninja.security import HttpBearer

from cinema.errors import Forbidden, Unauthorized
from cinema.http import bearer_token
from cinema.throttling.limits import count_for_account


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
        user = authenticate(request, access_token=token)
        if user is None:
            raise Unauthorized("This access token is not valid, or no longer.")
        count_for_account(request, user)
        request.user = user
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
        return AnonymousUser()


signed_in = SignedIn()
staff = Staff()
anyone = Anyone()


def is_staff(request: HttpRequest) -> bool:
    """Whether the caller of an operation for `anyone` is a member of staff."""
    return bool(getattr(request.user, "is_staff", False))
