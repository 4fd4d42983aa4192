"""What can be asked of the catalogue and the programme; filters and orders are the REST API's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated, Any, TypeVar

import strawberry
import strawberry_django
from django.db.models import Q
from graphql import GraphQLError
from ninja import Schema
from pydantic import ValidationError
from strawberry import relay
from strawberry.types import Info
from strawberry_django.relay import DjangoListConnection

from movies import selectors
from movies.graphql.programme import Programme, programme_of
from movies.graphql.types import (
    GenreNode,
    MovieNode,
    MovieSort,
    MovieStatus,
    ScreeningNode,
    ScreeningState,
    ScreeningVersion,
    for_staff,
)
from movies.models import Movie
from movies.programme.query import ProgrammeQuery
from movies.programme.schemas import ProgrammeFilters
from movies.schemas import MovieFilters
from movies.screenings import selectors as screenings
from movies.screenings.schemas import ScreeningFilters

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
        filters = checked(
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
        # The optimizer fetches the genres itself, and only if they are selected.
        return selectors.list_movies(filters).prefetch_related(None)  # type: ignore[return-value]

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
        filters = checked(
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
        found = screenings.list_screenings(filters, for_staff=for_staff(info))
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
        filters = checked(
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


def checked(schema: type[S], **values: Any) -> S:
    """The filters of the REST API, which know what is a good value."""
    try:
        return schema.model_validate({k: v for k, v in values.items() if v is not None})
    except ValidationError as error:
        message = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise GraphQLError(message) from None
