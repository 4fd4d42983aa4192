"""Corrections of the OpenAPI document that Django Ninja makes."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from cinema.errors import CONTENT_TYPE
from cinema.http import JSON

#: The database can be away for every operation.
AWAY = HTTPStatus.SERVICE_UNAVAILABLE
#: Every operation that answers JSON refuses query parameters that it does not have.
UNPROCESSABLE = HTTPStatus.UNPROCESSABLE_ENTITY
#: Rate limits count every operation.
TOO_MANY = HTTPStatus.TOO_MANY_REQUESTS
#: A health report is no problem document: monitors read it as one with status 200.
HEALTH_REPORT = {"schema": {"$ref": "#/components/schemas/HealthOut"}}
#: Every operation with a body.
OF_A_BODY = [HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE]
#: Every GET. A few never answer it, because no client may keep their answers.
NOT_MODIFIED = HTTPStatus.NOT_MODIFIED
RETRY_AFTER = {
    "description": "Seconds until one more is within the limit.",
    "schema": {"type": "integer", "minimum": 1, "examples": [7]},
}


def polish(document: dict[str, Any]) -> None:
    """Correct the document in place."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    # Ninja names a scheme after each class. All of them use the same token.
    document["components"]["securitySchemes"] = {"Bearer": next(iter(schemes.values()))}
    for method, operation in _operations(document):
        _summarise(operation)
        if "security" in operation:
            is_optional = any("Anyone" in scheme for scheme in operation["security"])
            operation["security"] = [*([{}] if is_optional else []), {"Bearer": []}]
        for parameter in operation.get("parameters", []):
            # Examples of a schema are a list. Those of a parameter would be an object.
            parameter.pop("examples", None)
        _unwrap_body(operation)
        _describe_errors(operation)
        if method == "get":
            not_modified = {"description": f"{NOT_MODIFIED.phrase}: `If-None-Match` has the ETag."}
            operation["responses"][NOT_MODIFIED.value] = not_modified


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for operations in document["paths"].values():
        yield from operations.items()


def _summarise(operation: dict[str, Any]) -> None:
    """Take the summary from the first sentence of the docstring, not from the function's name."""
    first, _, rest = operation.pop("description", "").strip().partition(". ")
    operation["summary"] = first.rstrip(".") or operation["summary"]
    if rest:
        operation["description"] = rest


def _unwrap_body(operation: dict[str, Any]) -> None:
    """Describe an optional body by its schema, not by `allOf` of one schema with a default."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if len(schemas := content["schema"].get("allOf", ())) == 1:
            content["schema"] = schemas[0]


def _describe_errors(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    always = [AWAY, TOO_MANY]
    always += OF_A_BODY if "requestBody" in operation else []
    always += [UNPROCESSABLE] if _answers_json(responses) else []
    for refusal in always:
        entry = {"description": refusal.phrase, "content": {JSON: problem}}
        responses.setdefault(refusal.value, entry)
    responses[TOO_MANY.value]["headers"] = {"Retry-After": RETRY_AFTER}
    for status, response in responses.items():
        if int(status) >= HTTPStatus.BAD_REQUEST and "content" in response:
            [body] = response["content"].values()
            if body != HEALTH_REPORT:
                response["content"] = {CONTENT_TYPE: body}


def _answers_json(responses: dict[Any, Any]) -> bool:
    kinds = {kind for response in responses.values() for kind in response.get("content", {})}
    return kinds <= {JSON}
