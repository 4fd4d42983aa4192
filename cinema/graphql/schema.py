"""The one GraphQL schema, put together from the apps' parts."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import strawberry
from django.conf import settings
from graphql import GraphQLError
from strawberry.extensions import DisableIntrospection, MaskErrors, MaxTokensLimiter
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext
from strawberry_django.optimizer import DjangoOptimizerExtension

from cinema.errors import ApiError
from cinema.graphql.limits import PAGE, OperationLimits
from movies.graphql.query import MovieQuery
from recommendations.graphql.lists import RecommendationQuery
from recommendations.graphql.query import ViewerQuery
from users.graphql.query import PlaylistQuery

log = logging.getLogger(__name__)


@strawberry.type
class Query(MovieQuery, PlaylistQuery, RecommendationQuery, ViewerQuery):
    """What can be read; who may read what is as in the REST API."""


class CinemaSchema(strawberry.Schema):
    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Log what is a fault of ours; a client's mistake is told to the client alone."""
        for error in errors:
            if _is_internal(error):
                log.error("a GraphQL field failed: %s", error.path, exc_info=error.original_error)


def _is_internal(error: GraphQLError) -> bool:
    """Whether the message may say more than a client should know."""
    original = error.original_error
    if original is None or isinstance(original, GraphQLError | ApiError):
        return False
    # What strawberry.relay says of a cursor or a page size.
    return not (isinstance(original, ValueError | TypeError) and "Argument '" in str(original))


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
        lambda: MaskErrors(_is_internal, error_message="The server made an error."),
    ],
    config=StrawberryConfig(relay_max_results=PAGE),
)
