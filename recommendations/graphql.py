"""Recommendations, ratings and the viewer in GraphQL, as the REST API shows them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum

import strawberry
import strawberry_django
from django.conf import settings
from django.utils import timezone
from strawberry.types import Info
from strawberry_django.relay import DjangoListConnection

from cinema.errors import Unauthorized
from movies.graphql import MovieNode, RowLoader, validated_filters
from movies.models import Movie
from movies.programme.selectors import DEFAULT_DAYS
from recommendations.lists import serving
from recommendations.lists.list_builder import ListItem
from recommendations.lists.ranking import HYBRID
from recommendations.lists.serving import with_matches
from recommendations.models import Interaction
from recommendations.ratings import RatingFilters, filtered_ratings
from recommendations.schemas import RecommendationFilters
from users.graphql import Account, reader_of
from users.models import User


@strawberry.enum(name="RecommendationScope")
class RecommendationScope(Enum):
    CATALOGUE = "catalogue"
    PROGRAMME = "programme"


@strawberry.type(name="RecommendationReason")
class ReasonNode:
    kind: str
    text: str
    movie_id: int | None = strawberry.field(description="`pk` of the film that it names.")


@strawberry.type(name="MatchedUser")
class MatchedUserNode:
    """A viewer of similar taste who likes the film, and who agreed to be seen."""

    id: int = strawberry.field(description="The id in the REST API.")
    name: str
    similarity: float


@strawberry.type(name="PotentialMatch")
class PotentialMatchNode:
    """A viewer who would become a match."""

    user_id: int
    condition: str
    confidence: float


@strawberry.type(name="Recommendation")
class RecommendationNode:
    """A movie of the list, and the reasons for it."""

    item: strawberry.Private[ListItem]
    batch: strawberry.Private[serving.ListBatch]
    movies: strawberry.Private[RowLoader[Movie]]

    @strawberry.field
    def rank(self) -> int:
        return self.item.rank

    @strawberry.field(description="Null if the film has just been withdrawn.")
    def movie(self, info: Info) -> MovieNode | None:
        found = self.movies.get([self.item.movie_id], info)
        return found[0] if found else None  # type: ignore[return-value]

    @strawberry.field
    def score(self) -> float:
        return self.item.score

    @strawberry.field(description="The algorithm or fallback that chose the film.")
    def source(self) -> str:
        return self.item.source

    @strawberry.field
    def reasons(self) -> list[ReasonNode]:
        n_matches = len(self.batch.matches.matched_users(self.item.movie_id))
        return [
            ReasonNode(kind=each.kind, text=each.text, movie_id=each.movie_id)
            for each in with_matches(self.item.reasons, n_matches)
        ]

    @strawberry.field
    def matched_users(self) -> list[MatchedUserNode]:
        return [
            MatchedUserNode(id=each.id, name=each.name, similarity=each.similarity)
            for each in self.batch.matches.matched_users(self.item.movie_id)
        ]

    @strawberry.field
    def potential_matches(self) -> list[PotentialMatchNode]:
        return [
            PotentialMatchNode(
                user_id=each.user_id, condition=each.condition, confidence=each.confidence
            )
            for each in self.batch.matches.potential_matches(self.item.movie_id)
        ]


@strawberry.type(name="RecommendationList")
class RecommendationListNode:
    list_id: str
    scope: RecommendationScope
    algorithm: str
    release: int | None
    generated_at: datetime
    expires_at: datetime
    items: list[RecommendationNode]

    @classmethod
    def of(cls, batch: serving.ListBatch) -> RecommendationListNode:
        kept = batch.list
        shown = Movie.objects.published().filter(pk__in=[item.movie_id for item in batch.items])
        movies = RowLoader(shown)
        return cls(
            list_id=kept.list_id,
            scope=RecommendationScope(kept.scope),
            algorithm=kept.algorithm,
            release=kept.release,
            generated_at=datetime.fromisoformat(kept.generated_at),
            expires_at=datetime.fromisoformat(kept.expires_at),
            items=[
                RecommendationNode(item=item, batch=batch, movies=movies) for item in batch.items
            ],
        )


@strawberry.type
class RecommendationQuery:
    @strawberry.field
    def recommendations(
        self,
        info: Info,
        scope: RecommendationScope = RecommendationScope.CATALOGUE,
        algorithm: str = HYBRID,
        days: int = DEFAULT_DAYS,
        limit: int = settings.RECOMMENDATIONS_PER_REQUEST,
        exclude: list[int] | None = None,
        genre: str | None = None,
        runtime_max: int | None = None,
        language: str | None = None,
        understands: list[str] | None = None,
        before: str | None = None,
        calibrated: bool = False,
    ) -> RecommendationListNode | None:
        """The list of the REST API: it is cached, and its movies count as shown.

        `days` is the number of cinema days that `PROGRAMME` looks ahead. The filters are those of
        the REST API.
        """
        reader = reader_of(info)
        if not isinstance(reader, User):
            raise Unauthorized("Sign in first: send the access token as `Authorization: Bearer …`.")
        filters = validated_filters(
            RecommendationFilters,
            scope=scope.value,
            algorithm=algorithm,
            days=days,
            limit=limit,
            exclude=exclude,
            genre=genre,
            runtime_max=runtime_max,
            language=language,
            understands=understands,
            before=before,
            calibrated=calibrated,
        )
        found = serving.recommend(user=reader, query=filters.query(), limit=limit, refresh=False)
        return RecommendationListNode.of(found)


@strawberry_django.type(Interaction, name="Rating")
class RatingNode:
    """The viewer's rating of a movie."""

    movie: MovieNode

    @strawberry_django.field(only=["half_stars"], description="0.5 to 5 in halves.")
    def stars(self, root: strawberry.Parent[Interaction]) -> float:
        return root.half_stars / 2

    @strawberry_django.field(only=["updated_at"])
    def rated_at(self, root: strawberry.Parent[Interaction]) -> datetime:
        return timezone.localtime(root.updated_at)


@strawberry.type
class Viewer(Account):
    """The signed-in viewer and their data."""

    @strawberry_django.connection(DjangoListConnection[RatingNode])  # type: ignore[type-var]
    def ratings(
        self,
        stars_from: float | None = None,
        stars_to: float | None = None,
        genre: str | None = None,
    ) -> Iterable[RatingNode]:
        """The viewer's ratings, the latest first."""
        filters = validated_filters(
            RatingFilters, stars_from=stars_from, stars_to=stars_to, genre=genre
        )
        found = filtered_ratings(self.user, filters)
        return found.select_related(None).prefetch_related(None)  # type: ignore[return-value]


@strawberry.type
class ViewerQuery:
    @strawberry.field
    def viewer(self, info: Info) -> Viewer | None:
        """The viewer who asks; null without a sign-in."""
        reader = reader_of(info)
        return Viewer(user=reader) if isinstance(reader, User) else None
