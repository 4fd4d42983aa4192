from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from django.urls import reverse
from ninja import Field, Schema
from pydantic import AfterValidator, BaseModel, StringConstraints

from cinema.errors import Problem
from cinema.http import absolute_url
from cinema.schemas import Line, Name, RowId, StrictSchema
from movies.media.files import poster_url
from movies.schemas import two_digits
from movies.types import UNSET, LocalTime, Status, Text
from users.models import Playlist, PlaylistEntry

#: Movies of one playlist.
MAX_FILMS = 500
#: Playlists of one viewer, and those that a viewer follows.
MAX_PLAYLISTS = 200
MAX_FOLLOWED = 1000
#: Movies of each playlist in a list of playlists.
MAX_FIRST_FILMS = 100
#: The width of the poster in pixels, if there is one as wide.
CARD_WIDTH = 320


def _without_repeats(ids: list[int]) -> list[int]:
    if len(set(ids)) < len(ids):
        twice = next(one for place, one in enumerate(ids) if one in ids[:place])
        raise ValueError(f"{twice} is given twice")
    return ids


MovieIds = Annotated[list[RowId], Field(max_length=MAX_FILMS), AfterValidator(_without_repeats)]
PlaylistName = Annotated[Name, StringConstraints(max_length=100)]
Description = Annotated[Text, StringConstraints(max_length=2000)]
#: The id of a viewer, `me` or `followed`.
Owner = Annotated[str, StringConstraints(pattern=r"^(me|followed|[1-9][0-9]{0,17})$")]
Sort = Literal["-updated_at", "-created_at", "name", "-followers_count"]


class PlaylistPatch(StrictSchema):
    """The fields that the owner may change. Omitted fields keep their values."""

    name: PlaylistName = Field(UNSET, examples=["Rainy Sundays"])
    description: Description = Field("", examples=["With tea."])
    is_public: bool = Field(False, strict=True, description="Everybody can see and copy it.")


class PlaylistIn(PlaylistPatch):
    name: PlaylistName = Field(examples=["Rainy Sundays"])


class CopyIn(StrictSchema):
    name: PlaylistName | None = Field(
        None, description="Default: the name of the original.", examples=["Rainy Sundays, too"]
    )


class PlaceIn(StrictSchema):
    position: Annotated[int, Field(ge=1, le=MAX_FILMS, strict=True)] | None = Field(
        None,
        description="Counted from 1; a number beyond the last film means the end. Without it a new "
        "film comes last and one in the playlist stays where it is.",
        examples=[1],
    )


class OrderIn(StrictSchema):
    movie_ids: MovieIds = Field(
        description="Each film of the playlist once, the first one first.", examples=[[42, 7, 310]]
    )


class PlaceOut(Schema):
    """The position of a film in a playlist."""

    movie_id: int = Field(examples=[42])
    position: int = Field(description="Counted from 1.", examples=[1])
    added_at: LocalTime


class OwnerOut(Schema):
    id: int = Field(examples=[7])
    name: str = Field(examples=["Agnès"])


# Not a `Schema`, whose resolvers are slow: a response may have thousands of movies.
class PlaylistMovieOut(BaseModel):
    """A film of a playlist; `/movies/{id}` has its other fields."""

    id: int = Field(examples=[42])
    name: str = Field(examples=["Cléo from 5 to 7"])
    slug: str = Field(examples=["cleo-from-5-to-7"])
    poster: str | None
    start_date: date
    end_date: date | None
    status: Status
    original_language: str | None = Field(examples=["fr"])
    release_year: int | None = Field(examples=[1962])
    runtime_minutes: int | None = Field(examples=[90])
    rating_average: float | None = Field(examples=[4.2])
    rating_count: int = Field(examples=[31])
    community_score: float | None = Field(examples=[4.0])
    added_at: LocalTime = Field(description="When the film was added to the playlist.")

    @classmethod
    def of(cls, entry: PlaylistEntry) -> PlaylistMovieOut:
        movie = entry.movie
        return cls.model_construct(
            **{name: getattr(movie, name) for name in _ATTRIBUTES},
            poster=poster_url(movie, CARD_WIDTH),
            rating_average=two_digits(movie.rating_average),
            community_score=two_digits(movie.community_score),
            added_at=entry.added_at,
        )


#: The fields of `PlaylistMovieOut` that are attributes of the movie.
_ATTRIBUTES = PlaylistMovieOut.model_fields.keys() - {
    "poster", "rating_average", "community_score", "added_at",
}  # fmt: skip


class PlaylistOut(Schema):
    id: int = Field(examples=[12])
    name: str = Field(examples=["Rainy Sundays"])
    description: str = Field(examples=["With tea."])
    is_public: bool
    share_url: str | None = Field(
        description="For the owner alone. Everybody with the link can read the playlist.",
        examples=[None],
    )
    owner: OwnerOut
    is_mine: bool
    is_followed: bool = Field(description="Whether the caller follows the playlist.")
    movie_count: int = Field(examples=[31])
    followers_count: int = Field(examples=[4])
    created_at: LocalTime
    updated_at: LocalTime = Field(description="Last change of it, its films or their order.")
    movies: list[PlaylistMovieOut] = Field(description="In order; in lists only the first ones.")

    @staticmethod
    def resolve_share_url(playlist: Playlist) -> str | None:
        return share_url(playlist) if playlist.is_mine else None  # type: ignore[attr-defined]

    @staticmethod
    def resolve_owner(playlist: Playlist) -> dict[str, Any]:
        return {"id": playlist.user_id, "name": playlist.user.name}

    @staticmethod
    def resolve_movies(playlist: Playlist) -> list[PlaylistMovieOut]:
        return [PlaylistMovieOut.of(entry) for entry in playlist.shown]  # type: ignore[attr-defined]


class ShareOut(Schema):
    share_url: str = Field(
        examples=["https://cinema.example/api/v1/playlists/shared/Zk0c…"],
        description="Everybody with the link can read the playlist until the link is withdrawn.",
    )
    slug: str = Field(description="The last part of the link.", examples=["Zk0c…"])

    @staticmethod
    def resolve_share_url(playlist: Playlist) -> str | None:
        return share_url(playlist)

    @staticmethod
    def resolve_slug(playlist: Playlist) -> str | None:
        return playlist.share_slug


class OtherFilmsProblem(Problem):
    missing: list[int] = Field(examples=[[7]], description="In the playlist, not in the order.")
    unknown: list[int] = Field(examples=[[]], description="In the order, not in the playlist.")


class PlaylistFilters(Schema):
    owner: Owner | None = Field(
        None, description="`me`, `followed`, or the id of a viewer.", examples=["me"]
    )
    movie_id: int | None = Field(None, ge=1, description="Playlists that contain this film.")
    q: Line | None = Field(
        None,
        description="Parts of words of the name; accents and case do not matter.",
        examples=["sunday"],
    )
    sort: Sort = "-updated_at"


class ListFilters(PlaylistFilters):
    movies: int = Field(
        4, ge=0, le=MAX_FIRST_FILMS, description="Number of films shown of each playlist."
    )


def share_url(playlist: Playlist) -> str | None:
    """The link of a playlist; None if it has none."""
    if playlist.share_slug is None:
        return None
    path = reverse("api-1:get_shared_playlist", args=[playlist.share_slug])
    return absolute_url(path)
