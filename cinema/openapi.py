"""The OpenAPI document, brought to what the specification and a reader of Swagger expect."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from cinema.errors import CONTENT_TYPE

#: Every operation that asks the database can find it away.
AWAY = HTTPStatus.SERVICE_UNAVAILABLE


def polish(document: dict[str, Any]) -> None:
    """Change the document, as Django Ninja makes it, in place."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    # Ninja names a scheme after each class; all are the one token.
    document["components"]["securitySchemes"] = {"Bearer": next(iter(schemes.values()))}
    for operation in _operations(document):
        _summarise(operation)
        if "security" in operation:
            is_optional = any("Anyone" in scheme for scheme in operation["security"])
            operation["security"] = [*([{}] if is_optional else []), {"Bearer": []}]
        for parameter in operation.get("parameters", []):
            # A list is the form of a schema; a parameter's own would be an object.
            parameter.pop("examples", None)
        _describe_errors(operation)


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        yield from operations.values()


def _summarise(operation: dict[str, Any]) -> None:
    """The first sentence of the docstring says more than the function's name."""
    first, _, rest = operation.pop("description", "").strip().partition(". ")
    operation["summary"] = first.rstrip(".") or operation["summary"]
    if rest:
        operation["description"] = rest


def _describe_errors(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    responses.setdefault(AWAY.value, {"description": AWAY.phrase, "content": {"": problem}})
    for status, response in responses.items():
        if int(status) >= HTTPStatus.BAD_REQUEST and "content" in response:
            [body] = response["content"].values()
            response["content"] = {CONTENT_TYPE: body}
