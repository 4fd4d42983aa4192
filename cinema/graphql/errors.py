"""Errors of an operation: a client's mistake is told to the client, a fault of ours is logged."""

from __future__ import annotations

import logging
from typing import Any

from graphql import GraphQLError, GraphQLSyntaxError

from cinema.errors import ApiError, is_bad_value
from cinema.graphql.arguments import BAD_INPUT

log = logging.getLogger(__name__)

#: A message may repeat what the client sent, which may be megabytes.
MAX_MESSAGE = 500
INTERNAL = "INTERNAL_SERVER_ERROR"
_BY_STATUS = {401: "UNAUTHENTICATED", 403: "FORBIDDEN", 404: "NOT_FOUND", 429: "TOO_MANY_REQUESTS"}


def told(errors: list[GraphQLError]) -> list[GraphQLError]:
    """The errors as the client gets them: each with `extensions.code`, none with internals.

    A fault of ours is logged with its traceback; a client's mistakes are one
    short line, which repeats nothing that the client sent.
    """
    answers = [_told(error) for error in errors]
    codes = sorted({(answer.extensions or {})["code"] for answer in answers} - {INTERNAL})
    if codes:
        log.info("a GraphQL operation is refused: %s", ", ".join(codes))
    return answers


def _told(error: GraphQLError) -> GraphQLError:
    code, message = _classified(error)
    if code == INTERNAL:
        log.error("a GraphQL field failed: %s", error.path, exc_info=error.original_error)
    if len(message) > MAX_MESSAGE:
        message = f"{message[:MAX_MESSAGE]}…"
    extensions: dict[str, Any] = {"code": code, **(error.extensions or {})}
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )


def _classified(error: GraphQLError) -> tuple[str, str]:
    """The code and the message of an error."""
    if isinstance(error, GraphQLSyntaxError):
        return "GRAPHQL_PARSE_FAILED", error.message
    original = error.original_error
    if isinstance(original, ApiError):
        return _BY_STATUS.get(original.status, BAD_INPUT), error.message
    if original is not None and is_bad_value(original):
        return BAD_INPUT, "An argument has a value that the database cannot take."
    # What GraphQL itself says of an argument or a variable comes without a path: nothing was
    # resolved yet. Its own errors keep the exception of the scalar that refused the value.
    is_of_the_document = error.path is None and bool(error.nodes)
    if original is None or isinstance(original, GraphQLError) or is_of_the_document:
        return ("GRAPHQL_VALIDATION_FAILED" if is_of_the_document else BAD_INPUT), error.message
    return INTERNAL, "The server made an error."
