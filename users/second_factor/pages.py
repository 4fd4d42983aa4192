"""The page on which a member of staff sets up a second factor, renews its codes, or removes it."""

from __future__ import annotations

from typing import Any, cast

import segno
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.hashers import check_password
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.safestring import mark_safe
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from cinema.throttling.errors import TooManyRequests
from cinema.throttling.lockout import confirmed
from users.models import RecoveryCode, User
from users.second_factor import services

#: In the session of the admin: a secret that no app has confirmed yet.
_SECRET = "second_factor_secret"  # noqa: S105 - a key
WRONG = {
    "password": "This is not your password.",
    "code": "The code is wrong, or was used before. Wait for the next one.",
}


class SecondFactorForm(forms.Form):
    """The password guards the page, as somebody else may sit at an open admin."""

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
        self.has_factor = services.is_needed(user)

    def clean(self) -> dict[str, Any]:
        """Password and code are judged together: a right password must not forgive wrong codes."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        wrong = "password"

        def check() -> bool:
            nonlocal wrong
            if not check_password(cleaned["password"], self._user.password):
                return False
            wrong = "code"
            return not self.has_factor or services.spend_code(self._user, cleaned["code"])

        try:
            if not confirmed(check, viewer_id=self._user.pk):
                self.add_error(wrong, WRONG[wrong])
        except TooManyRequests as refusal:
            self.add_error("password", refusal.detail)
        return cleaned


def _page(request: HttpRequest) -> HttpResponse:
    user = cast("User", request.user)
    form = SecondFactorForm(user, request.POST if request.method == "POST" else None)
    if form.is_valid():
        codes = _perform(request, user, form)
        if codes is not None:
            return _shown(request, recovery_codes=codes)
        if not form.errors:
            return redirect("second-factor")
    if form.has_factor:
        left = RecoveryCode.objects.filter(factor__user=user).count()
        return _shown(request, form=form, factor=user.second_factor, codes_left=left)
    secret = request.session.setdefault(_SECRET, services.new_secret())
    address = services.address_of_secret(user, secret)
    picture = segno.make(address, micro=False).svg_inline(scale=5, light="white", omitsize=False)
    # The library's own markup: the address is in it as a pattern, not as text.
    return _shown(request, form=form, secret=secret, address=address, picture=mark_safe(picture))  # noqa: S308


def _perform(request: HttpRequest, user: User, form: SecondFactorForm) -> list[str] | None:
    """Do what the button says; the new recovery codes, if there are any."""
    action = request.POST.get("action")
    if not form.has_factor:
        secret, code = request.session.get(_SECRET, ""), form.cleaned_data["code"]
        codes = services.set_up(user=user, secret=secret, code=code) if secret else None
        if codes is None:
            form.add_error("code", "This is not the code that the app shows now.")
        else:
            del request.session[_SECRET]
        return codes
    if action == "renew":
        return services.replace_recovery_codes(user=user)
    if action == "remove" and services.remove(user=user):
        messages.success(request, "The second factor is removed.")
    return None


def _shown(request: HttpRequest, **context: Any) -> HttpResponse:
    whole = {**admin.site.each_context(request), "title": "Second factor", **context}
    return TemplateResponse(request, "office/second_factor.html", whole)


def second_factor(request: HttpRequest) -> HttpResponse:
    """For signed-in members of staff, as all pages of the admin."""
    return admin.site.admin_view(_page)(request)
