"""The programme's days for GraphQL.

The optimizer of strawberry-django turns a selection into a fixed number of queries, but it sees
into querysets alone. `Batch` does the same for what the days show.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from typing import Generic, TypeVar

import strawberry
from django.db.models import Model, QuerySet
from strawberry.types import Info
from strawberry_django.optimizer import optimize

from movies.days import cinema_day
from movies.graphql.types import MovieNode, ScreeningNode
from movies.models import Movie, Screening
from movies.programme.document import coming_up
from movies.programme.query import ProgrammeQuery, screenings_of

M = TypeVar("M", bound=Model)


@dataclass
class Batch(Generic[M]):
    """Rows of one table that many places of the graph show: loaded when the first one asks.

    Each place in the operation selects other fields, so each has its own query; the many
    objects at one place (`programme.days.movies.movie`) share theirs.
    """

    rows: QuerySet[M]
    _by_place: dict[tuple[str, ...], dict[int, M]] = field(default_factory=dict)

    def get(self, ids: Iterable[int], info: Info) -> list[M]:
        """The rows of these ids, in this order, without those that nobody may see."""
        place = tuple(str(key) for key in info.path.as_list() if isinstance(key, str))
        if place not in self._by_place:
            found = optimize(self.rows, info)
            self._by_place[place] = {row.pk: row for row in found}
        rows = self._by_place[place]
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
    """What is in the programme, and the rows of it that were asked for."""

    movies: Batch[Movie]
    screenings: Batch[Screening]
    coming_up: Batch[Movie]
    coming_up_ids: Sequence[int]

    @classmethod
    def of(cls, shown: Sequence[Screening], waiting: Sequence[Movie]) -> ProgrammeSource:
        return cls(
            movies=Batch(Movie.objects.filter(pk__in={s.movie_id for s in shown})),
            screenings=Batch(Screening.objects.filter(pk__in=[s.pk for s in shown])),
            coming_up=Batch(Movie.objects.filter(pk__in=[m.pk for m in waiting])),
            coming_up_ids=[m.pk for m in waiting],
        )


@strawberry.type
class Programme:
    """What runs when; days without a screening are left out."""

    from_: date = strawberry.field(name="from")
    to: date
    days: list[ProgrammeDay]
    source: strawberry.Private[ProgrammeSource]

    @strawberry.field
    def coming_up(self, info: Info) -> list[MovieNode]:
        return self.source.coming_up.get(self.source.coming_up_ids, info)  # type: ignore[return-value]


def programme_of(query: ProgrammeQuery) -> Programme:
    shown = screenings_of(query)
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
