"""The viewer's list of recommendations, as `GET /recommendations` has it."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import strawberry
from django.conf import settings
from strawberry.types import Info

from cinema.errors import Unauthorized
from movies.graphql.programme import Batch
from movies.graphql.query import checked
from movies.graphql.types import MovieNode
from movies.models import Movie
from movies.programme.query import DEFAULT_DAYS
from recommendations.lists import serving
from recommendations.lists.choosing import Item
from recommendations.lists.ranking import HYBRID
from recommendations.lists.reasons import with_matches
from recommendations.schemas import RecommendationFilters
from users.graphql.types import reader_of
from users.models import User


@strawberry.enum(name="RecommendationScope")
class ScopeOfList(Enum):
    CATALOGUE = "catalogue"
    PROGRAMME = "programme"


@strawberry.type(name="RecommendationReason")
class ReasonNode:
    kind: str
    text: str
    movie_id: int | None = strawberry.field(description="The `pk` of the film it speaks of.")


@strawberry.type(name="MatchedUser")
class MatchedUserNode:
    """A viewer of similar taste who likes the film, and who agreed to be seen."""

    id: int = strawberry.field(description="As in the REST API.")
    name: str
    similarity: float


@strawberry.type(name="PotentialMatch")
class PotentialMatchNode:
    """Who would become a match."""

    user_id: int
    condition: str
    confidence: float


@strawberry.type(name="Recommendation")
class RecommendationNode:
    """A film of the list, and why it is there."""

    item: strawberry.Private[Item]
    batch: strawberry.Private[serving.Batch]
    movies: strawberry.Private[Batch[Movie]]

    @strawberry.field
    def rank(self) -> int:
        return self.item.rank

    @strawberry.field(description="Null if it was withdrawn at this very moment.")
    def movie(self, info: Info) -> MovieNode | None:
        found = self.movies.get([self.item.movie_id], info)
        return found[0] if found else None  # type: ignore[return-value]

    @strawberry.field
    def score(self) -> float:
        return self.item.score

    @strawberry.field(description="What put it there.")
    def source(self) -> str:
        return self.item.source

    @strawberry.field
    def reasons(self) -> list[ReasonNode]:
        n_matches = len(self.batch.company.matched_users(self.item.movie_id))
        return [
            ReasonNode(kind=each.kind, text=each.text, movie_id=each.movie_id)
            for each in with_matches(self.item.reasons, n_matches)
        ]

    @strawberry.field
    def matched_users(self) -> list[MatchedUserNode]:
        return [
            MatchedUserNode(id=each.id, name=each.name, similarity=each.similarity)
            for each in self.batch.company.matched_users(self.item.movie_id)
        ]

    @strawberry.field
    def potential_matches(self) -> list[PotentialMatchNode]:
        return [
            PotentialMatchNode(
                user_id=each.user_id, condition=each.condition, confidence=each.confidence
            )
            for each in self.batch.company.potential_matches(self.item.movie_id)
        ]


@strawberry.type(name="RecommendationList")
class RecommendationListNode:
    list_id: str
    scope: ScopeOfList
    algorithm: str
    release: int | None
    generated_at: datetime
    expires_at: datetime
    items: list[RecommendationNode]

    @classmethod
    def of(cls, batch: serving.Batch) -> RecommendationListNode:
        kept = batch.list
        shown = Movie.objects.published().filter(pk__in=[item.movie_id for item in batch.items])
        movies = Batch(shown)
        return cls(
            list_id=kept.list_id,
            scope=ScopeOfList(kept.scope),
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
        scope: ScopeOfList = ScopeOfList.CATALOGUE,
        algorithm: str = HYBRID,
        days: int = DEFAULT_DAYS,
        limit: int = settings.RECOMMENDATIONS_PER_REQUEST,
    ) -> RecommendationListNode | None:
        """What to watch next, for who has signed in; `days` is how many cinema days
        `PROGRAMME` looks ahead.

        The list is the one of the REST API: it is kept, and what is in it counts as shown.
        """
        reader = reader_of(info)
        if not isinstance(reader, User):
            raise Unauthorized("Sign in first: send the access token as `Authorization: Bearer …`.")
        filters = checked(
            RecommendationFilters, scope=scope.value, algorithm=algorithm, days=days, limit=limit
        )
        return RecommendationListNode.of(serving.recommend(user=reader, **filters.model_dump()))
