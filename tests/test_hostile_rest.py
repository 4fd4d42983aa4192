"""No value in a path, a query, a body, a header or a cookie makes the REST API fail."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.api_document import document
from tests.builders import Client, make_movie, make_screening
from tests.hostile import BODIES, JSON_VALUES, TEXTS

pytestmark = pytest.mark.django_db

#: One case in so many is tried; `HOSTILE=1` tries all of them, which takes minutes.
STEP = int(os.environ.get("HOSTILE") or 29)
DIGITS = "9" * 5000


def cases() -> Iterator[tuple[str, str, Any]]:
    """A method, an address and a body: each value in each parameter of each operation."""
    for method, path, operation in operations():
        parameters = operation.get("parameters", [])
        in_path = [p["name"] for p in parameters if p["in"] == "path"]
        plain = filled(path, dict.fromkeys(in_path, "1"))
        for name, text in itertools.product(in_path, TEXTS):
            yield method, filled(path, {**dict.fromkeys(in_path, "1"), name: text}), None
        for parameter, text in itertools.product(parameters, TEXTS):
            if parameter["in"] == "query":
                yield method, f"{plain}?{parameter['name']}={quoted(text)}", None
        if "requestBody" in operation:
            for body in BODIES:
                yield method, plain, body
            for field, value in itertools.product(fields(operation), JSON_VALUES):
                yield method, plain, {field: value}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def fields(operation: dict[str, Any]) -> list[str]:
    content = operation["requestBody"]["content"]
    schema = content.get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = document()["components"]["schemas"][name]
    return list(schema.get("properties", {}))


def filled(path: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", quoted(value))
    return path


def quoted(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


def test_no_value_makes_the_server_fail(staff: Client) -> None:
    make_screening(make_movie())
    failed = []
    for method, address, body in itertools.islice(cases(), 0, None, STEP):
        answer = staff.send(method, address, body)
        if answer.streaming:
            answer.getvalue()
        if answer.status_code >= 500:
            failed.append((answer.status_code, method, address[:200], str(body)[:100]))
    assert failed == []


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (f"/movies/{DIGITS}", {404, 422}),
        (f"/movies?page={DIGITS}", {422}),
        ("/movies?page=9223372036854775808", {422}),
        ("/movies?q=%00", {200, 422}),
        ("/movies?genre=%ED%A0%80", {200, 422}),
        ("/movies/by-slug/a%00b", {404, 422}),
        (f"/screenings?movie_id={2**63}", {200, 422}),
        ("/screenings?from=9999-12-31T23:59:59-14:00", {422}),
        ("/programme?from=0001-01-01", {422}),
        (f"/audit?user_id={DIGITS}", {422}),
    ],
)
def test_a_value_that_no_column_can_hold_is_a_client_error(
    staff: Client, address: str, status: set[int]
) -> None:
    assert staff.get(address).status_code in status


HEADERS = ["Authorization", "If-None-Match", "If-Match", "If-Modified-Since", "Range", "Accept",
           "Accept-Language", "Cookie", "X-Request-ID", "X-Forwarded-For", "User-Agent", "Origin",
           "Content-Type", "If-Unmodified-Since", "Accept-Encoding", "Host"]  # fmt: skip
HEADER_TEXTS = [text for text in TEXTS if text != "\ud800" and len(text) < 10_000]


@pytest.mark.parametrize("path", ["/movies", "/programme.ics", "/users/me"])
def test_no_header_makes_the_server_fail(staff: Client, path: str) -> None:
    forms = ["{}", "Bearer {}", "sessionid={0}; csrftoken={0}", 'W/"{}"', "bytes={}"]
    tried = itertools.product(HEADERS, HEADER_TEXTS, forms)
    for name, text, form in itertools.islice(tried, 0, None, max(1, STEP // 3)):
        value = form.replace("{0}", text).replace("{}", text).encode().decode("latin-1")
        assert staff.send("GET", path, headers={name: value}).status_code < 500, (name, text)
