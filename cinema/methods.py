"""HEAD and OPTIONS, which every address answers without code of its own."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from cinema.errors import problem

GetResponse = Callable[[HttpRequest], HttpResponseBase]

READABLE = ("GET", "HEAD", "OPTIONS")
#: A file has parts for GET alone (RFC 9110, 14.2).
_GET_ALONE = ("HTTP_RANGE", "HTTP_IF_RANGE")


def methods(get_response: GetResponse) -> GetResponse:
    """Answer HEAD as GET without its body, and OPTIONS with what the address allows."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if "HTTP_TRANSFER_ENCODING" in request.META:
            # Our web server reads chunks and says how long they are. `runserver` cannot.
            return problem(411, "A request needs a Content-Length here.")
        if request.method == "HEAD":
            return _head(request, get_response)
        response = get_response(request)
        if request.method == "OPTIONS":
            return _options(request, response)
        if response.status_code == 405:
            _complete(response)
        return response

    return middleware


def _head(request: HttpRequest, get_response: GetResponse) -> HttpResponseBase:
    for name in _GET_ALONE:
        request.META.pop(name, None)
    request.__dict__.pop("headers", None)  # made of META when it is first used
    request.method = "GET"
    try:
        response = get_response(request)
    finally:
        request.method = "HEAD"
    if response.status_code == 405:
        _complete(response)
    if response.streaming:
        # Closing the response also closes the file that it streams.
        response.streaming_content = ()  # type: ignore[attr-defined]
    else:
        length = len(response.content)  # type: ignore[attr-defined]
        response.content = b""  # type: ignore[attr-defined]
        response.headers["Content-Length"] = str(length)
    return response


def _options(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """The methods, from the refusal of OPTIONS where a view refuses it."""
    is_file = request.path.startswith(settings.STATIC_URL)
    if response.status_code >= 400 and response.status_code != 405 and not is_file:
        return response
    if request.path.startswith("/admin/"):
        allowed = {*READABLE, "POST"}
    else:
        allowed = _allowed(response) or set(READABLE)
    return HttpResponse(status=204, headers={"Allow": ", ".join(sorted(allowed))})


def _allowed(response: HttpResponseBase) -> set[str]:
    given = {name.strip() for name in response.headers.get("Allow", "").split(",")} - {""}
    return given | ({"HEAD"} if "GET" in given else set()) | ({"OPTIONS"} if given else set())


def _complete(response: HttpResponseBase) -> None:
    response.headers["Allow"] = ", ".join(sorted(_allowed(response)))
