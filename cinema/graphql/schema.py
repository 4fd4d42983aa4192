"""The one GraphQL schema, put together from the apps' parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import strawberry
from django.conf import settings
from graphql import GraphQLError
from strawberry.extensions import DisableIntrospection, MaxTokensLimiter
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry_django.optimizer import DjangoOptimizerExtension

from cinema.graphql.errors import told
from cinema.graphql.limits import PAGE, OperationLimits
from movies.graphql.query import MovieQuery
from recommendations.graphql.lists import RecommendationQuery
from recommendations.graphql.query import ViewerQuery
from users.graphql.query import PlaylistQuery


@strawberry.type
class Query(MovieQuery, PlaylistQuery, RecommendationQuery, ViewerQuery):
    """What can be read; who may read what is as in the REST API."""


class CinemaSchema(strawberry.Schema):
    def execute_sync(self, *args: Any, **options: Any) -> ExecutionResult:
        """Execute an operation; its errors say whose mistake they are, and no more."""
        result = super().execute_sync(*args, **options)
        if result.errors:
            result.errors = told(result.errors)
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
        lambda: MaxTokensLimiter(max_token_count=settings.GRAPHQL_MAX_TOKENS),
        IntrospectionBySetting,
        OperationLimits,
    ],
    config=StrawberryConfig(relay_max_results=PAGE),
)
