"""What belongs to viewers, to whom it may be shown, as in the REST API."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

import strawberry
import strawberry_django
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.utils import timezone
from strawberry import relay
from strawberry.types import Info
from strawberry_django.relay import DjangoListConnection

from movies.graphql.types import GenreNode, MovieNode
from users.auth import Reader
from users.models import Favourite, Playlist, PlaylistEntry, User, Viewing
from users.playlists import selectors
from users.playlists.schemas import share_url

if TYPE_CHECKING:

    class Described(Playlist):
        """As `selectors.described` has it, or the hints of the fields here."""

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


# None of the following has a global id, although Relay's types expect one of what is in a
# connection: each is reached through what shows it, and in no other way.


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
    """That the viewer has watched a film."""

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
    """What the viewer says of their taste."""

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
        """Wherever in the graph they hang, and by their global id."""
        return queryset.filter(selectors.visible_to(reader_of(info)))

    @strawberry_django.field(only=["id"], description="As in the REST API.")
    def pk(self, root: strawberry.Parent[Playlist]) -> int:
        return root.pk

    @strawberry_django.field(select_related=["user"], only=["user__name"])
    def owner(self, root: strawberry.Parent[Playlist]) -> PlaylistOwner:
        return PlaylistOwner(pk=root.user_id, name=root.user.name)

    @strawberry_django.field(annotate={"movie_count": lambda info: selectors.movie_count()})
    def movie_count(self, root: strawberry.Parent[Playlist]) -> int:
        return _described(root).movie_count

    @strawberry_django.field(annotate={"followers_count": lambda info: selectors.followers_count()})
    def followers_count(self, root: strawberry.Parent[Playlist]) -> int:
        return _described(root).followers_count

    @strawberry_django.field(
        annotate={"is_followed": lambda info: selectors.is_followed(reader_of(info))}
    )
    def is_followed(self, root: strawberry.Parent[Playlist]) -> bool:
        return _described(root).is_followed

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


def _described(playlist: Playlist) -> Described:
    return playlist  # type: ignore[return-value]
