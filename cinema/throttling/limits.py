"""Limits of single operations, tighter than those of all: exact, and over all processes."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError
from ninja.throttling import BaseThrottle

from cinema.bodies import json_body
from cinema.errors import ApiError
from cinema.throttling import counting
from cinema.throttling.accounts import account_charged
from cinema.throttling.addresses import client_address
from cinema.throttling.errors import TooManyRequests
from cinema.throttling.names import account_of, hidden_name
from cinema.throttling.rates import Rate

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
        if (wait_s := counting.take(rate, self._names(request))) > 0:
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
        account = account_charged(request) or named_account(request)
        return [
            hidden_name(self._setting, "address", client_address(request)),
            *([hidden_name(self._setting, "account", account)] if account else []),
        ]


def named_account(request: HttpRequest) -> str:
    """The `email` of the body, as `account_of` has it; empty if it has none."""
    try:
        payload = json_body(request)
    except (ApiError, ValueError, RecursionError, RequestDataTooBig, UnreadablePostError):
        return ""  # the operation reads the same, and refuses it
    email = payload.get("email") if isinstance(payload, dict) else None
    return account_of(email) if isinstance(email, str) else ""
