"""The films' movies: those of the catalogue, and those that it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from django.db import IntegrityError, connection, transaction

from movies.metadata import UNKNOWN
from movies.models import Movie
from movies.scheduled_updates import current_status
from movies.services import find_or_create_genres
from recommendations.movielens.films import Film
from recommendations.movielens.matching import Matching, NewMovie

#: MovieLens names no one, and a movie must name someone.
PROTAGONISTS = [UNKNOWN]
ATTEMPTS = 3

CREATE_STAGE = """
CREATE TEMPORARY TABLE movielens_films (
    number integer, name text, slug text, start_date date, status text, release_year integer,
    tmdb_id integer, genres bigint[]
)
"""
COPY = "COPY movielens_films FROM STDIN"
CREATE_MOVIES = """
INSERT INTO movies_movie
    (name, slug, start_date, status, release_year, tmdb_id, protagonists,
     overview, status_is_manual, ranking, rating_count, rating_sum, created_at, updated_at)
SELECT name, slug, start_date, status, release_year, tmdb_id, %s, '', false, 0, 0, 0, now(), now()
FROM movielens_films ORDER BY number
"""
CREATE_GENRES = """
INSERT INTO movies_movie_genres (movie_id, genre_id)
SELECT movie.id, unnest(film.genres)
FROM movielens_films film JOIN movies_movie movie USING (slug)
"""
FIND_IDS = "SELECT number, id FROM movielens_films JOIN movies_movie USING (slug)"
DROP_STAGE = "DROP TABLE movielens_films"


@dataclass(frozen=True)
class Catalogued:
    """The id of each film's movie, by the film's number, and how many of them are new."""

    ids: Mapping[int, int]
    created: int


def find_or_create_movies(films: Sequence[Film]) -> Catalogued:
    """All or none are written. Movies that stand already stay as they are, withdrawn ones too.

    Raises:
        IntegrityError: Again and again others posted movies of the same names meanwhile.
    """
    for _ in range(ATTEMPTS - 1):
        with suppress(IntegrityError):
            return _find_or_create(films)
    return _find_or_create(films)


@transaction.atomic
def _find_or_create(films: Sequence[Film]) -> Catalogued:
    matching = Matching(films)
    missing = [film for film in films if film.number not in matching.ids]
    # Statement triggers fire for no row too: without new movies the catalogue's version must stay.
    new_ids = _create([(film, matching.make(film)) for film in missing]) if missing else {}
    return Catalogued({**matching.ids, **new_ids}, created=len(missing))


def _create(missing: Sequence[tuple[Film, NewMovie]]) -> dict[int, int]:
    """The ids of the new movies, by the films' numbers."""
    names = sorted({name for film, _ in missing for name in film.genres})
    genres = {name: [genre.pk for genre in find_or_create_genres([name])] for name in names}
    start_dates = {new.start_date for _, new in missing}
    status = {day: current_status(Movie(start_date=day)) for day in start_dates}
    with connection.cursor() as cursor:
        cursor.execute(CREATE_STAGE)
        with cursor.copy(COPY) as copy:
            for film, new in missing:
                its_genres = sorted({pk for name in film.genres for pk in genres[name]})
                copy.write_row((
                    film.number, new.name, new.slug, new.start_date, status[new.start_date],
                    film.release_year, film.tmdb_id, its_genres,
                ))  # fmt: skip
        cursor.execute(CREATE_MOVIES, [PROTAGONISTS])
        if any(genres.values()):
            cursor.execute(CREATE_GENRES)
        cursor.execute(FIND_IDS)
        ids = dict(cursor.fetchall())
        cursor.execute(DROP_STAGE)
    return ids
