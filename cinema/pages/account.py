"""The pages that mailed links open. Their token stands behind a `#`, which browsers keep to
themselves: it reaches the API in a body, and no log."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

#: Nothing from elsewhere, nothing within: a page that holds a token runs our script alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@require_safe
def verify_email(request: HttpRequest) -> HttpResponse:
    return _page(request, "cinema/verify_email.html")


@require_safe
def reset_password(request: HttpRequest) -> HttpResponse:
    """Without a token it is where one asks for the link."""
    return _page(request, "cinema/reset_password.html")


def _page(request: HttpRequest, template: str) -> HttpResponse:
    response = render(request, template, {"cinema": settings.CINEMA_NAME})
    response["Content-Security-Policy"] = POLICY
    response["Referrer-Policy"] = "no-referrer"
    return response
