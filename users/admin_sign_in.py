"""The sign-in form of the admin site, and the page of the second factor.

The form shares the limits of guesses and their counters with the API.
"""

from __future__ import annotations

from typing import Any, cast

import segno
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.hashers import check_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.safestring import mark_safe
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from cinema.throttling.limits import Limit, TooManyRequests, client_address
from cinema.throttling.lockout import check_confirmation
from users import second_factor
from users.errors import CodeNeeded, WrongCode, WrongCredentials
from users.models import SecondFactor, User
from users.sessions import check_credentials

SIGN_IN_LIMIT = Limit("THROTTLE_LOGIN")


class AdminSignInForm(AuthenticationForm):  # type: ignore[misc]  # Unfold has no annotations
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
            SIGN_IN_LIMIT.take(self.request)
            self.user_cache = check_credentials(
                **self.cleaned_data, address=client_address(self.request), request=self.request
            )
        except WrongCredentials as refusal:
            raise self.get_invalid_login_error() from refusal
        except CodeNeeded as refusal:
            raise ValidationError("Enter the code of your authenticator app as well.") from refusal
        except (WrongCode, TooManyRequests) as refusal:
            raise ValidationError(refusal.detail) from refusal
        self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data


#: The session's key of a secret that no app has confirmed yet.
_SECRET = "second_factor_secret"  # noqa: S105 - a key
SECOND_FACTOR_ERRORS = {
    "password": "This is not your password.",
    "code": "The code is wrong, or was used before. Wait for the next one.",
}


class SecondFactorForm(forms.Form):
    """Asks for the password: a stranger may use an unlocked computer."""

    password = forms.CharField(
        max_length=256,
        strip=False,
        widget=UnfoldAdminPasswordWidget({"autocomplete": "current-password"}),
    )
    code = forms.CharField(
        max_length=40,
        help_text="Six digits that your authenticator app shows now.",
        widget=UnfoldAdminTextInputWidget({"autocomplete": "one-time-code"}),
    )

    def __init__(self, user: User, data: Any = None) -> None:
        super().__init__(data)
        self._user = user
        self.has_factor = second_factor.is_needed(user)

    def clean(self) -> dict[str, Any]:
        """Check password and code together: a right password must not reset wrong codes."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        wrong = "password"

        def check() -> bool:
            nonlocal wrong
            if not check_password(cleaned["password"], self._user.password):
                return False
            wrong = "code"
            return not self.has_factor or second_factor.spend_code(self._user, cleaned["code"])

        try:
            if not check_confirmation(check, viewer_id=self._user.pk):
                self.add_error(wrong, SECOND_FACTOR_ERRORS[wrong])
        except TooManyRequests as refusal:
            self.add_error("password", refusal.detail)
        return cleaned


def _view(request: HttpRequest) -> HttpResponse:
    user = cast("User", request.user)
    form = SecondFactorForm(user, request.POST if request.method == "POST" else None)
    if form.is_valid():
        codes = _perform_second_factor_action(request, user, form)
        if codes is not None:
            return _render(request, recovery_codes=codes)
        if not form.errors:
            return redirect("second-factor")
    if form.has_factor:
        factor = SecondFactor.objects.filter(user=user).first()
        if factor is None:  # It was removed meanwhile.
            return redirect("second-factor")
        return _render(request, form=form, factor=factor, codes_left=factor.recovery_codes.count())
    secret = request.session.setdefault(_SECRET, second_factor.new_secret())
    address = second_factor.provisioning_uri(user, secret)
    picture = segno.make(address, micro=False).svg_inline(scale=5, light="white", omitsize=False)
    # The markup is the library's own: the address is in it as a pattern and not as text.
    return _render(request, form=form, secret=secret, address=address, picture=mark_safe(picture))  # noqa: S308


def _perform_second_factor_action(
    request: HttpRequest, user: User, form: SecondFactorForm
) -> list[str] | None:
    """Carry out the action of the pressed button; returns new recovery codes, if any."""
    action = request.POST.get("action")
    if not form.has_factor:
        codes = None
        if secret := request.session.get(_SECRET):
            codes = second_factor.set_up(
                user=user,
                secret=secret,
                code=form.cleaned_data["code"],
                admin_session=request.session.session_key,
            )
        if codes is None:
            form.add_error("code", "This is not the code that the app shows now.")
        else:
            del request.session[_SECRET]
        return codes
    if action == "renew":
        try:
            return second_factor.replace_recovery_codes(user=user)
        except SecondFactor.DoesNotExist:
            messages.error(request, "The second factor was removed meanwhile.")
            return None
    if action == "remove" and second_factor.remove(user=user):
        messages.success(request, "The second factor is removed.")
    return None


def _render(request: HttpRequest, **context: Any) -> HttpResponse:
    whole = {**admin.site.each_context(request), "title": "Second factor", **context}
    return TemplateResponse(request, "admin_site/second_factor.html", whole)


def second_factor_page(request: HttpRequest) -> HttpResponse:
    """Set up a second factor, renew its recovery codes, or remove it; for staff."""
    return admin.site.admin_view(_view)(request)
