"""Limits of single operations, tighter than those of all: exact, and over all processes."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, UnreadablePostError
from email_validator import EmailNotValidError, validate_email
from ninja.throttling import BaseThrottle

from cinema.errors import ApiError, database_away
from cinema.http import bearer_token, json_body
from cinema.schemas import CONTROLS
from cinema.throttling import counters
from cinema.throttling.counters import Rate, hidden_name, request_counters, whole_seconds

_wait_s: ContextVar[float] = ContextVar("wait_s", default=1.0)


class Limit(BaseThrottle):
    """At most so many calls: from an address, and of an account, each.

    Operations with the same setting share what they count. The account is the one that is signed
    in, and where nobody is, the one that the body names by its `email`.

    Args:
        setting: The name of a `Rate`, or of None for no limit.
        when: Which requests it is for.
    """

    def __init__(
        self, setting: str, *, when: Callable[[HttpRequest], bool] = lambda request: True
    ) -> None:
        self._setting = setting
        self._when = when

    def take(self, request: HttpRequest) -> None:
        """Count a request.

        Raises:
            TooManyRequests: The limit is reached; it was not counted.
        """
        rate: Rate | None = getattr(settings, self._setting)
        if rate is None or not self._when(request):
            return
        if (wait_s := counters.take_exactly(rate, self._names(request))) > 0:
            raise TooManyRequests(wait_s)

    def allow_request(self, request: HttpRequest) -> bool:
        """For Django Ninja, which asks `wait` next, in the same thread."""
        try:
            self.take(request)
        except TooManyRequests as refusal:
            _wait_s.set(refusal.wait_s)
            return False
        return True

    def wait(self) -> float:
        return _wait_s.get()

    def _names(self, request: HttpRequest) -> list[str]:
        account = counted_account(request) or account_in_body(request)
        return [
            hidden_name(self._setting, "address", client_address(request)),
            *([hidden_name(self._setting, "account", account)] if account else []),
        ]


def account_in_body(request: HttpRequest) -> str:
    """The `email` of the body, as `account_of` has it; empty if it has none."""
    try:
        payload = json_body(request)
    except (ApiError, ValueError, RecursionError, RequestDataTooBig, UnreadablePostError):
        return ""  # the operation reads the same, and refuses it
    email = payload.get("email") if isinstance(payload, dict) else None
    return account_of(email) if isinstance(email, str) else ""


class TooManyRequests(ApiError):
    """Refused before anything was done. Says when to come back, and nothing of whom it counts."""

    status = 429

    def __init__(self, wait_s: float, what: str = "requests") -> None:
        self.wait_s = whole_seconds(wait_s)
        seconds = "second" if self.wait_s == 1 else "seconds"
        super().__init__(f"Too many {what}. Try again in {self.wait_s} {seconds}.")

    def response(self) -> HttpResponse:
        response = super().response()
        response["Retry-After"] = str(self.wait_s)
        return response


class TooManyAttempts(TooManyRequests):
    """Passwords were guessed, from there or of that account; this one was not looked at."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s, "wrong passwords")


#: Whoever comes without one, as over a unix socket, is counted as one.
UNKNOWN = "unknown"
#: What a household or a server gets: whoever has one address of it has all.
IPV6_PREFIX = 64
#: No address is longer, with its port and its zone.
MAX_LENGTH = 100


def client_address(request: HttpRequest) -> str:
    """The address of the caller; of IPv6 the network.

    Each proxy appends to `X-Forwarded-For` whom it has heard. So of the entries the last
    NUM_PROXIES are ours, and those before them are whatever the caller wrote. Without that many
    the request has come by another way, and who has brought it is the caller.
    """
    if proxies := settings.NUM_PROXIES:
        entries = request.META.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", proxies)
        if len(entries) >= proxies and (address := _normal(entries[-proxies])):
            return address
    return _normal(request.META.get("REMOTE_ADDR", "")) or UNKNOWN


def is_exempt(address: str) -> bool:
    """Whether the general limits do not count what comes from there; of IPv6 a whole /64."""
    return _is_within(address, settings.THROTTLE_EXEMPT)


@lru_cache(maxsize=4096)
def _is_within(address: str, among: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    if address == UNKNOWN:
        return False
    asked = ip_network(address)
    return any(asked.version == each.version and asked.overlaps(each) for each in among)


def _normal(text: str) -> str:
    """Empty if it is none."""
    return _normal_short(text.strip()) if len(text) <= MAX_LENGTH else ""


@lru_cache(maxsize=4096)
def _normal_short(text: str) -> str:
    for candidate in (text, _without_port(text)):
        try:
            return _grouped(ip_address(candidate))
        except ValueError:
            continue
    return ""


def _without_port(text: str) -> str:
    """`192.0.2.1:80` and `[2001:db8::1]:80`, as some proxies write."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    host, _, port = text.partition(":")
    return host if port.isdecimal() else ""


def _grouped(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), IPV6_PREFIX), strict=False))


#: Longer texts are no addresses.
MAX_SPELLING = 600


def account_of(email: str) -> str:
    """One name for all spellings that sign in to one account, whether or not it exists.

    It applies what a payload's `Line` and `users.addresses` apply before an account is looked up:
    a spelling that finds the account and counts as another name would evade the limits.
    """
    text = CONTROLS.sub("", email)[:MAX_SPELLING].strip()
    with suppress(EmailNotValidError):
        text = validate_email(text, check_deliverability=False).normalized
    return unicodedata.normalize("NFKC", text).strip().casefold()


_COUNTED = "cinema.throttling.account"


def count_for_account(request: HttpRequest, user: AbstractBaseUser) -> None:
    """Count the request for its viewer, once.

    Raises:
        TooManyRequests: The viewer has made too many.
    """
    account = str(user.pk)
    if request.META.get(_COUNTED) == account:
        return
    request.META[_COUNTED] = account
    if is_exempt(client_address(request)):
        return
    is_staff = getattr(user, "is_staff", False)
    rate: Rate | None = settings.THROTTLE_STAFF if is_staff else settings.THROTTLE_VIEWER
    if rate and (wait_s := request_counters.take(rate, "account", account)) > 0:
        raise TooManyRequests(wait_s)


def counted_account(request: HttpRequest) -> str:
    """The viewer for whom the request was counted; empty if there is none yet."""
    return str(request.META.get(_COUNTED, ""))


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
                _count_for_address(rate, address)
            elif (wait_s := request_counters.wait_s(rate, "address", address)) > 0:
                _count_for_token(request, token, wait_s)
        except TooManyRequests as refusal:
            return refusal.response()
        except (OperationalError, InterfaceError):
            return database_away()
        response = get_response(request)
        if token and not counted_account(request):
            request_counters.take(rate, "address", address)
        return response

    return middleware


def _count_for_address(rate: Rate, address: str) -> None:
    if (wait_s := request_counters.take(rate, "address", address)) > 0:
        raise TooManyRequests(wait_s)


def _count_for_token(request: HttpRequest, token: str, wait_s: float) -> None:
    user = authenticate(request, access_token=token)
    if user is None:
        raise TooManyRequests(wait_s)
    count_for_account(request, user)
