"""Rate limits by address and by account: general ones, and exact ones of single operations."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, UnreadablePostError
from email_validator import EmailNotValidError, validate_email
from ninja.throttling import BaseThrottle

from cinema.errors import ApiError, database_away
from cinema.http import bearer_token, json_body
from cinema.metrics.counters import throttled_requests
from cinema.schemas import CONTROLS
from cinema.throttling import counters
from cinema.throttling.counters import Rate, hidden_name, whole_seconds

GetResponse = Callable[[HttpRequest], HttpResponseBase]

#: Health probes and Prometheus must get through. A page shows many posters at once, and media has
#: its own limit.
EXEMPT_PATHS = ("/health", "/api/v1/health", "/metrics", "/media/", "/static/")
#: All callers without an address, such as those over a unix socket, count as one.
UNKNOWN = "unknown"
#: A household or a server gets a network of this size: who has one address of it has all.
IPV6_PREFIX = 64
#: No address with its port and its zone is longer.
MAX_ADDRESS_LENGTH = 100
#: No e-mail address is longer.
MAX_EMAIL_LENGTH = 600

_COUNTED_ACCOUNT = "cinema.throttling.account"


class TooManyRequests(ApiError):
    """The request was refused before any work. The response says when to come back."""

    status = 429

    def __init__(self, wait_s: float, what: str = "requests") -> None:
        self.wait_s = whole_seconds(wait_s)
        seconds = "second" if self.wait_s == 1 else "seconds"
        super().__init__(f"Too many {what}. Try again in {self.wait_s} {seconds}.")

    def response(self) -> HttpResponse:
        response = super().response()
        response["Retry-After"] = str(self.wait_s)
        return response


# --- all requests


def throttle(
    request: HttpRequest,
    get_response: GetResponse,
    token_user: Callable[[str], AbstractBaseUser | None],
) -> HttpResponseBase:
    """Count a request for its address or account, and refuse it beyond the general limit.

    `cinema.auth` counts a request with a token for the account, once it has read the token. If no
    operation reads the token, or the token is not valid, the request counts for the address. Once
    the address has used up its limit, the token is read here, before it costs anything else.
    """
    rate: Rate | None = settings.THROTTLE_ANONYMOUS
    address = client_address(request)
    if rate is None or request.path.startswith(EXEMPT_PATHS) or is_exempt(address):
        return get_response(request)
    token = bearer_token(request)
    try:
        if not token:
            _count(rate, "address", address)
        elif (wait_s := counters.requests.wait_s(rate, "address", address)) > 0:
            user = token_user(token)
            if user is None:
                throttled_requests.labels("address").inc()
                raise TooManyRequests(wait_s)
            count_for_account(request, user)
    except TooManyRequests as refusal:
        return refusal.response()
    except (OperationalError, InterfaceError):
        return database_away()
    response = get_response(request)
    if token and not _counted_account(request):
        counters.requests.take_in_batches(rate, "address", address)
    return response


def count_alone(path: str, address: str) -> bool:
    """Count a request without a token, unless that needs Valkey or refuses the request."""
    rate: Rate | None = settings.THROTTLE_ANONYMOUS
    if rate is None or path.startswith(EXEMPT_PATHS) or is_exempt(address):
        return True
    return counters.requests.take_alone(rate, "address", address)


def count_for_account(request: HttpRequest, user: AbstractBaseUser) -> None:
    """Count the request for its account, once.

    Raises:
        TooManyRequests: The account is beyond its general limit.
    """
    account = str(user.pk)
    if _counted_account(request) == account:
        return
    request.META[_COUNTED_ACCOUNT] = account
    is_staff = getattr(user, "is_staff", False)
    rate: Rate | None = settings.THROTTLE_STAFF if is_staff else settings.THROTTLE_VIEWER
    if rate and not is_exempt(client_address(request)):
        _count(rate, "account", account)


def _counted_account(request: HttpRequest) -> str:
    """The account for which the request was counted; empty if there is none yet."""
    return str(request.META.get(_COUNTED_ACCOUNT, ""))


def _count(rate: Rate, kind: str, caller: str) -> None:
    if (wait_s := counters.requests.take_in_batches(rate, kind, caller)) > 0:
        throttled_requests.labels(kind).inc()
        raise TooManyRequests(wait_s)


# --- single operations


class Limit(BaseThrottle):
    """An exact limit of an operation: for each address and for each account.

    Operations with the same setting share their counts. The account is the one that is signed in,
    or else the one whose `email` is in the body.

    Args:
        setting: The name of a setting, a `Rate` or None for no limit.
        when: Selects the requests that count.
    """

    def __init__(
        self, setting: str, *, when: Callable[[HttpRequest], bool] = lambda request: True
    ) -> None:
        self._setting = setting
        self._when = when

    def take(self, request: HttpRequest) -> None:
        """Count a request.

        Raises:
            TooManyRequests: The limit is reached; the request was not counted.
        """
        rate: Rate | None = getattr(settings, self._setting)
        if rate is None or not self._when(request):
            return
        address = client_address(request)
        names = [hidden_name(self._setting, "address", address)]
        account = _counted_account(request) or account_in_body(request)
        if account and self.counts_account(account, address):
            names.append(hidden_name(self._setting, "account", account))
        if (wait_s := counters.take(rate, names)) > 0:
            throttled_requests.labels(self._setting.removeprefix("THROTTLE_").lower()).inc()
            raise TooManyRequests(wait_s)

    def counts_account(self, account: str, address: str) -> bool:
        """Whether a request from the address counts for the account too."""
        return True

    def allow_request(self, request: HttpRequest) -> bool:
        """Django Ninja's hook. `cinema.api.on_refusal` turns the exception into a response."""
        self.take(request)
        return True


def account_in_body(request: HttpRequest) -> str:
    """The `email` of the body, as `account_of` spells it; empty if there is none."""
    try:
        payload = json_body(request)
    except (ApiError, ValueError, RecursionError, RequestDataTooBig, UnreadablePostError):
        return ""  # The operation reads the same body, and refuses it.
    email = payload.get("email") if isinstance(payload, dict) else None
    return account_of(email) if isinstance(email, str) else ""


def account_of(email: str) -> str:
    """One name for all spellings that sign in to one account, whether or not it exists.

    It applies the rules of a payload's `Line` and of `users.addresses`: a spelling that finds the
    account but counts as another name would evade the limits.
    """
    text = CONTROLS.sub("", email)[:MAX_EMAIL_LENGTH].strip()
    with suppress(EmailNotValidError):
        text = validate_email(text, check_deliverability=False).normalized
    return unicodedata.normalize("NFKC", text).strip().casefold()


# --- addresses


def client_address(request: HttpRequest) -> str:
    """The address of the caller; of IPv6 the network."""
    given = request.META
    return address_of(given.get("REMOTE_ADDR", ""), given.get("HTTP_X_FORWARDED_FOR", ""))


def address_of(peer: str, forwarded_for: str) -> str:
    """The address of the caller behind a peer; of IPv6 the network.

    Each proxy appends to `X-Forwarded-For` the address it was called from. So the last NUM_PROXIES
    entries are ours, and the caller may have invented those before them. A request with fewer
    entries did not come through the proxies; its peer is the caller.
    """
    if proxies := settings.NUM_PROXIES:
        entries = forwarded_for.rsplit(",", proxies)
        if len(entries) >= proxies and (address := _normal(entries[-proxies])):
            return address
    return _normal(peer) or UNKNOWN


def is_exempt(address: str) -> bool:
    """Whether the general limits leave this address out; of IPv6 any of its /64."""
    return _is_within(address, settings.THROTTLE_EXEMPT)


@lru_cache(maxsize=4096)
def _is_within(address: str, networks: tuple[str, ...]) -> bool:
    if address == UNKNOWN:
        return False
    network = ip_network(address)
    return any(
        network.version == each.version and network.overlaps(each)
        for each in map(ip_network, networks)
    )


def _normal(text: str) -> str:
    """The one spelling of an address; empty if the text is none."""
    return _normal_short(text.strip()) if len(text) <= MAX_ADDRESS_LENGTH else ""


@lru_cache(maxsize=4096)
def _normal_short(text: str) -> str:
    for candidate in (text, _without_port(text)):
        with suppress(ValueError):
            address = ip_address(candidate)
            if not isinstance(address, IPv6Address):
                return str(address)
            if address.ipv4_mapped:
                return str(address.ipv4_mapped)
            return str(IPv6Network((int(address), IPV6_PREFIX), strict=False))
    return ""


def _without_port(text: str) -> str:
    """Some proxies write `192.0.2.1:80` and `[2001:db8::1]:80`."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, _, port = text.partition(":")
    return host if port.isdecimal() else ""
