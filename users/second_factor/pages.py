"""The page on which a member of staff sets up a second factor, renews its codes, or removes it."""

from __future__ import annotations

from typing import Any, cast

import segno
from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.safestring import mark_safe
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from cinema.errors import ApiError
from cinema.throttling.errors import TooManyRequests
from cinema.throttling.lockout import confirmed
from users.models import RecoveryCode, User
from users.passwords import confirm_password
from users.second_factor import services

#: In the session of the admin: a secret that no app has confirmed yet.
_SECRET = "second_factor_secret"  # noqa: S105 - a key


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
        cleaned = super().clean() or {}
        if not self.errors:
            try:
                confirm_password(self._user, cleaned["password"])
            except ApiError as refusal:
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
    code, action = form.cleaned_data["code"], request.POST.get("action")
    if not form.has_factor:
        secret = request.session.get(_SECRET, "")
        codes = services.set_up(user=user, secret=secret, code=code) if secret else None
        if codes is None:
            form.add_error("code", "This is not the code that the app shows now.")
        else:
            del request.session[_SECRET]
        return codes
    try:
        is_right = confirmed(lambda: services.spend_code(user, code), viewer_id=user.pk)
    except TooManyRequests as refusal:
        form.add_error("code", refusal.detail)
        return None
    if not is_right:
        form.add_error("code", "The code is wrong, or was used before. Wait for the next one.")
        return None
    if action == "renew":
        return services.replace_recovery_codes(user=user)
    if action == "remove" and services.remove(user=user):
        messages.success(request, "The second factor is removed.")
    return None


def _shown(request: HttpRequest, **context: Any) -> HttpResponse:
    whole = {**admin.site.each_context(request), "title": "Second factor", **context}
    response = TemplateResponse(request, "office/second_factor.html", whole)
    response["Cache-Control"] = "no-store"
    return response


def second_factor(request: HttpRequest) -> HttpResponse:
    """For signed-in members of staff, as all pages of the admin."""
    return cast("HttpResponse", admin.site.admin_view(_page)(request))
