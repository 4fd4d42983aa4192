"""The viewer who asks: what `users` knows of them, and what they say of films."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import strawberry
import strawberry_django
from django.utils import timezone
from strawberry.types import Info
from strawberry_django.relay import DjangoListConnection

from movies.graphql.query import checked
from movies.graphql.types import MovieNode
from recommendations.models import Interaction
from recommendations.ratings.schemas import RatingFilters
from recommendations.ratings.selectors import list_ratings
from users.graphql.query import Account
from users.graphql.types import reader_of
from users.models import User


@strawberry_django.type(Interaction, name="Rating")
class RatingNode:
    """What the viewer gives a film."""

    movie: MovieNode

    @strawberry_django.field(only=["half_stars"], description="0.5 to 5 in halves.")
    def stars(self, root: strawberry.Parent[Interaction]) -> float:
        return root.half_stars / 2

    @strawberry_django.field(only=["updated_at"])
    def rated_at(self, root: strawberry.Parent[Interaction]) -> datetime:
        return timezone.localtime(root.updated_at)


@strawberry.type
class Viewer(Account):
    """Whoever asks, and what is theirs."""

    @strawberry_django.connection(DjangoListConnection[RatingNode])  # type: ignore[type-var]
    def ratings(
        self,
        stars_from: float | None = None,
        stars_to: float | None = None,
        genre: str | None = None,
    ) -> Iterable[RatingNode]:
        """The viewer's ratings, the latest first."""
        filters = checked(RatingFilters, stars_from=stars_from, stars_to=stars_to, genre=genre)
        found = list_ratings(self.user, filters)
        return found.select_related(None).prefetch_related(None)  # type: ignore[return-value]


@strawberry.type
class ViewerQuery:
    @strawberry.field
    def viewer(self, info: Info) -> Viewer | None:
        """Whoever asks; null for who has not signed in."""
        reader = reader_of(info)
        return Viewer(user=reader) if isinstance(reader, User) else None
