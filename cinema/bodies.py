"""The JSON body of a request: read once, and the same for everything that looks into it.

A limit that reads the body by rules of its own counts another account than the one that the
operation signs in.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import orjson
from django.http import HttpRequest

from cinema.errors import ApiError, Unprocessable

_READ = "cinema.body"
_CHARSETS = ("", "utf-8", "utf8", "us-ascii")


class UnsupportedMediaType(ApiError):
    """The body is not declared as JSON. One without a `Content-Type` is not JSON either."""

    status = 415
    headers = {"Accept": "application/json"}

    def __init__(self) -> None:
        super().__init__("Send the body as `Content-Type: application/json`, in UTF-8.")


def json_body(request: HttpRequest) -> Any:
    """The body, by RFC 8259 to the letter, and without a name that is given twice.

    Raises:
        UnsupportedMediaType: It is of another content type.
        Unprocessable: A name is given twice.
        ValueError: It is not JSON.
    """
    if _READ not in request.META:
        if request.body and not _is_json(request):
            raise UnsupportedMediaType
        request.META[_READ] = json_of(request.body)
    return request.META[_READ]


def _is_json(request: HttpRequest) -> bool:
    types = {"application/json"}
    if request.method == "PATCH":
        types.add("application/merge-patch+json")  # RFC 7396, as which every PATCH is read
    charset = (request.content_params or {}).get("charset", "").strip("\"' ").lower()
    return (request.content_type or "").lower() in types and charset in _CHARSETS


def json_of(text: bytes | str) -> Any:
    """The value of a JSON text, as `json_body` reads it."""
    orjson.loads(text)  # is strict about numbers and depth, but takes the last of two names
    return json.loads(text, object_pairs_hook=_without_duplicates)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
        raise Unprocessable("body", f"{twice[:50]!r} is given twice")
    return found
