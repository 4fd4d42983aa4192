"""The office's door: the same limits of guesses as at the API's, and the same counters."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from cinema.throttling.addresses import client_address
from cinema.throttling.errors import TooManyRequests
from cinema.throttling.limits import Limit
from cinema.throttling.lockout import guarded
from users.addresses import email_key

LIMIT = Limit("THROTTLE_LOGIN")


class OfficeSignIn(AuthenticationForm):  # type: ignore[misc]  # Unfold has no annotations
    cleaned_data: dict[str, Any]

    def clean(self) -> dict[str, Any]:
        if self.errors:
            return self.cleaned_data
        try:
            LIMIT.take(self.request)
            self.user_cache = guarded(
                lambda: authenticate(self.request, **self.cleaned_data),
                account=email_key(self.cleaned_data["username"]),
                address=client_address(self.request),
            )
        except TooManyRequests as refusal:
            raise ValidationError(refusal.detail) from refusal
        if self.user_cache is None:
            raise self.get_invalid_login_error()
        self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data
