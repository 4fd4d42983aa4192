"""The office's door: the same limits of guesses as at the API's, and the same counters."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminTextInputWidget

from cinema.throttling.addresses import client_address
from cinema.throttling.errors import TooManyRequests
from cinema.throttling.limits import Limit
from users.errors import CodeNeeded, WrongCode, WrongCredentials
from users.sessions.services import credentials_of

LIMIT = Limit("THROTTLE_LOGIN")


class OfficeSignIn(AuthenticationForm):  # type: ignore[misc]  # Unfold has no annotations
    cleaned_data: dict[str, Any]

    otp = forms.CharField(
        required=False,
        max_length=40,
        label="Code",
        help_text="Of your authenticator app, or a recovery code, if you have set one up.",
        widget=UnfoldAdminTextInputWidget(
            {"autocomplete": "one-time-code", "inputmode": "text", "spellcheck": "false"}
        ),
    )

    def clean(self) -> dict[str, Any]:
        if self.errors:
            return self.cleaned_data
        try:
            LIMIT.take(self.request)
            self.user_cache = credentials_of(
                **self.cleaned_data, address=client_address(self.request), request=self.request
            )
        except WrongCredentials as refusal:
            raise self.get_invalid_login_error() from refusal
        except CodeNeeded as refusal:
            raise ValidationError("Enter the code of your authenticator app, too.") from refusal
        except (WrongCode, TooManyRequests) as refusal:
            raise ValidationError(refusal.detail) from refusal
        self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data
