"""The middleware of every request, from its id to its last header.

`http` answers a request to the API by calling the view itself: the middleware of Django costs more
than most answers. Sessions, cookies and forms belong to the admin and the pages.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import lru_cache, partial
from random import getrandbits

from django.conf import settings
from django.core.handlers.exception import response_for_exception
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponsePermanentRedirect
from django.http.response import HttpResponseNotAllowed
from django.urls import ResolverMatch, get_resolver
from django.utils.cache import get_conditional_response

from cinema import replicas
from cinema.audit.recording import recording, request_author
from cinema.auth import token_user
from cinema.compression import compress
from cinema.errors import CONTENT_TYPE, ApiError, database_away, problem
from cinema.http import body_etag, vary_on
from cinema.logs import request_id_variable
from cinema.throttling.limits import throttle
from movies import catalogue

log = logging.getLogger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]

#: Responses below these paths are for programs: an error there is never HTML.
API_PATHS = ("/api", "/graphql", "/health", "/media", "/metrics")
#: Prometheus asks each server by its own address, which ALLOWED_HOSTS does not name. No browser has
#: the token of this path.
ANY_HOST = "/metrics"
#: The headers as Django's responses store them: setting them one by one took 8 µs.
SECURITY_HEADERS = {
    "x-content-type-options": ("X-Content-Type-Options", "nosniff"),
    "referrer-policy": ("Referrer-Policy", "same-origin"),
    "cross-origin-opener-policy": ("Cross-Origin-Opener-Policy", "same-origin"),
    "x-frame-options": ("X-Frame-Options", "DENY"),
}
_usable_id = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)


def http(get_response: GetResponse) -> GetResponse:
    """Answer a request to the API here; the middleware after this one is for pages alone."""
    call_api = record_writes(replicas.routed(_call_view))

    def middleware(request: HttpRequest) -> HttpResponseBase:
        identifier = request_id_of(request.META.get("HTTP_X_REQUEST_ID", ""))
        # The variable is not reset: Django logs the status after the middleware, and the next
        # request of this thread sets its own.
        request_id_variable.set(identifier)
        response: HttpResponseBase | None = one_path(request)
        if response is None and request.path.startswith(API_PATHS):
            response = _preflight(request) or _by_method(request, call_api)
            _allow_origin(request, response)
        elif response is None:
            response = _by_method(request, get_response)
        _add_security_headers(request, response)
        response.headers["X-Request-ID"] = identifier
        return response

    middleware.process_exception = _refusal  # type: ignore[attr-defined]  # Django's hook
    return middleware


def record_writes(get_response: GetResponse) -> GetResponse:
    """Record what staff write, and let the next request see it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.method in ("GET", "HEAD", "OPTIONS", "TRACE"):
            return get_response(request)
        with recording(lambda: request_author(request)):
            response = get_response(request)
        # The transactions of the request are committed.
        catalogue.note_write()
        if request_author(request):  # only staff change the catalogue
            catalogue.expire()
        return replicas.keep_position(request, response) if replicas.REPLICAS else response

    return middleware


# --- the view


def _call_view(request: HttpRequest) -> HttpResponseBase:
    """Do what Django does after its last middleware."""
    try:
        if request.path_info != ANY_HOST:
            request.get_host()  # raises DisallowedHost
        # A longer path is no address of a hot path, and would fill the memory.
        find = _route if len(request.path_info) <= 200 else _route.__wrapped__
        request.resolver_match = route = find(settings.ROOT_URLCONF, request.path_info)
        return route.func(request, *route.args, **route.kwargs)  # type: ignore[no-any-return]
    except Exception as error:  # noqa: BLE001 - Django logs those that nothing else handles
        return _refusal(request, error) or response_for_exception(request, error)


@lru_cache(maxsize=4096)
def _route(urlconf: str, path: str) -> ResolverMatch:
    """Find the view. Django compares a path with one pattern after the other, 25 on average."""
    return get_resolver(urlconf).resolve(path)


def _refusal(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """The response to an error that neither Django Ninja nor the view has handled."""
    if isinstance(error, ApiError):
        return error.response()
    if isinstance(error, (OperationalError, InterfaceError)):
        log.error("the database is away: %s", error)
        return database_away()
    return None


# --- the response


def _answer(request: HttpRequest, call: GetResponse) -> HttpResponseBase:
    # Responses to writes are short, and some hold new tokens.
    if request.method == "GET" or request.path == "/graphql":
        response = compress(request, partial(_plain_answer, call=call))
    else:
        response = _plain_answer(request, call)
    if not response.streaming and response.status_code not in (204, 304):
        response.headers["Content-Length"] = str(len(response.content))  # type: ignore[attr-defined]
    return response


def _plain_answer(request: HttpRequest, call: GetResponse) -> HttpResponseBase:
    """The response before its compression: 304 or a problem document where it has to be one."""
    response = throttle(request, call, token_user)
    if request.method == "GET" and response.status_code == 200:
        response = _revalidated(request, response)
    if response.status_code >= 400 and request.path.startswith(API_PATHS):
        response = _problem_document(response)
    if not response.streaming and "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


#: The headers of a 304 (RFC 9110, 15.4.5).
NOT_MODIFIED_HEADERS = {"cache-control", "content-location", "date", "etag", "expires", "vary"}


def _revalidated(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """304 if the client has this body. A body without an ETag gets one, unless it forbids that."""
    stored, etag = response.headers._store, response.headers.get("ETag")
    if not isinstance(response, HttpResponse) or (
        not etag and "no-store" in response.headers.get("Cache-Control", "")
    ):
        return response
    if not etag:
        etag = response.headers["ETag"] = body_etag(response.content)
    if request.META.get("HTTP_IF_NONE_MATCH") == etag:
        # Django's function makes a second response: with it 304 took longer than 200.
        response.status_code, response.content = 304, b""
        kept = stored.keys() & NOT_MODIFIED_HEADERS
        response.headers._store = {name: stored[name] for name in kept}
    elif "HTTP_IF_NONE_MATCH" in request.META or "HTTP_IF_MATCH" in request.META:
        return get_conditional_response(request, etag=etag, response=response) or response
    return response


_DETAILS = {
    404: "There is nothing at this address.",
    405: "This address does not allow that method: see `Allow`.",
    413: "The request is too large.",
    500: "The server made an error. It is logged under this request's X-Request-ID.",
}


def _problem_document(response: HttpResponseBase) -> HttpResponseBase:
    """A problem document in place of an error page of Django."""
    if response.headers.get("Content-Type", "").startswith((CONTENT_TYPE, "application/json")):
        return response
    headers = {"Allow": response["Allow"]} if isinstance(response, HttpResponseNotAllowed) else {}
    detail = _DETAILS.get(response.status_code, "The request cannot be read.")
    return problem(response.status_code, detail, headers=headers)


# --- ids and paths


def request_id_of(given: str) -> str:
    """The identifier of the client if it is usable, else a new one."""
    return given if _usable_id.fullmatch(given) else f"{getrandbits(128):032x}"


def one_path(request: HttpRequest) -> HttpResponse | None:
    """Treat an address with a trailing slash and one without it as the same.

    Admin pages have the slash, as their relative links need it, and all other addresses have none.
    A browser is redirected to the right form of an admin page. Other requests are answered at
    once, since a redirect would lose the body of a POST. The views see one form only.
    """
    given = request.path_info
    path = given.rstrip("/")
    is_admin = path == "/admin" or path.startswith("/admin/")
    path = f"{path}/" if is_admin else path or "/"
    if path != given:
        request.path = request.path.removesuffix(given) + path
        request.path_info = path
        if is_admin and request.method in ("GET", "HEAD"):
            return HttpResponsePermanentRedirect(request.get_full_path())
    return None


# --- headers that tell browsers what a response may do


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


def _add_security_headers(request: HttpRequest, response: HttpResponseBase) -> None:
    headers = response.headers
    headers._store = {**SECURITY_HEADERS, **headers._store}
    if settings.SECURE_HSTS_SECONDS and request.is_secure():
        headers["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}"
    if headers.get("Content-Type", "").startswith("text/html"):
        found = next(p for start, p in POLICIES.items() if request.path.startswith(start))
        headers.setdefault("Content-Security-Policy", found)
        headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=()"


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


def _preflight(request: HttpRequest) -> HttpResponse | None:
    """The answer to the question of a browser whether a page may send a request."""
    if (
        request.method != "OPTIONS"
        or "HTTP_ORIGIN" not in request.META
        or "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in request.META
        or not settings.CORS_ALLOWED_ORIGINS
    ):
        return None
    response = HttpResponse(status=204)
    is_named = _is_named(request)
    if is_named or EVERY_SITE in settings.CORS_ALLOWED_ORIGINS:
        methods = ALL_METHODS if is_named else ", ".join(SAFE_METHODS)
        response["Access-Control-Allow-Methods"] = methods
        response["Access-Control-Allow-Headers"] = ALL_HEADERS if is_named else PUBLIC_HEADERS
        response["Access-Control-Max-Age"] = str(MAX_AGE_S)
    return response


def _is_named(request: HttpRequest) -> bool:
    return request.META.get("HTTP_ORIGIN") in settings.CORS_ALLOWED_ORIGINS


def _allow_origin(request: HttpRequest, response: HttpResponseBase) -> None:
    """Every site may read public responses; a named site may read all."""
    origins = settings.CORS_ALLOWED_ORIGINS
    if not origins:
        return
    is_public = (
        request.method in (*SAFE_METHODS, "OPTIONS") and "HTTP_AUTHORIZATION" not in request.META
    )
    if EVERY_SITE in origins and is_public:
        response.headers["Access-Control-Allow-Origin"] = EVERY_SITE
    else:
        vary_on(response, "Origin")
        if not _is_named(request):
            return
        response.headers["Access-Control-Allow-Origin"] = request.META["HTTP_ORIGIN"]
    response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS


# --- HEAD and OPTIONS, which no view needs code for

READABLE = ("GET", "HEAD", "OPTIONS")
#: Only GET has parts of a file (RFC 9110, 14.2).
_GET_ALONE = ("HTTP_RANGE", "HTTP_IF_RANGE")


def _by_method(request: HttpRequest, call: GetResponse) -> HttpResponseBase:
    """Answer HEAD as GET without its body, and OPTIONS with what the address allows."""
    if "HTTP_TRANSFER_ENCODING" in request.META:
        # granian reads chunks and gives their length. `runserver` cannot.
        return problem(411, "A request needs a Content-Length here.")
    if request.method == "HEAD":
        return _head(request, call)
    response = _answer(request, call)
    if request.method == "OPTIONS":
        return _options(request, response)
    if response.status_code == 405:
        _complete_allow_header(response)
    return response


def _head(request: HttpRequest, call: GetResponse) -> HttpResponseBase:
    for name in _GET_ALONE:
        request.META.pop(name, None)
    request.__dict__.pop("headers", None)  # computed from META on first use
    request.method = "GET"
    try:
        response = _answer(request, call)
    finally:
        request.method = "HEAD"
    if response.status_code == 405:
        _complete_allow_header(response)
    if response.streaming:
        # Closing the response also closes the file that it streams.
        response.streaming_content = ()  # type: ignore[attr-defined]
    else:
        response.content = b""  # type: ignore[attr-defined]
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
