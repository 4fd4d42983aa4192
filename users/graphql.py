"""Playlists and the viewer's own account in GraphQL, by the permissions of the REST API."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import strawberry
import strawberry_django
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.utils import timezone
from graphql import GraphQLError
from strawberry import relay
from strawberry.types import Info
from strawberry_django.relay import DjangoListConnection

from movies.graphql import validated_filters
from movies.graphql_types import GenreNode, MovieNode
from users.auth import Reader
from users.favourites import FavouriteFilters, favourites_of
from users.history import ViewingFilters, viewings_of
from users.models import Favourite, Playlist, PlaylistEntry, User, Viewing
from users.playlists import selectors
from users.playlists.schemas import PlaylistFilters, share_url
from users.preferences import stated_preferences

if TYPE_CHECKING:

    class PlaylistWithCounts(Playlist):
        """A playlist with the annotations of `selectors.described` or of the fields here."""

        movie_count: int
        followers_count: int
        is_followed: bool
        is_mine: bool


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
    pk: int = strawberry.field(description="As in the REST API.")
    name: str


# These types have no global id, although Relay expects one of the nodes of a connection: each is
# reached through its parent only.


@strawberry_django.type(PlaylistEntry, name="PlaylistEntry")
class PlaylistEntryNode:
    """A film in a playlist."""

    movie: MovieNode

    @classmethod
    def get_queryset(
        cls, queryset: QuerySet[PlaylistEntry], info: Info, **options: object
    ) -> QuerySet[PlaylistEntry]:
        return queryset.filter(movie__withdrawn_at=None).order_by("position")

    @strawberry_django.field(only=["added_at"])
    def added_at(self, root: strawberry.Parent[PlaylistEntry]) -> datetime:
        return timezone.localtime(root.added_at)


@strawberry_django.type(Favourite, name="Favourite")
class FavouriteNode:
    """A film that the viewer loves."""

    movie: MovieNode

    @strawberry_django.field(only=["created_at"])
    def added_at(self, root: strawberry.Parent[Favourite]) -> datetime:
        return timezone.localtime(root.created_at)


@strawberry_django.type(Viewing, name="Viewing")
class ViewingNode:
    """A viewing of a movie by the viewer."""

    movie: MovieNode
    checked_in: strawberry.auto

    @strawberry_django.field(only=["id"], description="As in the REST API.")
    def pk(self, root: strawberry.Parent[Viewing]) -> int:
        return root.pk

    @strawberry_django.field(only=["screening_id"])
    def screening_pk(self, root: strawberry.Parent[Viewing]) -> int | None:
        return root.screening_id

    @strawberry_django.field(only=["watched_at"])
    def watched_at(self, root: strawberry.Parent[Viewing]) -> datetime:
        return timezone.localtime(root.watched_at)


@strawberry.type
class ViewerPreferences:
    """The genres and languages that the viewer has stated."""

    genres: list[GenreNode]
    languages: list[str]
    match_visible: bool


@strawberry_django.type(Playlist, name="Playlist")
class PlaylistNode(relay.Node):
    name: strawberry.auto
    description: strawberry.auto
    is_public: strawberry.auto
    entries: DjangoListConnection[PlaylistEntryNode] = strawberry_django.connection(  # type: ignore[type-var]
        description="The films, in order."
    )

    @classmethod
    def get_queryset(
        cls, queryset: QuerySet[Playlist], info: Info, **options: object
    ) -> QuerySet[Playlist]:
        """Hide private playlists at every path and by global id."""
        return queryset.filter(selectors.visible_to(reader_of(info)))

    @strawberry_django.field(only=["id"], description="As in the REST API.")
    def pk(self, root: strawberry.Parent[Playlist]) -> int:
        return root.pk

    @strawberry_django.field(select_related=["user"], only=["user__name"])
    def owner(self, root: strawberry.Parent[Playlist]) -> PlaylistOwner:
        return PlaylistOwner(pk=root.user_id, name=root.user.name)

    @strawberry_django.field(annotate={"movie_count": lambda info: selectors.movie_count()})
    def movie_count(self, root: strawberry.Parent[Playlist]) -> int:
        return _with_counts(root).movie_count

    @strawberry_django.field(annotate={"followers_count": lambda info: selectors.followers_count()})
    def followers_count(self, root: strawberry.Parent[Playlist]) -> int:
        return _with_counts(root).followers_count

    @strawberry_django.field(
        annotate={"is_followed": lambda info: selectors.is_followed(reader_of(info))}
    )
    def is_followed(self, root: strawberry.Parent[Playlist]) -> bool:
        return _with_counts(root).is_followed

    @strawberry_django.field(only=["user_id"])
    def is_mine(self, root: strawberry.Parent[Playlist], info: Info) -> bool:
        return root.user_id == reader_of(info).pk

    @strawberry_django.field(only=["user_id", "share_slug"], description="For its owner alone.")
    def share_url(self, root: strawberry.Parent[Playlist], info: Info) -> str | None:
        return share_url(root) if root.user_id == reader_of(info).pk else None

    @strawberry_django.field(only=["created_at"])
    def created_at(self, root: strawberry.Parent[Playlist]) -> datetime:
        return timezone.localtime(root.created_at)

    @strawberry_django.field(only=["updated_at"])
    def updated_at(self, root: strawberry.Parent[Playlist]) -> datetime:
        return timezone.localtime(root.updated_at)


def _with_counts(playlist: Playlist) -> PlaylistWithCounts:
    return playlist  # type: ignore[return-value]


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
    """The account of the viewer who asks, without ratings."""

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
            ViewingFilters,
            movie_id=movie_id,
            checked_in=checked_in,
            to=to,
            **{"from": from_},
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
