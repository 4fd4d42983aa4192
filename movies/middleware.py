from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from movies import catalogue

GetResponse = Callable[[HttpRequest], HttpResponseBase]

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


def own_writes_show(get_response: GetResponse) -> GetResponse:
    """Whoever has written through this process finds it in the next answer.

    Other processes see it when they next look, as they do several times a second. Here, after the
    request, its transactions are committed, through whichever door it came in.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if request.method not in SAFE_METHODS:
            catalogue.look_again()
        return response

    return middleware
