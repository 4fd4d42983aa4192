"""Movies, genres and screenings in GraphQL, by the permissions of the REST API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry
import strawberry_django
from django.db.models import Q, QuerySet
from django.utils import timezone
from strawberry import relay
from strawberry.types import Info
from strawberry_django.relay import DjangoListConnection

from cinema.auth import is_staff
from movies.media.files import poster_srcset, poster_url, trailer_url
from movies.models import Genre, Movie, Screening
from movies.schemas import two_digits
from movies.similarity_scores import scores_for_request

MovieStatus = strawberry.enum(Movie.Status, name="MovieStatus")
ScreeningVersion = strawberry.enum(Screening.Version, name="ScreeningVersion")
ScreeningState = strawberry.enum(Screening.State, name="ScreeningState")


@strawberry.enum
class MovieSort(Enum):
    NAME = "name"
    RANKING = "-ranking"
    START_DATE = "start_date"
    RATING = "-rating"
    RELEVANCE = "relevance"


def field_of(columns: list[str], make: Callable[[Any], object], **options: Any) -> Any:
    """A field that `make` computes from these columns of the row."""

    def resolve(root: strawberry.Parent[Any]) -> Any:
        return make(root)

    return strawberry_django.field(resolve, only=columns, **options)


def local_time_field(column: str) -> Any:
    """The time in this column, shown in the cinema's time zone."""
    return field_of([column], lambda row: timezone.localtime(getattr(row, column)))


@strawberry_django.type(Genre, name="Genre")
class GenreNode(relay.Node):
    slug: strawberry.auto
    name: strawberry.auto


@strawberry_django.filter_type(Screening, name="ScreeningsOfMovieFilter")
class ScreeningsOfMovieFilter:
    @strawberry_django.filter_field(description="Starts at or after.")
    def starts_from(self, value: datetime, prefix: str) -> Q:
        return Q(**{f"{prefix}starts_at__gte": value})

    @strawberry_django.filter_field(description="Starts before.")
    def starts_before(self, value: datetime, prefix: str) -> Q:
        return Q(**{f"{prefix}starts_at__lt": value})


@strawberry_django.type(Screening, name="Screening")
class ScreeningNode(relay.Node):
    pk: int = strawberry_django.field(field_name="id", description="As in the REST API.")
    movie: MovieNode
    hall: str = strawberry_django.field(field_name="hall__name")
    starts_at: datetime = local_time_field("starts_at")
    ends_at: datetime = local_time_field("ends_at")
    version: ScreeningVersion  # type: ignore[valid-type]
    state: ScreeningState  # type: ignore[valid-type]
    booking_url: str | None
    language: str | None
    subtitles: str | None
    tags: list[str]

    @classmethod
    def get_queryset(
        cls, queryset: QuerySet[Screening], info: Info, **options: object
    ) -> QuerySet[Screening]:
        """Hide the hidden screenings from everyone but staff, at every path."""
        shown = queryset.filter(movie__withdrawn_at=None)
        return shown if asked_by_staff(info) else shown.exclude(state=Screening.State.HIDDEN)


#: The columns that the addresses of poster and trailer are made from.
POSTER = ["poster", "poster_upload", "poster_widths"]
TRAILER = ["trailer", "trailer_upload"]


@strawberry.type(name="PosterSources")
class PosterSourcesNode:
    """By format, the value of the attribute `srcset`: each file with its width."""

    webp: str
    jpeg: str


@strawberry_django.type(Movie, name="Movie")
class MovieNode(relay.Node):
    pk: int = strawberry_django.field(field_name="id", description="As in the REST API.")
    name: strawberry.auto
    slug: strawberry.auto
    protagonists: list[str]
    directors: list[str]
    overview: strawberry.auto
    genres: list[GenreNode]
    poster: str | None = field_of(POSTER, poster_url)
    trailer: str | None = field_of(TRAILER, trailer_url)
    start_date: strawberry.auto
    end_date: strawberry.auto
    status: MovieStatus  # type: ignore[valid-type]
    ranking: strawberry.auto
    original_language: strawberry.auto
    release_year: strawberry.auto
    runtime_minutes: strawberry.auto
    tmdb_id: strawberry.auto
    rating_count: strawberry.auto
    rating_average: float | None = field_of(
        ["rating_average"],
        lambda movie: two_digits(movie.rating_average),
        description="Mean of the stars.",
    )
    community_score: float | None = field_of(
        ["community_score"],
        lambda movie: two_digits(movie.community_score),
        description="Mean of the stars, drawn towards that of all films the fewer have rated.",
    )
    created_at: datetime = local_time_field("created_at")
    updated_at: datetime = local_time_field("updated_at")
    screenings: DjangoListConnection[ScreeningNode] = strawberry_django.connection(
        filters=ScreeningsOfMovieFilter, description="By their start."
    )

    @classmethod
    def get_queryset(
        cls, queryset: QuerySet[Movie], info: Info, **options: object
    ) -> QuerySet[Movie]:
        return queryset.filter(withdrawn_at=None)

    @strawberry_django.field(only=POSTER, description="Null unless it was uploaded.")
    def poster_srcset(self, root: strawberry.Parent[Movie]) -> PosterSourcesNode | None:
        sources = poster_srcset(root)
        return PosterSourcesNode(**sources) if sources else None

    @strawberry_django.field(
        only=["id"],
        description="For who has signed in: the rating predicted from viewers of similar taste, "
        "from 0 to 100. Null where there is too little to say.",
    )
    def similarity_score(self, root: strawberry.Parent[Movie], info: Info) -> int | None:
        return scores_for_request(info.context.request)([root.pk]).get(root.pk)


def asked_by_staff(info: Info) -> bool:
    return is_staff(info.context.request)
