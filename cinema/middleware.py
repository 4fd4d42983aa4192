"""The middleware of every request: id, path, HEAD and OPTIONS, CORS, errors, and headers."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponsePermanentRedirect
from django.http.response import HttpResponseNotAllowed
from django.utils.cache import patch_vary_headers

from cinema.errors import CONTENT_TYPE, ApiError, database_away, problem
from cinema.logs import request_id_variable

log = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]

_usable_id = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)

#: Responses below these paths are for programs: an error there is never HTML.
API_PATHS = ("/api", "/graphql", "/health", "/media")


def request_id_of(given: str) -> str:
    """The identifier of the client if it is usable, else a new one."""
    return given if _usable_id.fullmatch(given) else uuid.uuid4().hex


def request_id(get_response: GetResponse) -> GetResponse:
    """Take the client's `X-Request-ID` or make one; return it; put it in every log line."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        identifier = request_id_of(request.headers.get("X-Request-ID", ""))
        # It is not reset: Django logs the status after the middleware, and the next request of this
        # thread sets its own.
        request_id_variable.set(identifier)
        response = get_response(request)
        response["X-Request-ID"] = identifier
        return response

    return middleware


def one_path(get_response: GetResponse) -> GetResponse:
    """Treat an address with a trailing slash and one without it as the same.

    Admin pages have the slash, as their relative links need it, and all other addresses have none.
    A browser is redirected to the right form of an admin page. Other requests are answered at
    once, since a redirect would lose the body of a POST. Later middleware sees one form only.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        given = request.path_info
        path = given.rstrip("/")
        is_admin = path == "/admin" or path.startswith("/admin/")
        path = f"{path}/" if is_admin else path or "/"
        if path != given:
            request.path = request.path.removesuffix(given) + path
            request.path_info = path
            if is_admin and request.method in ("GET", "HEAD"):
                return HttpResponsePermanentRedirect(request.get_full_path())
        return get_response(request)

    return middleware


def _policy(**directives: str) -> str:
    """A Content-Security-Policy: everything from this site, except the named directives."""
    # Staff may have entered any address of a poster or a trailer.
    shown = {"img_src": "'self' data: https:", "media_src": "'self' https:"}
    closed = {"object_src": "'none'", "base_uri": "'none'", "form_action": "'self'"}
    named = {"default_src": "'self'", **shown, **closed, "frame_ancestors": "'none'", **directives}
    return "; ".join(f"{name.replace('_', '-')} {sources}" for name, sources in named.items())


#: Policies by the beginning of the path. Inline scripts are allowed nowhere. Unfold uses Alpine,
#: which evaluates expressions in attributes; Swagger and Redoc make styles while they run.
_INLINE_STYLES = "'self' 'unsafe-inline'"
POLICIES = {
    "/admin/": _policy(script_src="'self' 'unsafe-eval'", style_src=_INLINE_STYLES),
    "/api/v1/redoc": _policy(style_src=_INLINE_STYLES, worker_src="'self' blob:"),
    "/api/": _policy(style_src=_INLINE_STYLES),
    "": _policy(),
}


def content_security(get_response: GetResponse) -> GetResponse:
    """Tell browsers what a page may load and do, so that they run no injected script."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            found = next(p for start, p in POLICIES.items() if request.path.startswith(start))
            response.headers.setdefault("Content-Security-Policy", found)
            response["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=()"
        return response

    return middleware


_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not know that method.",
    413: "The request is too large.",
    500: "The server made an error. It is logged under this request's X-Request-ID.",
}


def problems(get_response: GetResponse) -> GetResponse:
    """Make problem documents of the errors that Django answers itself."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if (
            response.status_code < 400
            or not request.path.startswith(API_PATHS)
            or response.get("Content-Type", "").startswith((CONTENT_TYPE, "application/json"))
        ):
            return response
        headers = (
            {"Allow": response["Allow"]} if isinstance(response, HttpResponseNotAllowed) else {}
        )
        detail = _DETAILS.get(response.status_code, "The request cannot be read.")
        return problem(response.status_code, detail, headers=headers)

    middleware.process_exception = _refusal  # type: ignore[attr-defined]  # Django's hook
    return middleware


def _refusal(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """The response to an error that a view outside the API, such as the admin, does not catch."""
    if isinstance(error, ApiError):
        return error.response()
    if isinstance(error, (OperationalError, InterfaceError)):
        log.error("the database is away: %s", error)
        return database_away()
    return None


def cache_headers(get_response: GetResponse) -> GetResponse:
    """Forbid caching of responses that do not say how long they may be cached."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if isinstance(response, HttpResponse) and not response.has_header("Cache-Control"):
            response["Cache-Control"] = "no-store"
        return response

    return middleware


# --- CORS: pages of other sites may use the API (the Fetch standard). Credentials are never
# allowed: the API has no cookies, and tokens are sent by the page's own code.

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
    """Every site may read public responses; a named site may read all."""
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


# --- HEAD and OPTIONS, which no view needs code for

READABLE = ("GET", "HEAD", "OPTIONS")
#: Only GET has parts of a file (RFC 9110, 14.2).
_GET_ALONE = ("HTTP_RANGE", "HTTP_IF_RANGE")


def methods(get_response: GetResponse) -> GetResponse:
    """Answer HEAD as GET without its body, and OPTIONS with what the address allows."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if "HTTP_TRANSFER_ENCODING" in request.META:
            # granian reads chunks and gives their length. `runserver` cannot.
            return problem(411, "A request needs a Content-Length here.")
        if request.method == "HEAD":
            return _head(request, get_response)
        response = get_response(request)
        if request.method == "OPTIONS":
            return _options(request, response)
        if response.status_code == 405:
            _complete_allow_header(response)
        return response

    return middleware


def _head(request: HttpRequest, get_response: GetResponse) -> HttpResponseBase:
    for name in _GET_ALONE:
        request.META.pop(name, None)
    request.__dict__.pop("headers", None)  # computed from META on first use
    request.method = "GET"
    try:
        response = get_response(request)
    finally:
        request.method = "HEAD"
    if response.status_code == 405:
        _complete_allow_header(response)
    if response.streaming:
        # Closing the response also closes the file that it streams.
        response.streaming_content = ()  # type: ignore[attr-defined]
    else:
        length = len(response.content)  # type: ignore[attr-defined]
        response.content = b""  # type: ignore[attr-defined]
        response.headers["Content-Length"] = str(length)
    return response


def _options(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """The allowed methods, by the 405 of a view that refuses OPTIONS."""
    is_file = request.path.startswith(settings.STATIC_URL)
    if response.status_code >= 400 and response.status_code != 405 and not is_file:
        return response
    if request.path.startswith("/admin/"):
        allowed = {*READABLE, "POST"}
    else:
        allowed = _allowed_methods(response) or set(READABLE)
    return HttpResponse(status=204, headers={"Allow": ", ".join(sorted(allowed))})


def _allowed_methods(response: HttpResponseBase) -> set[str]:
    given = {name.strip() for name in response.headers.get("Allow", "").split(",")} - {""}
    return given | ({"HEAD"} if "GET" in given else set()) | ({"OPTIONS"} if given else set())


def _complete_allow_header(response: HttpResponseBase) -> None:
    response.headers["Allow"] = ", ".join(sorted(_allowed_methods(response)))
