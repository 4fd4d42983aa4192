"""Which movie of the catalogue a MovieLens film is, and what a new one is called."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, count

from django.db import connection
from django.db.models import F
from django.db.models.functions import Lower

from movies.models import Movie
from movies.services import slug_of
from recommendations.movielens.films import Film

#: Of a film without a year.
NO_START_DATE = date(1970, 1, 1)
#: Stands for the id of a movie that has a name already, and no row.
NOT_YET_WRITTEN = -1


@dataclass(frozen=True)
class NewMovie:
    """What a film is called in the catalogue, where nobody else is called so."""

    name: str
    slug: str
    start_date: date


class Matching:
    """Films held against the catalogue as it stands.

    A film is the movie of the same TMDb id; else of the same name, whatever its case, and the
    same release year or start date; else of one of the names that make up its title. No movie
    is two films: of two with one name the second is " (2)", and is found by that the next time.

    Attributes:
        ids: Of the movies found, by the film's number.
    """

    def __init__(self, films: Sequence[Film]) -> None:
        self.ids: dict[int, int] = {}
        self._used: set[int] = set()
        self._lower = _in_lower_case({n for film in films for n in (film.name, *film.other_names)})
        self._read_catalogue()
        # The surest first, for all films, before a less sure one can take the movie away.
        for find in (self._by_tmdb_id, self._by_name, self._by_part_of_name):
            self._match(films, find)

    def _read_catalogue(self) -> None:
        self._by_tmdb: dict[int, int] = {}
        #: By the name in lower case, with the release year and once more with the start date.
        self._named: dict[tuple[str, int | date | None], int] = {}
        self._slugs: set[str] = set()
        published_first = Movie.objects.order_by(F("withdrawn_at").asc(nulls_first=True), "pk")
        columns = ("pk", Lower("name"), "release_year", "start_date", "tmdb_id", "slug")
        for pk, name, release_year, start_date, tmdb_id, slug in published_first.values_list(
            *columns
        ):
            self._named.setdefault((name, release_year), pk)
            self._named.setdefault((name, start_date), pk)
            self._slugs.add(slug)
            if tmdb_id:
                self._by_tmdb[tmdb_id] = pk

    def _match(self, films: Sequence[Film], find: Callable[[Film], int | None]) -> None:
        for film in films:
            if film.number not in self.ids and (found := find(film)) is not None:
                self.ids[film.number] = found
                self._used.add(found)

    # --- each returns a movie that is no other film yet

    def _by_tmdb_id(self, film: Film) -> int | None:
        return self._by_tmdb.get(film.tmdb_id) if film.tmdb_id else None

    def _by_name(self, film: Film) -> int | None:
        lower = self._lower[film.name]
        named = (self._find(lower + suffix, film) for suffix in _suffixes())
        return next(found for found in named if found not in self._used)

    def _by_part_of_name(self, film: Film) -> int | None:
        named = (self._find(self._lower[name], film) for name in film.other_names)
        return next((found for found in named if found and found not in self._used), None)

    def _find(self, lower: str, film: Film) -> int | None:
        by_year = self._named.get((lower, film.release_year))
        return by_year or self._named.get((lower, _start_date(film)))

    # --- new ones

    def make(self, film: Film) -> NewMovie:
        lower, start_date = self._lower[film.name], _start_date(film)
        suffix = next(suffix for suffix in _suffixes() if not self._find(lower + suffix, film))
        self._named[lower + suffix, start_date] = NOT_YET_WRITTEN
        slug = self._free_slug(film.name, start_date.year)
        return NewMovie(film.name + suffix, slug, start_date)

    def _free_slug(self, name: str, year: int) -> str:
        """As `movies.services` makes it, but without a query for each."""
        stem = slug_of(name)[:100].strip("-") or "movie"
        candidates = chain((stem, f"{stem}-{year}"), (f"{stem}-{n}" for n in count(2)))
        slug = next(candidate for candidate in candidates if candidate not in self._slugs)
        self._slugs.add(slug)
        return slug


def _suffixes() -> Iterator[str]:
    return chain([""], (f" ({number})" for number in count(2)))


def _start_date(film: Film) -> date:
    return date(film.release_year, 1, 1) if film.release_year else NO_START_DATE


def _in_lower_case(names: Collection[str]) -> dict[str, str]:
    """By the database, whose lower case decides which names are the same."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, lower(name) FROM unnest(%s::text[]) name", [list(names)])
        return dict(cursor.fetchall())
