"""What can be asked of playlists, and of what belongs to the viewer who asks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import strawberry
import strawberry_django
from django.utils import timezone
from graphql import GraphQLError
from strawberry.types import Info
from strawberry_django.relay import DjangoListConnection

from movies.graphql.query import checked
from users.favourites.schemas import FavouriteFilters
from users.favourites.selectors import list_favourites
from users.graphql.types import (
    FavouriteNode,
    PlaylistNode,
    PlaylistSort,
    ViewerPreferences,
    ViewingNode,
    reader_of,
)
from users.history.schemas import ViewingFilters
from users.history.selectors import list_viewings
from users.models import User
from users.playlists import selectors
from users.playlists.schemas import PlaylistFilters
from users.preferences.selectors import get_preferences


@strawberry.type
class PlaylistQuery:
    @strawberry_django.connection(DjangoListConnection[PlaylistNode])
    def playlists(
        self,
        info: Info,
        owner: str | None = None,
        movie_id: int | None = None,
        q: str | None = None,
        sort: PlaylistSort | None = None,
    ) -> Iterable[PlaylistNode]:
        """Public playlists and your own. `owner` is `me`, `followed`, or the id of a viewer."""
        filters = checked(
            PlaylistFilters,
            owner=owner,
            movie_id=movie_id,
            q=q,
            sort=sort.value if sort else None,
        )
        return selectors.list_playlists(filters, reader=reader_of(info))  # type: ignore[return-value]

    @strawberry_django.field
    def playlist(
        self, info: Info, pk: int | None = None, slug: str | None = None
    ) -> PlaylistNode | None:
        """One playlist, by the id of the REST API or by what its link ends in."""
        reader = reader_of(info)
        if (pk is None) == (slug is None):
            raise GraphQLError("Give either `pk` or `slug`.")
        found = (
            selectors.visible_playlists(reader).filter(pk=pk or 0)
            if slug is None
            else selectors.shared_playlists(slug)
        )
        return selectors.described(found, reader).first()  # type: ignore[return-value]


@strawberry.type
class Account:
    """What belongs to the viewer who asks, as far as this app knows it."""

    user: strawberry.Private[User]

    @strawberry.field(description="As in the REST API.")
    def pk(self) -> int:
        return self.user.pk

    @strawberry.field
    def name(self) -> str:
        return self.user.name

    @strawberry.field
    def email(self) -> str:
        return self.user.email

    @strawberry.field
    def is_staff(self) -> bool:
        return self.user.is_staff

    @strawberry.field
    def date_joined(self) -> datetime:
        return timezone.localtime(self.user.date_joined)

    @strawberry.field
    def preferences(self) -> ViewerPreferences:
        stated = get_preferences(self.user.pk)
        return ViewerPreferences(
            genres=list(stated.genres),  # type: ignore[arg-type]
            languages=list(stated.languages),
            match_visible=stated.match_visible,
        )

    @strawberry_django.connection(DjangoListConnection[FavouriteNode])  # type: ignore[type-var]
    def favourites(self, genre: str | None = None) -> Iterable[FavouriteNode]:
        """The films that the viewer loves, the latest first."""
        found = list_favourites(self.user, checked(FavouriteFilters, genre=genre))
        return found.select_related(None).prefetch_related(None)  # type: ignore[return-value]

    @strawberry_django.connection(DjangoListConnection[ViewingNode])  # type: ignore[type-var]
    def history(
        self,
        movie_id: int | None = None,
        checked_in: bool | None = None,
        from_: Annotated[datetime | None, strawberry.argument(name="from")] = None,
        to: datetime | None = None,
    ) -> Iterable[ViewingNode]:
        """What the viewer has watched, the latest first."""
        filters = checked(
            ViewingFilters,
            movie_id=movie_id,
            checked_in=checked_in,
            to=to,
            **{"from": from_},
        )
        found = list_viewings(self.user, filters)
        return found.select_related(None).prefetch_related(None)  # type: ignore[return-value]

    @strawberry_django.connection(DjangoListConnection[PlaylistNode])
    def playlists(self) -> Iterable[PlaylistNode]:
        """The viewer's own, the last changed first."""
        return self._playlists("me")

    @strawberry_django.connection(DjangoListConnection[PlaylistNode])
    def followed_playlists(self) -> Iterable[PlaylistNode]:
        """Public ones of others that the viewer follows, the last changed first."""
        return self._playlists("followed")

    def _playlists(self, owner: str) -> Iterable[PlaylistNode]:
        filters = checked(PlaylistFilters, owner=owner)
        return selectors.list_playlists(filters, reader=self.user)  # type: ignore[return-value]
