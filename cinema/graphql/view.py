"""`/graphql`: the schema, its errors, and the view.

The view takes the tokens of the REST API and no cookies, so no other site can forge a request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import strawberry
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.django.views import GraphQLView
from strawberry.extensions import DisableIntrospection, MaxTokensLimiter
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry_django.optimizer import DjangoOptimizerExtension

from cinema.auth import anyone
from cinema.errors import ApiError, Unprocessable, database_away, is_bad_value
from cinema.graphql.arguments import BAD_INPUT, PAGE
from cinema.graphql.limits import MAX_TOKENS, OperationLimits
from cinema.http import json_body, json_of
from cinema.throttling.limits import Limit
from movies.graphql import MovieQuery
from recommendations.graphql import RecommendationQuery, ViewerQuery
from users.graphql import PlaylistQuery

log = logging.getLogger(__name__)

#: A message may repeat what the client sent, which may be megabytes.
MAX_MESSAGE = 500
INTERNAL = "INTERNAL_SERVER_ERROR"
_BY_STATUS = {401: "UNAUTHENTICATED", 403: "FORBIDDEN", 404: "NOT_FOUND", 429: "TOO_MANY_REQUESTS"}


def public_errors(errors: list[GraphQLError]) -> list[GraphQLError]:
    """Return the errors for the client: each with `extensions.code`, none with internals.

    A fault of the server is logged with its traceback. A client's mistakes are logged as one short
    line, which repeats nothing that the client sent.
    """
    answers = [_public_error(error) for error in errors]
    codes = sorted({(answer.extensions or {})["code"] for answer in answers} - {INTERNAL})
    if codes:
        log.info("a GraphQL operation is refused: %s", ", ".join(codes))
    return answers


def _public_error(error: GraphQLError) -> GraphQLError:
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
    """Return the code and the message of an error."""
    if isinstance(error, GraphQLSyntaxError):
        return "GRAPHQL_PARSE_FAILED", error.message
    original = error.original_error
    if isinstance(original, ApiError):
        return _BY_STATUS.get(original.status, BAD_INPUT), error.message
    if original is not None and is_bad_value(original):
        return BAD_INPUT, "An argument has a value that the database cannot take."
    # GraphQL's own error about an argument or a variable has no path, as nothing was resolved yet.
    # It keeps the exception of the scalar that refused the value.
    is_of_the_document = error.path is None and bool(error.nodes)
    if original is None or isinstance(original, GraphQLError) or is_of_the_document:
        return ("GRAPHQL_VALIDATION_FAILED" if is_of_the_document else BAD_INPUT), error.message
    return INTERNAL, "The server made an error."


@strawberry.type
class Query(MovieQuery, PlaylistQuery, RecommendationQuery, ViewerQuery):
    """Everything that can be read, by the permissions of the REST API."""


class CinemaSchema(strawberry.Schema):
    def execute_sync(self, *args: Any, **options: Any) -> ExecutionResult:
        """Execute an operation, and classify its errors."""
        result = super().execute_sync(*args, **options)
        if result.errors:
            result.errors = public_errors(result.errors)
        return result

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Errors are logged with the result; Strawberry calls this for some of them only."""


class IntrospectionBySetting(DisableIntrospection):
    def on_operation(self) -> Iterator[None]:
        if settings.GRAPHQL_INTROSPECTION:
            yield
        else:
            yield from super().on_operation()


schema = CinemaSchema(
    Query,
    extensions=[
        DjangoOptimizerExtension,
        lambda: MaxTokensLimiter(max_token_count=MAX_TOKENS),
        IntrospectionBySetting,
        OperationLimits,
    ],
    config=StrawberryConfig(relay_max_results=PAGE),
)


T = TypeVar("T")

LIMIT = Limit("THROTTLE_GRAPHQL")


class CinemaGraphQLView(GraphQLView[Any, None]):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            # This replaces the user of the admin's session, whose cookie a browser sends unasked.
            request.user = anyone(request)  # type: ignore[assignment]
            LIMIT.take(request)
            _check_operation(request)
        except ApiError as refusal:
            return refusal.response()
        except (OperationalError, InterfaceError):
            return database_away()
        return super().dispatch(request, *args, **kwargs)

    def decode_json(self, data: str | bytes) -> object:
        """Return the body as it was checked, or the variables of a GET."""
        return json_body(self.request) if self.request.method == "POST" else _read(json_of, data)


def _check_operation(request: HttpRequest) -> None:
    """Check the types that Strawberry expects.

    Raises:
        UnsupportedMediaType, Unprocessable: The body, or the query string, is no operation.
    """
    if request.method == "POST":
        operation = _read(json_body, request)
    elif variables := request.GET.get("variables"):
        operation = {"variables": _read(json_of, variables)}
    else:
        operation = {}
    if not isinstance(operation, dict):
        raise Unprocessable("body", "expected a JSON object with `query`")
    for name, kind in (("query", str), ("variables", dict), ("operationName", str)):
        if not isinstance(operation.get(name), kind | None):
            raise Unprocessable(f"body.{name}", "expected another type of value")


def _read(reader: Callable[[T], Any], source: T) -> Any:
    try:
        return reader(source)
    except (ValueError, RecursionError) as error:
        raise Unprocessable("body", "not valid JSON") from error


# The interactive page would load its scripts from elsewhere; Cinema works offline.
view = require_http_methods(["GET", "POST"])(
    csrf_exempt(
        CinemaGraphQLView.as_view(schema=schema, graphql_ide=None, multipart_uploads_enabled=False)
    )
)
