"""The catalogue and the programme in GraphQL; filters and orders are those of the REST API.

The optimizer of strawberry-django turns a selection into a fixed number of queries, but only within
querysets. `RowLoader` does the same for the days of the programme.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from typing import Annotated, Any, Generic, TypeVar

import strawberry
import strawberry_django
from django.db.models import Model, Q, QuerySet
from graphql import GraphQLError
from ninja import Schema
from pydantic import ValidationError
from strawberry import relay
from strawberry.types import Info
from strawberry_django.optimizer import optimize
from strawberry_django.relay import DjangoListConnection

from movies import selectors
from movies.days import cinema_day
from movies.graphql_types import (
    GenreNode,
    MovieNode,
    MovieSort,
    MovieStatus,
    ScreeningNode,
    ScreeningState,
    ScreeningVersion,
    asked_by_staff,
)
from movies.models import Movie, Screening
from movies.programme.document import coming_up
from movies.programme.selectors import ProgrammeFilters, ProgrammeQuery, list_programme_screenings
from movies.schemas import MovieFilters
from movies.screenings import selectors as screenings
from movies.screenings.schemas import ScreeningFilters

M = TypeVar("M", bound=Model)


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

    source: strawberry.Private[ProgrammeSource]
    movie_id: strawberry.Private[int]
    screening_ids: strawberry.Private[Sequence[int]]

    @strawberry.field
    def movie(self, info: Info) -> MovieNode:
        [movie] = self.source.movies.get([self.movie_id], info)
        return movie  # type: ignore[return-value]

    @strawberry.field
    def screenings(self, info: Info) -> list[ScreeningNode]:
        return self.source.screenings.get(self.screening_ids, info)  # type: ignore[return-value]


@strawberry.type
class ProgrammeDay:
    """A day of the cinema: the small hours belong to the evening before."""

    date: date
    movies: list[ProgrammeMovie]


@dataclass(frozen=True)
class ProgrammeSource:
    """The ids of the programme, and the loaded rows."""

    movies: RowLoader[Movie]
    screenings: RowLoader[Screening]
    coming_up: RowLoader[Movie]
    coming_up_ids: Sequence[int]

    @classmethod
    def of(cls, shown: Sequence[Screening], waiting: Sequence[Movie]) -> ProgrammeSource:
        return cls(
            movies=RowLoader(Movie.objects.filter(pk__in={s.movie_id for s in shown})),
            screenings=RowLoader(Screening.objects.filter(pk__in=[s.pk for s in shown])),
            coming_up=RowLoader(Movie.objects.filter(pk__in=[m.pk for m in waiting])),
            coming_up_ids=[m.pk for m in waiting],
        )


@strawberry.type
class Programme:
    """The screenings by day, without the days that have none."""

    from_: date = strawberry.field(name="from")
    to: date
    days: list[ProgrammeDay]
    source: strawberry.Private[ProgrammeSource]

    @strawberry.field
    def coming_up(self, info: Info) -> list[MovieNode]:
        return self.source.coming_up.get(self.source.coming_up_ids, info)  # type: ignore[return-value]


def programme_of(query: ProgrammeQuery) -> Programme:
    shown = list_programme_screenings(query)
    source = ProgrammeSource.of(shown, coming_up(query))
    days = []
    for day, of_day in groupby(shown, key=lambda s: cinema_day(s.starts_at)):
        by_movie: dict[int, list[int]] = {}
        for screening in of_day:
            by_movie.setdefault(screening.movie_id, []).append(screening.pk)
        movies = [
            ProgrammeMovie(source=source, movie_id=movie_id, screening_ids=ids)
            for movie_id, ids in by_movie.items()
        ]
        days.append(ProgrammeDay(date=day, movies=movies))
    return Programme(from_=query.first, to=query.last, days=days, source=source)


S = TypeVar("S", bound=Schema)


@strawberry.type
class MovieQuery:
    node: relay.Node | None = strawberry_django.node(description="Anything that has a global id.")

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
