"""General limits of whoever is signed in, by account."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest

from cinema.throttling.addresses import client_address, is_exempt
from cinema.throttling.errors import TooManyRequests
from cinema.throttling.metering import meter
from cinema.throttling.rates import Rate

_CHARGED = "cinema.throttling.account"


def charge_account(request: HttpRequest, user: AbstractBaseUser) -> None:
    """Count the request for its viewer, once.

    Raises:
        TooManyRequests: The viewer has made too many.
    """
    account = str(user.pk)
    if request.META.get(_CHARGED) == account:
        return
    request.META[_CHARGED] = account
    if is_exempt(client_address(request)):
        return
    is_staff = getattr(user, "is_staff", False)
    rate: Rate | None = settings.THROTTLE_STAFF if is_staff else settings.THROTTLE_VIEWER
    if rate and (wait_s := meter.take(rate, "account", account)) > 0:
        raise TooManyRequests(wait_s)


def account_charged(request: HttpRequest) -> str:
    """The viewer for whom the request was counted; empty if there is none yet."""
    return str(request.META.get(_CHARGED, ""))
