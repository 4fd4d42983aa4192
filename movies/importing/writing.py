"""Planned films into the database, in a few statements however many they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Set
from operator import attrgetter

import orjson
from django.db import connection
from django.utils import timezone

from movies.importing.films import Film, Films
from movies.models import Genre, Movie
from movies.search.indexing import index_movies

# One value of JSON for all rows: arrays of different lengths do not make an array of Postgres, and
# a parameter for each value costs more than all the rest.
ROWS = "jsonb_to_recordset(%s::jsonb) AS new"
INSERT = """
INSERT INTO movies_movie ({names}) SELECT {names} FROM {rows} ({typed}) RETURNING slug, id
"""
UPDATE = """
UPDATE movies_movie AS film SET {assignments} FROM {rows} (id bigint, {typed})
WHERE film.id = new.id
"""
UNLINK = """
DELETE FROM movies_movie_genres AS link
USING unnest(%s::bigint[], %s::text[]) AS gone (movie_id, slug), movies_genre AS genre
WHERE genre.slug = gone.slug AND link.genre_id = genre.id AND link.movie_id = gone.movie_id
"""
LINK = """
INSERT INTO movies_movie_genres (movie_id, genre_id)
SELECT wanted.movie_id, genre.id FROM unnest(%s::bigint[], %s::text[]) AS wanted (movie_id, slug)
JOIN movies_genre AS genre USING (slug)
ON CONFLICT DO NOTHING
"""
#: What follows from other columns, or from the write itself.
FOLLOWING = {"slug", "status", "status_is_manual", "updated_at"}


def write(films: Films) -> None:
    """The films as the rows have left them.

    Changed ones first: a new one may take over a name or an address. Every kind of write begins
    with movies, as it does for a single one, so that none holds what the other waits for.
    """
    updated = list(films.updated.values())
    if updated:
        _update([film.movie for film in updated], set().union(*(film.columns for film in updated)))
    if films.created:
        _insert([film.movie for film in films.created])
    _link_genres([*updated, *films.created])
    index_movies([film.movie.pk for film in (*updated, *films.created)])


def _insert(movies: Collection[Movie]) -> None:
    fields = [field for field in Movie._meta.concrete_fields if not field.generated]
    names = [field.name for field in fields if not field.primary_key]
    now = timezone.now()
    for movie in movies:
        movie.updated_at = now
    rows = [{name: getattr(movie, name) for name in names} for movie in movies]
    statement = INSERT.format(names=", ".join(names), rows=ROWS, typed=_typed(names))
    with connection.cursor() as cursor:
        cursor.execute(statement, [orjson.dumps(rows).decode()])
        ids = dict(cursor.fetchall())
    for movie in movies:
        movie.pk = ids[movie.slug]


def _update(movies: Collection[Movie], columns: Set[str]) -> None:
    """Write the columns that changed in any of them; the rows are locked, so the others stay."""
    names = sorted(columns | FOLLOWING)
    now = timezone.now()
    for movie in movies:
        movie.updated_at = now
    rows = [{"id": movie.pk, **{name: getattr(movie, name) for name in names}} for movie in movies]
    assignments = ", ".join(f"{name} = new.{name}" for name in names)
    statement = UPDATE.format(assignments=assignments, rows=ROWS, typed=_typed(names))
    with connection.cursor() as cursor:
        cursor.execute(statement, [orjson.dumps(rows).decode()])


def _typed(names: Iterable[str]) -> str:
    return ", ".join(f"{name} {Movie._meta.get_field(name).db_type(connection)}" for name in names)


def _link_genres(films: Iterable[Film]) -> None:
    """Make the genres that are new, and link and unlink what changed."""
    gone, wanted = [], []
    new: dict[str, Genre] = {}
    for film in films:
        gone += [(film.movie.pk, slug) for slug in film.standing_genres.keys() - film.genres.keys()]
        wanted += [
            (film.movie.pk, slug) for slug in film.genres.keys() - film.standing_genres.keys()
        ]
        new |= {genre.slug: genre for genre in film.genres.values() if genre.pk is None}
    if new:
        Genre.objects.bulk_create(
            sorted(new.values(), key=attrgetter("slug")), ignore_conflicts=True
        )
    with connection.cursor() as cursor:
        for statement, links in ((UNLINK, gone), (LINK, wanted)):
            if links:
                movie_ids, slugs = zip(*links, strict=True)
                cursor.execute(statement, [list(movie_ids), list(slugs)])
