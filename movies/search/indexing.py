"""The documents that films are found by: made where a film is written, or once triggers say so."""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection, transaction

from movies.search.documents import Film, document

BATCH = 1_000

# A writer of texts or of tags holds this row until it commits, as its trigger marks it.
LOCK_GIVEN = """
SELECT movie_id FROM movies_moviesearch WHERE is_stale AND movie_id = ANY(%s)
ORDER BY movie_id FOR UPDATE
"""
LOCK_NEXT = """
SELECT movie_id FROM movies_moviesearch WHERE is_stale AND movie_id > %s
ORDER BY movie_id LIMIT %s FOR UPDATE SKIP LOCKED
"""
# By a statement of its own, which sees what was committed before the lock was free.
READ = """
SELECT id, name, protagonists, directors, keywords, series, overview, genre_ids, status,
       original_language, release_year, withdrawn_at IS NULL,
       ARRAY(
           SELECT DISTINCT tag FROM movies_screening, unnest(tags) AS tag
           WHERE movie_id = film.id AND state <> 'hidden' AND cardinality(tags) > 0 ORDER BY tag
       )
FROM movies_movie AS film WHERE id = ANY(%s)
"""
WRITE = """
UPDATE movies_moviesearch AS search SET document = made.document::tsvector, is_stale = false
FROM unnest(%s::bigint[], %s::text[]) AS made (movie_id, document)
WHERE search.movie_id = made.movie_id
"""


@transaction.atomic(savepoint=False)
def index_movies(movie_ids: Collection[int]) -> None:
    """Have these films found by what the transaction has written, from its commit on."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_GIVEN, [list(movie_ids)])
        _write([movie_id for (movie_id,) in cursor.fetchall()])


def index_for_search() -> int:
    """Make anew what was written past us, in batches; returns how many films it was.

    Films that somebody is writing are left for the next time.
    """
    count, last = 0, 0
    while batch := _index_batch(after=last):
        count, last = count + len(batch), batch[-1]
    return count


@transaction.atomic
def _index_batch(*, after: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(LOCK_NEXT, [after, BATCH])
        movie_ids = [movie_id for (movie_id,) in cursor.fetchall()]
    _write(movie_ids)
    return movie_ids


def _write(movie_ids: Collection[int]) -> None:
    if not movie_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute(READ, [list(movie_ids)])
        made = [(row[0], _document(*row[1:])) for row in cursor.fetchall()]
        cursor.execute(WRITE, [list(column) for column in zip(*made, strict=True)])


def _document(
    name: str,
    protagonists: list[str],
    directors: list[str],
    keywords: list[str],
    series: str,
    overview: str,
    genres: list[int],
    status: str,
    language: str | None,
    release_year: int | None,
    is_published: bool,
    tags: list[str],
) -> str:
    film = Film(
        name,
        protagonists,
        directors,
        keywords,
        series,
        tags,
        overview,
        genres,
        status,
        language,
        release_year,
    )
    # Empty, it is found by nothing.
    return document(film) if is_published else ""
