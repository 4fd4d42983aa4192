"""The OpenAPI document: valid, complete, and readable by Swagger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from ninja import Schema
from openapi_spec_validator import validate
from pydantic import BaseModel

from tests.builders import Client

pytestmark = [pytest.mark.django_db, pytest.mark.every_python]


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets a key stand twice; Swagger UI does not."""
    assert len({key for key, _ in pairs}) == len(pairs), [key for key, _ in pairs]
    return dict(pairs)


@pytest.fixture
def document() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(_text(), object_pairs_hook=without_repeats)
    return parsed


@cache
def _text() -> bytes:
    """It takes seconds to make."""
    return Client().get("/openapi.json").content


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)


def test_every_operation_has_a_summary_tags_and_its_error_statuses(
    document: dict[str, Any],
) -> None:
    for name, operation in operations(document):
        assert operation["summary"][0].isupper(), name
        assert operation["tags"], name
        statuses = set(operation["responses"])
        assert "503" in statuses, name
        if {"Bearer": []} in operation.get("security", []):
            assert "401" in statuses, name
        if "requestBody" in operation:
            assert {"413", "415", "422"} <= statuses, name


def test_every_get_may_answer_that_nothing_has_changed(document: dict[str, Any]) -> None:
    with_it = {name for name, each in operations(document) if "304" in each["responses"]}
    assert with_it == {name for name, _ in operations(document) if name.startswith("GET ")}
    assert "content" not in document["paths"]["/api/v1/genres"]["get"]["responses"]["304"]


@pytest.mark.parametrize("path", ["/genres", "/users/me", "/movies/feed.atom"])
def test_a_get_with_the_etag_of_the_standing_answer_is_304(viewer: Client, path: str) -> None:
    etag = viewer.get(path)["ETag"]
    assert viewer.send("GET", path, headers={"If-None-Match": etag}).status_code == 304


def test_errors_are_problem_documents(document: dict[str, Any]) -> None:
    reports = {f"GET /api/v1/health{part}" for part in ("", "/ready", "/db")}
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if name in reports and status == "503":
                assert list(response["content"]) == ["application/json"], name
            elif int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], name


def test_a_refused_query_parameter_is_declared_wherever_json_is_answered(
    document: dict[str, Any],
) -> None:
    without = {name for name, each in operations(document) if "422" not in each["responses"]}
    assert without == {
        "GET /api/v1/movies/feed.atom",
        "GET /api/v1/movies/{movie_id}/programme.ics",
        "GET /api/v1/movies/{movie_id}/programme.jsonld",
    }


def test_there_is_one_way_to_authorise(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert list(schemes) == ["Bearer"]
    assert schemes["Bearer"]["scheme"] == "bearer"


def test_every_request_body_shows_an_example(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name, operation in operations(document):
        if "requestBody" in operation:
            [content] = operation["requestBody"]["content"].values()
            schema = content["schema"]  # of a form in its place, else by its name
            schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
            properties = schema["properties"].values()
            assert any("examples" in field for field in properties), name


def test_uploads_are_forms_with_a_file(document: dict[str, Any]) -> None:
    for what in ("poster", "trailer"):
        operation = document["paths"][f"/api/v1/movies/{{movie_id}}/{what}"]["put"]
        schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert schema["properties"]["file"]["format"] == "binary"
        assert schema["required"] == ["file"]


def test_no_two_schemas_share_a_name() -> None:
    """The document holds them by their names: of two it would show one, for both."""
    named: dict[str, set[type]] = {}
    for schema in _below(Schema):
        if schema.__module__.partition(".")[0] in ("cinema", "movies", "recommendations", "users"):
            named.setdefault(schema.__qualname__, set()).add(schema)
    assert len(named) > 80
    assert {name for name, schemas in named.items() if len(schemas) > 1} == set()


def _below(schema: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in schema.__subclasses__():
        yield each
        yield from _below(each)
