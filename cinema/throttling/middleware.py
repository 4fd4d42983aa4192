"""General limits of whoever is not signed in, by address."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import authenticate
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponseBase

from cinema.auth import bearer_token
from cinema.errors import database_away
from cinema.throttling.accounts import account_charged, charge_account
from cinema.throttling.addresses import client_address, is_exempt
from cinema.throttling.errors import TooManyRequests
from cinema.throttling.metering import meter
from cinema.throttling.rates import Rate

GetResponse = Callable[[HttpRequest], HttpResponseBase]

#: Probes must get through. A page shows many posters at once, and serving has a limit of its own.
EXEMPT_PATHS = ("/health", "/api/v1/health", "/media/", "/static/")


def throttle(get_response: GetResponse) -> GetResponse:
    """Refuse what is too much, before anything is done for it.

    A request with a token is its viewer's, and `cinema.auth` counts it when it has read the token.
    Some operations look at none, and some tokens are good for nothing: these count for the
    address. Once that has used up its limit, a token is read here, before it costs anything else.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        rate: Rate | None = settings.THROTTLE_ANONYMOUS
        address = client_address(request)
        if rate is None or request.path.startswith(EXEMPT_PATHS) or is_exempt(address):
            return get_response(request)
        token = bearer_token(request)
        try:
            if not token:
                _charge(rate, address)
            elif (wait_s := meter.wait_s(rate, "address", address)) > 0:
                _charge_holder(request, token, wait_s)
        except TooManyRequests as refusal:
            return refusal.response()
        except (OperationalError, InterfaceError):
            return database_away()
        response = get_response(request)
        if token and not account_charged(request):
            meter.take(rate, "address", address)
        return response

    return middleware


def _charge(rate: Rate, address: str) -> None:
    if (wait_s := meter.take(rate, "address", address)) > 0:
        raise TooManyRequests(wait_s)


def _charge_holder(request: HttpRequest, token: str, wait_s: float) -> None:
    user = authenticate(request, access_token=token)
    if user is None:
        raise TooManyRequests(wait_s)
    charge_account(request, user)
