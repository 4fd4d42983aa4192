"""No value in a path, a query, a body, a header or a cookie makes the REST API fail."""

from __future__ import annotations

import collections
import itertools
import logging
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from cinema.api import api
from tests.builders import Client, make_movie, make_screening
from tests.hostile import BODIES, JSON_VALUES, TEXTS

pytestmark = pytest.mark.django_db

#: Each value is tried in every n-th parameter; `HOSTILE=1` tries all in all (minutes).
STEP = int(os.environ.get("HOSTILE") or 23)
Case = tuple[str, str, dict[str, str], bytes | Any]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in api.get_openapi_schema()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def cases() -> Iterator[Case]:
    for method, path, operation in operations():
        parameters = operation.get("parameters", [])
        in_path = {p["name"] for p in parameters if p["in"] == "path"}
        for name in in_path:
            for text in TEXTS:
                given = {n: text if n == name else "1" for n in in_path}
                yield method, filled(path, given), {}, None
        plain = filled(path, dict.fromkeys(in_path, "1"))
        for parameter in parameters:
            if parameter["in"] == "query":
                for text in TEXTS:
                    yield method, plain, {parameter["name"]: text}, None
        if "requestBody" in operation:
            for body in BODIES:
                yield method, plain, {}, body
            for field in fields(operation):
                for value in JSON_VALUES:
                    yield method, plain, {}, {field: value}


def fields(operation: dict[str, Any]) -> list[str]:
    content = operation["requestBody"]["content"]
    schema = content.get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = api.get_openapi_schema()["components"]["schemas"][name]
    return list(schema.get("properties", {}))


def filled(path: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = quote(value, safe="", errors="surrogatepass")
        path = path.replace(f"{{{name}}}", text)
    return path


def test_no_value_makes_the_server_fail(staff: Client, caplog: pytest.LogCaptureFixture) -> None:
    make_screening(make_movie())
    caplog.set_level(logging.WARNING)
    failed = []
    seen = []
    for number, (method, path, query, body) in enumerate(cases()):
        if number % STEP:
            continue
        text = "&".join(f"{n}={quote(v, errors='surrogatepass')}" for n, v in query.items())
        address = f"{path}?{text}" if text else path
        answer = staff.send(method, address, body)
        seen.append(answer.status_code)
        if answer.streaming:
            answer.getvalue()
        if answer.status_code >= 500:
            failed.append((answer.status_code, method, address[:200], str(body)[:100]))
    print(collections.Counter(seen))
    assert failed == []


HEADERS = ["Authorization", "If-None-Match", "If-Match", "If-Modified-Since", "Range", "Accept",
           "Accept-Language", "Cookie", "X-Request-ID", "X-Forwarded-For", "User-Agent", "Origin",
           "Content-Type", "If-Unmodified-Since", "Accept-Encoding"]  # fmt: skip
HEADER_VALUES = [t for t in TEXTS if "\n" not in t and "\ud800" not in t and len(t) < 10_000]


@pytest.mark.parametrize("path", ["/movies", "/programme.ics", "/users/me", "/movies/1"])
def test_no_header_makes_the_server_fail(staff: Client, path: str) -> None:
    for name, value in itertools.product(HEADERS, HEADER_VALUES):
        for text in (value, f"Bearer {value}", f"sessionid={value}; csrftoken={value}"):
            raw = text.encode().decode("latin-1")
            assert staff.send("GET", path, headers={name: raw}).status_code < 500, (name, text)
