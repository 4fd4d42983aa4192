"""Which pages of other sites may use the API from a browser (CORS, the Fetch standard).

Credentials are never allowed: the API has no cookies, and tokens are sent by the page's own code.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers

from cinema.middleware import API_PATHS

GetResponse = Callable[[HttpRequest], HttpResponseBase]

EVERY_SITE = "*"
SAFE_METHODS = ("GET", "HEAD")
#: Request headers that every site may send, and those that only a named site may also send.
PUBLIC_HEADERS = "If-None-Match, X-Request-ID"
ALL_HEADERS = f"Authorization, Content-Type, If-Match, {PUBLIC_HEADERS}"
ALL_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
EXPOSED_HEADERS = "Cache-Status, Content-Disposition, ETag, Location, Retry-After, X-Request-ID"
MAX_AGE_S = 600


def cors(get_response: GetResponse) -> GetResponse:
    """Answer preflights, and say in each response of the API which site may read it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(API_PATHS) or not settings.CORS_ALLOWED_ORIGINS:
            return get_response(request)
        is_preflight = (
            request.method == "OPTIONS"
            and "HTTP_ORIGIN" in request.META
            and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.META
        )
        response = _preflight(request) if is_preflight else get_response(request)
        _allow(request, response)
        return response

    return middleware


def _is_named(request: HttpRequest) -> bool:
    return request.META.get("HTTP_ORIGIN") in settings.CORS_ALLOWED_ORIGINS


def _preflight(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(status=204)
    is_named = _is_named(request)
    if is_named or EVERY_SITE in settings.CORS_ALLOWED_ORIGINS:
        methods = ALL_METHODS if is_named else ", ".join(SAFE_METHODS)
        response["Access-Control-Allow-Methods"] = methods
        response["Access-Control-Allow-Headers"] = ALL_HEADERS if is_named else PUBLIC_HEADERS
        response["Access-Control-Max-Age"] = str(MAX_AGE_S)
    return response


def _allow(request: HttpRequest, response: HttpResponseBase) -> None:
    """Every site may read what is public; a named one may read all."""
    origins = settings.CORS_ALLOWED_ORIGINS
    is_public = (
        request.method in (*SAFE_METHODS, "OPTIONS") and "HTTP_AUTHORIZATION" not in request.META
    )
    if EVERY_SITE in origins and is_public:
        response.headers["Access-Control-Allow-Origin"] = EVERY_SITE
    else:
        patch_vary_headers(response, ["Origin"])
        if not _is_named(request):
            return
        response.headers["Access-Control-Allow-Origin"] = request.META["HTTP_ORIGIN"]
    response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
