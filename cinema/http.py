"""HTTP helpers: cache headers, documents, ETags, JSON bodies, parameters, bearer tokens."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property, wraps
from typing import Annotated, Any

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.utils.datastructures import MultiValueDict
from django.views.decorators.cache import cache_control
from django.views.decorators.vary import vary_on_headers
from ninja import Header
from ninja.decorators import decorate_view
from ninja.operation import Operation
from ninja.parser import Parser
from ninja.renderers import BaseRenderer

from cinema.errors import ApiError, PreconditionFailed, Unprocessable

_revalidated = cache_control(public=True, max_age=0, must_revalidate=True)
public = decorate_view(_revalidated)
#: Python's overhead for a cached document and its key, besides their text.
OVERHEAD_BYTES = 1024
#: Staff see more: no cache may give their response to others.
public_by_reader = decorate_view(_revalidated, vary_on_headers("Authorization"))


def _personal_if_signed_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        is_personal = "HTTP_AUTHORIZATION" in request.META
        return (view if is_personal else _revalidated(view))(request, *args, **kwargs)

    return answer


#: A signed-in caller gets personal parts too, which no cache may keep.
public_unless_signed_in = decorate_view(_personal_if_signed_in, vary_on_headers("Authorization"))


def body_etag(body: bytes) -> str:
    return f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'


@dataclass(frozen=True)
class Document:
    """A response ready to be sent.

    Attributes:
        own_etag: An ETag that is more than a hash of the body: `edit_etag`.
        filename: The name under which a browser saves it, in ASCII.
    """

    body: bytes
    content_type: str = "application/json"
    own_etag: str = ""
    filename: str = ""

    @property
    def size_bytes(self) -> int:
        """The memory that a cached document takes."""
        return len(self.body) + OVERHEAD_BYTES

    @cached_property
    def etag(self) -> str:
        return self.own_etag or body_etag(self.body)

    @cached_property
    def _encoded(self) -> dict[str, bytes]:
        return {}

    def encoded(self, encoding: str, encode: Callable[[bytes, str], bytes]) -> bytes:
        """The encoded body, which is made once."""
        if encoding not in self._encoded:
            self._encoded[encoding] = encode(self.body, encoding)
        return self._encoded[encoding]


class DocumentResponse(HttpResponse):
    """A document as a response, which `cinema.compression` compresses once.

    Attributes:
        repeatable: A `cinema.response_cache.Repeatable`, if it may be sent again.
    """

    repeatable: object = None

    def __init__(self, document: Document) -> None:
        super().__init__(document.body, content_type=document.content_type)
        self.document = document


def document_response(document: Document, stale: bool) -> DocumentResponse:
    """The document as a response.

    While the database is away, the last known bytes are served and marked as stale: by `Warning`
    (RFC 7234, 5.5) for old caches, and by `Cache-Status` (RFC 9211).
    """
    response = DocumentResponse(document)
    response["ETag"] = document.etag
    response["Cache-Control"] = "public, max-age=0, must-revalidate"
    if document.filename:
        response["Content-Disposition"] = f'inline; filename="{document.filename}"'
    if stale:
        response["Warning"] = '110 cinema "Response is Stale"'
        response["Cache-Status"] = "cinema; hit; detail=stale"
    return response


def json_response(value: object) -> HttpResponse:
    """A response as Ninja makes it, for a value in the form of the operation's schema."""
    return HttpResponse(orjson.dumps(value), content_type=f"{JSON}; charset=utf-8")


def absolute_url(path: str) -> str:
    """The public URL of a path; a complete URL stays."""
    return path if "://" in path else f"{settings.PUBLIC_URL}{path}"


# --- ETags of editable rows, and conditional writes by `If-Match`
#
# Such an ETag has two parts: the time of the row's last edit, and a hash of the body.
# `If-None-Match` compares both. `If-Match` compares the first part only: a ranking that the clock
# has raised meanwhile is no edit that could get lost.

#: The parameter of an operation that writes.
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description="An ETag: 412 if somebody has edited it since."),
]

_etag = re.compile(r'(?:W/)?"([^"]*)"')


def edit_mark(updated_at: datetime) -> str:
    """Return the first part of the ETag."""
    return format(int(updated_at.timestamp() * 1_000_000), "x")


def edit_etag(updated_at: datetime, body: bytes) -> str:
    """Return the ETag of a body that shows a row after this edit."""
    return _etag_of(edit_mark(updated_at), body)


def with_body(etag: str, body: bytes) -> str:
    """Return the ETag of the same edit for another body."""
    return _etag_of(etag.strip('"').partition("-")[0], body)


def _etag_of(mark: str, body: bytes) -> str:
    return f'"{mark}-{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def check_if_match(if_match: str | None, updated_at: datetime) -> None:
    """Compare a request's `If-Match` with the row, which must be locked until it is written.

    Weak ETags are accepted, as compressing proxies make ETags weak.

    Raises:
        PreconditionFailed: The row was edited after the caller had read it.
    """
    if if_match is None or if_match.strip() == "*":
        return
    marks = [tag.partition("-")[0] for tag in _etag.findall(if_match)]
    if edit_mark(updated_at) not in marks:
        raise PreconditionFailed


def show_edit(response: HttpResponse, updated_at: datetime) -> None:
    """Put the edit into the response; `editable` completes the ETag."""
    response["ETag"] = edit_mark(updated_at)


def _complete_etag(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        response = view(request, *args, **kwargs)
        if mark := response.get("ETag"):
            response["ETag"] = _etag_of(mark, response.content)
        return response

    return answer


#: Decorator of an operation that returns one row and calls `show_edit`.
editable = decorate_view(_complete_etag)


def vary_on(response: HttpResponseBase, name: str) -> None:
    """Add a name to `Vary`, in a fifth of the time that Django's `patch_vary_headers` takes."""
    given = response.headers.get("Vary", "")
    if name not in given:
        response.headers["Vary"] = f"{given}, {name}" if given else name


# --- query parameters

JSON = "application/json"
#: Names in one response, and characters of each.
MAX_NAMED = 10
LONGEST_NAME = 50

View = Callable[..., Any]


class WrongParameters(ApiError):
    status = 422

    def __init__(self, messages: Mapping[str, str]) -> None:
        errors = [
            {"field": f"query.{name}", "message": message} for name, message in messages.items()
        ]
        super().__init__("The request is malformed: see `errors`.", errors=errors)


def refuse_wrong_parameters(view: View) -> View:
    """Decorate the function of a Ninja operation, which is called once the caller is known.

    Raises:
        WrongParameters: The query string has a name that the operation does not declare, or a name
            twice that takes one value.
    """
    operation: Operation = view._ninja_operation  # type: ignore[attr-defined]
    if not _answers_json(operation):
        return view
    takes_many = _parameters(operation)

    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> Any:
        if request.META.get("QUERY_STRING") and (
            wrong := _wrong_parameters(request.GET, takes_many)
        ):
            raise WrongParameters(wrong)
        return view(request, *args, **kwargs)

    return answer


def skip_parameter_parsing(
    respond: Callable[[HttpRequest], HttpResponse],
) -> Callable[[View], View]:
    """Answer a request without parameters before the framework looks for them.

    Most requests for cached documents are such. Looking took a quarter of the time.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def answer(request: HttpRequest, *args: object, **kwargs: object) -> Any:
            has_parameters = bool(request.META.get("QUERY_STRING"))
            return view(request, *args, **kwargs) if has_parameters else respond(request)

        return answer

    return decorate_view(decorate)


def _answers_json(operation: Operation) -> bool:
    responses = (operation.openapi_extra or {}).get("responses", {})
    return {kind for each in responses.values() for kind in each.get("content", {})} <= {JSON}


def _parameters(operation: Operation) -> dict[str, bool]:
    """The names of the operation's query parameters, and whether each takes several values."""
    takes_many: dict[str, bool] = {}
    for model in operation.models:
        if model.__ninja_param_source__ == "query":
            lists = model.__ninja_collection_fields__
            names = model.__ninja_flatten_map__
            takes_many |= {name: name in lists for name in names}
    return takes_many


def _wrong_parameters(given: QueryDict, takes_many: Mapping[str, bool]) -> dict[str, str]:
    """Messages about the wrong parameters, by name, up to MAX_NAMED."""
    wrong: dict[str, str] = {}
    for name, values in given.lists():
        if len(wrong) == MAX_NAMED:
            break
        shown = name[:LONGEST_NAME]
        if name not in takes_many and shown not in wrong:
            wrong[shown] = _advice(shown, list(takes_many))
        elif len(values) > 1 and not takes_many.get(name, True):
            wrong[name] = "This parameter is given more than once."
    return wrong


def _advice(name: str, known: list[str]) -> str:
    if not known:
        return "There is no such parameter: this address takes none."
    if near := get_close_matches(name.lower(), known, n=1):
        return f"There is no such parameter. Did you mean `{near[0]}`?"
    return f"There is no such parameter. Those of this address are: {', '.join(sorted(known))}."


# --- requests


def bearer_token(request: HttpRequest) -> str:
    """The access token of the request; empty if there is none."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


_READ = "cinema.body"
_CHARSETS = ("", "utf-8", "utf8", "us-ascii")


class UnsupportedMediaType(ApiError):
    """The body is not declared as JSON. One without a `Content-Type` is not JSON either."""

    status = 415
    headers = {"Accept": "application/json"}
    detail = "Send the body as `Content-Type: application/json`, in UTF-8."


class NotAForm(UnsupportedMediaType):
    headers = {"Accept": "multipart/form-data"}
    detail = "Send the file as the field `file` of `Content-Type: multipart/form-data`."


def json_body(request: HttpRequest) -> Any:
    """The parsed body, strictly by RFC 8259, without duplicate names.

    It is parsed once. A throttle with a parser of its own would disagree with the operation on the
    account that the body names.

    Raises:
        UnsupportedMediaType: The content type is not JSON.
        Unprocessable: A name is given twice.
        ValueError: The body is not JSON.
    """
    if _READ not in request.META:
        if request.body and not _is_json(request):
            raise UnsupportedMediaType
        request.META[_READ] = json_of(request.body)
    return request.META[_READ]


class BodyParser(Parser):
    def parse_body(self, request: HttpRequest) -> Any:
        return json_body(request)

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        """The query string, or the files of a form.

        Raises:
            NotAForm: An operation asks for a file, and the body is something else.
        """
        asks_for_files = not isinstance(data, QueryDict)
        if asks_for_files and request.content_type != "multipart/form-data" and request.body:
            raise NotAForm
        return super().parse_querydict(data, list_fields, request)


class JsonRenderer(BaseRenderer):
    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return orjson.dumps(data)


def _is_json(request: HttpRequest) -> bool:
    types = {"application/json"}
    if request.method == "PATCH":
        types.add("application/merge-patch+json")  # RFC 7396, the meaning of every PATCH
    charset = (request.content_params or {}).get("charset", "").strip("\"' ").lower()
    return (request.content_type or "").lower() in types and charset in _CHARSETS


def json_of(text: bytes | str) -> Any:
    """The value of a JSON text, by the rules of `json_body`."""
    orjson.loads(text)  # It is strict about numbers and depth, but accepts duplicate names.
    return json.loads(text, object_pairs_hook=_without_duplicates)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
        raise Unprocessable("body", f"{twice[:50]!r} is given twice")
    return found
