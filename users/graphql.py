"""Playlists and the viewer's own account in GraphQL, by the permissions of the REST API."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Annotated, Any

import strawberry
import strawberry_django
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.utils import timezone
from graphql import GraphQLError
from strawberry import relay
from strawberry.types import Info
from strawberry_django.relay import DjangoListConnection

from movies.graphql import GenreNode, MovieNode, local_time_field, validated_filters
from users.auth import Reader
from users.favourites import FavouriteFilters, favourites_of
from users.history import ViewingFilters, viewings_of
from users.models import Favourite, Playlist, PlaylistEntry, User, Viewing
from users.playlists import selectors
from users.playlists.schemas import PlaylistFilters, share_url
from users.preferences import stated_preferences


def reader_of(info: Info) -> Reader:
    user = info.context.request.user
    return user if isinstance(user, User) else AnonymousUser()


@strawberry.enum
class PlaylistSort(Enum):
    UPDATED_AT = "-updated_at"
    CREATED_AT = "-created_at"
    NAME = "name"
    FOLLOWERS_COUNT = "-followers_count"


@strawberry.type
class PlaylistOwner:
    pk: int = strawberry.field(description="The id in the REST API.")
    name: str


# These types have no global id, although Relay expects one of the nodes of a connection: each is
# reached through its parent only.


@strawberry_django.type(PlaylistEntry, name="PlaylistEntry")
class PlaylistEntryNode:
    movie: MovieNode
    added_at: datetime = local_time_field("added_at")

    @classmethod
    def get_queryset(
        cls, queryset: QuerySet[PlaylistEntry], info: Info, **options: object
    ) -> QuerySet[PlaylistEntry]:
        return queryset.filter(movie__withdrawn_at=None).order_by("position")


@strawberry_django.type(Favourite, name="Favourite")
class FavouriteNode:
    movie: MovieNode
    added_at: datetime = local_time_field("created_at")


@strawberry_django.type(Viewing, name="Viewing")
class ViewingNode:
    pk: int = strawberry_django.field(field_name="id", description="The id in the REST API.")
    movie: MovieNode
    screening_pk: int | None = strawberry_django.field(
        field_name="screening_id", only=["screening_id"]
    )
    watched_at: datetime = local_time_field("watched_at")
    checked_in: strawberry.auto


@strawberry.type
class ViewerPreferences:
    genres: list[GenreNode]
    languages: list[str]
    match_visible: bool


@strawberry_django.type(Playlist, name="Playlist")
class PlaylistNode(relay.Node):
    pk: int = strawberry_django.field(field_name="id", description="The id in the REST API.")
    name: strawberry.auto
    description: strawberry.auto
    is_public: strawberry.auto
    movie_count: int = strawberry_django.field(annotate=lambda info: selectors.movie_count())
    followers_count: int = strawberry_django.field(
        annotate=lambda info: selectors.followers_count()
    )
    is_followed: bool = strawberry_django.field(
        annotate=lambda info: selectors.is_followed(reader_of(info))
    )
    created_at: datetime = local_time_field("created_at")
    updated_at: datetime = local_time_field("updated_at")
    entries: DjangoListConnection[PlaylistEntryNode] = strawberry_django.connection(  # type: ignore[type-var]
        description="The films, in order."
    )

    @classmethod
    def get_queryset(
        cls, queryset: QuerySet[Playlist], info: Info, **options: object
    ) -> QuerySet[Playlist]:
        """Hide private playlists at every path and by global id."""
        return queryset.filter(selectors.visible_to(reader_of(info)))

    @strawberry_django.field(select_related=["user"], only=["user__name"])
    def owner(self, root: strawberry.Parent[Playlist]) -> PlaylistOwner:
        return PlaylistOwner(pk=root.user_id, name=root.user.name)

    @strawberry_django.field(only=["user_id"])
    def is_mine(self, root: strawberry.Parent[Playlist], info: Info) -> bool:
        return root.user_id == reader_of(info).pk

    @strawberry_django.field(only=["user_id", "share_slug"], description="For the owner alone.")
    def share_url(self, root: strawberry.Parent[Playlist], info: Info) -> str | None:
        return share_url(root) if root.user_id == reader_of(info).pk else None


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
        filters = validated_filters(
            PlaylistFilters, owner=owner, movie_id=movie_id, q=q, sort=sort.value if sort else None
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


def _field_of_user(name: str, **options: Any) -> Any:
    return strawberry.field(lambda root: getattr(root.user, name), **options)


@strawberry.type
class Account:
    """The account of the signed-in viewer, without ratings."""

    user: strawberry.Private[User]

    pk: int = _field_of_user("pk", description="The id in the REST API.")
    name: str = _field_of_user("name")
    email: str = _field_of_user("email")
    is_staff: bool = _field_of_user("is_staff")

    @strawberry.field
    def date_joined(self) -> datetime:
        return timezone.localtime(self.user.date_joined)

    @strawberry.field
    def preferences(self) -> ViewerPreferences:
        stated = stated_preferences(self.user.pk)
        return ViewerPreferences(
            genres=list(stated.genres),  # type: ignore[arg-type]
            languages=list(stated.languages),
            match_visible=stated.match_visible,
        )

    @strawberry_django.connection(DjangoListConnection[FavouriteNode])  # type: ignore[type-var]
    def favourites(self, genre: str | None = None) -> Iterable[FavouriteNode]:
        """The films that the viewer loves, the latest first."""
        found = favourites_of(self.user, validated_filters(FavouriteFilters, genre=genre))
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
        filters = validated_filters(
            ViewingFilters, movie_id=movie_id, checked_in=checked_in, to=to, **{"from": from_}
        )
        found = viewings_of(self.user, filters)
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
        filters = validated_filters(PlaylistFilters, owner=owner)
        return selectors.list_playlists(filters, reader=self.user)  # type: ignore[return-value]
