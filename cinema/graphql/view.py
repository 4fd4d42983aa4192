"""`/graphql`: the same tokens as the REST API, and no cookies, so no forgery across sites."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from strawberry.django.views import GraphQLView

from cinema.auth import anyone
from cinema.bodies import json_body, json_of
from cinema.errors import ApiError, Unprocessable, database_away
from cinema.graphql.schema import schema
from cinema.throttling.limits import Limit

T = TypeVar("T")

LIMIT = Limit("THROTTLE_GRAPHQL")


class CinemaGraphQLView(GraphQLView[Any, None]):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            # Also where the session of the admin is there: a cookie comes along unasked.
            request.user = anyone(request)  # type: ignore[assignment]
            LIMIT.take(request)
            _check_operation(request)
        except ApiError as refusal:
            return refusal.response()
        except (OperationalError, InterfaceError):
            return database_away()
        return super().dispatch(request, *args, **kwargs)

    def decode_json(self, data: str | bytes) -> object:
        """The body as it was checked, or the variables of a GET."""
        return json_body(self.request) if self.request.method == "POST" else _read(json_of, data)


def _check_operation(request: HttpRequest) -> None:
    """What Strawberry takes for granted.

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
