"""`/graphql`: the same tokens as the REST API, and no cookies, so no forgery across sites."""

from __future__ import annotations

from typing import Any

import orjson
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from strawberry.django.views import GraphQLView

from cinema.auth import anyone
from cinema.errors import ApiError, Unprocessable, database_away
from cinema.graphql.schema import schema
from cinema.throttling.limits import Limit

LIMIT = Limit("THROTTLE_GRAPHQL")


class CinemaGraphQLView(GraphQLView[Any, None]):
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            # Also where the session of the admin is there: a cookie comes along unasked.
            request.user = anyone(request)  # type: ignore[assignment]
            LIMIT.take(request)
            _check_body(request)
        except ApiError as refusal:
            return refusal.response()
        except (OperationalError, InterfaceError):
            return database_away()
        return super().dispatch(request, *args, **kwargs)


def _check_body(request: HttpRequest) -> None:
    """What Strawberry takes for granted.

    Raises:
        Unprocessable: The body is not a JSON object.
    """
    if request.method != "POST":
        return
    try:
        is_object = isinstance(orjson.loads(request.body), dict)
    except orjson.JSONDecodeError:
        is_object = False
    if not is_object:
        raise Unprocessable("body", "expected a JSON object with `query`")


# The interactive page would load its scripts from elsewhere; Cinema works offline.
view = require_http_methods(["GET", "POST"])(
    csrf_exempt(
        CinemaGraphQLView.as_view(schema=schema, graphql_ide=None, multipart_uploads_enabled=False)
    )
)
