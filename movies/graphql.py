"""The catalogue and the programme in GraphQL, by the permissions and filters of the REST API.

The optimizer of strawberry-django turns a selection into a fixed number of queries, but only within
querysets. `RowLoader` does the same for the days of the programme.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Any, Generic, TypeVar

import strawberry
import strawberry_django
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from graphql import GraphQLError
from ninja import Schema
from pydantic import ValidationError
from strawberry import relay
from strawberry.types import Info
from strawberry_django.optimizer import optimize
from strawberry_django.relay import DjangoListConnection

from cinema.auth import is_staff
from movies import selectors
from movies.days import cinema_day
from movies.media.files import poster_srcset, poster_url, trailer_url
from movies.models import Genre, Movie, Screening
from movies.programme.document import coming_up
from movies.programme.selectors import ProgrammeFilters, ProgrammeQuery, list_programme_screenings
from movies.schemas import MovieFilters, two_digits
from movies.screenings import selectors as screenings
from movies.screenings.schemas import ScreeningFilters
from movies.similarity_scores import scores_for_request

M = TypeVar("M", bound=Model)
S = TypeVar("S", bound=Schema)

MovieStatus = strawberry.enum(Movie.Status, name="MovieStatus")
ScreeningVersion = strawberry.enum(Screening.Version, name="ScreeningVersion")
ScreeningState = strawberry.enum(Screening.State, name="ScreeningState")


@strawberry.enum
class MovieSort(StrEnum):
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
    @strawberry_django.filter_field(description="Start at this time or later.")
    def starts_from(self, value: datetime, prefix: str) -> Q:
        return Q(**{f"{prefix}starts_at__gte": value})

    @strawberry_django.filter_field(description="Start before this time.")
    def starts_before(self, value: datetime, prefix: str) -> Q:
        return Q(**{f"{prefix}starts_at__lt": value})


@strawberry_django.type(Screening, name="Screening")
class ScreeningNode(relay.Node):
    pk: int = strawberry_django.field(field_name="id", description="The id in the REST API.")
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
    """The value of the attribute `srcset` for each format."""

    webp: str
    jpeg: str


@strawberry_django.type(Movie, name="Movie")
class MovieNode(relay.Node):
    pk: int = strawberry_django.field(field_name="id", description="The id in the REST API.")
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
        description="Mean of the stars; with few ratings, near the mean of all films.",
    )
    created_at: datetime = local_time_field("created_at")
    updated_at: datetime = local_time_field("updated_at")
    screenings: DjangoListConnection[ScreeningNode] = strawberry_django.connection(
        filters=ScreeningsOfMovieFilter, description="Ordered by start."
    )

    @classmethod
    def get_queryset(
        cls, queryset: QuerySet[Movie], info: Info, **options: object
    ) -> QuerySet[Movie]:
        return queryset.filter(withdrawn_at=None)

    @strawberry_django.field(only=POSTER, description="Null unless the poster was uploaded.")
    def poster_srcset(self, root: strawberry.Parent[Movie]) -> PosterSourcesNode | None:
        sources = poster_srcset(root)
        return PosterSourcesNode(**sources) if sources else None

    @strawberry_django.field(
        only=["id"],
        description="For signed-in viewers: the rating predicted from viewers of similar taste, "
        "from 0 to 100. Null without enough evidence.",
    )
    def similarity_score(self, root: strawberry.Parent[Movie], info: Info) -> int | None:
        return scores_for_request(info.context.request)([root.pk]).get(root.pk)


def asked_by_staff(info: Info) -> bool:
    return is_staff(info.context.request)


@dataclass
class RowLoader(Generic[M]):
    """Rows of one table that many objects of the graph show, loaded when the first one asks.

    Each path in the operation selects other fields, so each path has its own query; the many
    objects of one path (`programme.days.movies.movie`) share it.
    """

    rows: QuerySet[M]
    _by_path: dict[tuple[str, ...], dict[int, M]] = field(default_factory=dict)

    def get(self, ids: Iterable[int], info: Info) -> list[M]:
        """Return the rows of these ids in this order, without those that nobody may see."""
        path = tuple(str(key) for key in info.path.as_list() if isinstance(key, str))
        if path not in self._by_path:
            found = optimize(self.rows, info)
            self._by_path[path] = {row.pk: row for row in found}
        rows = self._by_path[path]
        return [rows[pk] for pk in ids if pk in rows]


@strawberry.type
class ProgrammeMovie:
    """A movie on one day, with its screenings of that day."""

    movie_id: strawberry.Private[int]
    screening_ids: strawberry.Private[Sequence[int]]
    all_movies: strawberry.Private[RowLoader[Movie]]
    all_screenings: strawberry.Private[RowLoader[Screening]]

    @strawberry.field
    def movie(self, info: Info) -> MovieNode:
        [movie] = self.all_movies.get([self.movie_id], info)
        return movie  # type: ignore[return-value]

    @strawberry.field
    def screenings(self, info: Info) -> list[ScreeningNode]:
        return self.all_screenings.get(self.screening_ids, info)  # type: ignore[return-value]


@strawberry.type
class ProgrammeDay:
    """A day of the cinema: the small hours belong to the evening before."""

    date: date
    movies: list[ProgrammeMovie]


@strawberry.type
class Programme:
    """The screenings by day, without the days that have none."""

    from_: date = strawberry.field(name="from")
    to: date
    days: list[ProgrammeDay]
    coming_up_ids: strawberry.Private[Sequence[int]]

    @strawberry.field
    def coming_up(self, info: Info) -> list[MovieNode]:
        movies = RowLoader(Movie.objects.filter(pk__in=self.coming_up_ids))
        return movies.get(self.coming_up_ids, info)  # type: ignore[return-value]


def programme_of(query: ProgrammeQuery) -> Programme:
    shown = list_programme_screenings(query)
    movies = RowLoader(Movie.objects.filter(pk__in={s.movie_id for s in shown}))
    screenings = RowLoader(Screening.objects.filter(pk__in=[s.pk for s in shown]))
    days = []
    for day, of_day in groupby(shown, key=lambda s: cinema_day(s.starts_at)):
        by_movie: dict[int, list[int]] = {}
        for screening in of_day:
            by_movie.setdefault(screening.movie_id, []).append(screening.pk)
        of_movies = [
            ProgrammeMovie(
                movie_id=pk, screening_ids=ids, all_movies=movies, all_screenings=screenings
            )
            for pk, ids in by_movie.items()
        ]
        days.append(ProgrammeDay(date=day, movies=of_movies))
    waiting = [movie.pk for movie in coming_up(query)]
    return Programme(from_=query.first, to=query.last, days=days, coming_up_ids=waiting)


@strawberry.type
class MovieQuery:
    node: relay.Node | None = strawberry_django.node(description="Any object with a global id.")

    @strawberry_django.connection(DjangoListConnection[MovieNode])
    def movies(
        self,
        q: str | None = None,
        genre: str | None = None,
        status: MovieStatus | None = None,  # type: ignore[valid-type]
        language: str | None = None,
        person: str | None = None,
        year_from: int | None = None,
        year_to: int | None = None,
        sort: MovieSort | None = None,
    ) -> Iterable[MovieNode]:
        """The catalogue, filtered and ordered."""
        filters = validated_filters(
            MovieFilters,
            q=q,
            genre=genre,
            status=status,
            language=language,
            person=person,
            year_from=year_from,
            year_to=year_to,
            sort=sort.value if sort else None,
        )
        return selectors.list_movies(filters)  # type: ignore[return-value]

    @strawberry_django.field
    def movie(self, pk: int | None = None, slug: str | None = None) -> MovieNode | None:
        """One movie, by the id of the REST API or by its slug."""
        if (pk is None) == (slug is None):
            raise GraphQLError("Give either `pk` or `slug`.")
        which = Q(slug=slug) if pk is None else Q(pk=pk)
        return Movie.objects.published().filter(which).first()  # type: ignore[return-value]

    @strawberry_django.connection(DjangoListConnection[GenreNode])
    def genres(self) -> Iterable[GenreNode]:
        """All genres, by name."""
        return selectors.list_genres()  # type: ignore[return-value]

    @strawberry_django.connection(DjangoListConnection[ScreeningNode])
    def screenings(
        self,
        info: Info,
        movie_id: int | None = None,
        hall: str | None = None,
        state: ScreeningState | None = None,  # type: ignore[valid-type]
        version: ScreeningVersion | None = None,  # type: ignore[valid-type]
        status: MovieStatus | None = None,  # type: ignore[valid-type]
        genre: str | None = None,
        language: str | None = None,
        subtitles: str | None = None,
        understands: list[str] | None = None,
        tag: str | None = None,
        tags: list[str] | None = None,
        starts_from: datetime | None = None,
        starts_before: datetime | None = None,
    ) -> Iterable[ScreeningNode]:
        """Screenings by their start. Staff see the hidden ones too."""
        filters = validated_filters(
            ScreeningFilters,
            movie_id=movie_id,
            hall=hall,
            state=state,
            version=version,
            status=status,
            genre=genre,
            language=language,
            subtitles=subtitles,
            understands=understands,
            tag=[*([] if tag is None else [tag]), *(tags or [])],
            **{"from": starts_from, "to": starts_before},
        )
        found = screenings.list_screenings(filters, for_staff=asked_by_staff(info))
        return found.select_related(None)  # type: ignore[return-value]

    @strawberry.field
    def programme(
        self,
        from_: Annotated[date | None, strawberry.argument(name="from")] = None,
        to: date | None = None,
        days: int | None = None,
        status: MovieStatus | None = None,  # type: ignore[valid-type]
        genre: str | None = None,
        language: str | None = None,
        subtitles: str | None = None,
        understands: list[str] | None = None,
        tag: str | None = None,
        tags: list[str] | None = None,
        movie_id: int | None = None,
        hall: str | None = None,
    ) -> Programme:
        """The programme by day, by default of this week."""
        filters = validated_filters(
            ProgrammeFilters,
            to=to,
            days=days,
            status=status,
            genre=genre,
            language=language,
            subtitles=subtitles,
            understands=understands,
            tag=[*([] if tag is None else [tag]), *(tags or [])],
            movie_id=movie_id,
            hall=hall,
            **{"from": from_},
        )
        return programme_of(ProgrammeQuery.of(filters))


def validated_filters(schema: type[S], **values: Any) -> S:
    """Validate the values by the filters of the REST API."""
    try:
        return schema.model_validate({k: v for k, v in values.items() if v is not None})
    except ValidationError as error:
        message = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise GraphQLError(message) from None
