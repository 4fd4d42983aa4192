"""Databases full of viewers, films and ratings, by binary COPY."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import numpy as np
from django.db import connection, transaction
from django.utils import timezone
from numpy.typing import NDArray

from bench.inside.synthetic import Ratings, make_ratings
from movies.models import Genre, Movie
from recommendations.dataset import POSTGRES_EPOCH_S
from recommendations.models import Interaction

TABLE = "recommendations_interaction"
VIEWERS, FILMS, GENRES_OF_FILMS = "users_user", "movies_movie", "movies_movie_genres"
FILM_COLUMNS = (
    "name, slug, protagonists, directors, keywords, overview, start_date, status, "
    "status_is_manual, ranking, original_language, release_year, rating_count, rating_sum, "
    "created_at, updated_at, genre_ids"
)
COLUMNS = {
    "user_id": ">i8",
    "movie_id": ">i8",
    "kind": ">i2",
    "half_stars": ">i2",
    "created_at": ">i8",
    "updated_at": ">i8",
}
#: A row in COPY's binary format: a count of fields, then length and value of each.
ROW = np.dtype(
    [
        ("fields", ">i2"),
        *(
            part
            for name, kind in COLUMNS.items()
            for part in ((f"{name}_length", ">i4"), (name, kind))
        ),
    ]
)
#: The statements that drop and create each one; those of constraints by their constraints.
FIND_INDEXES = """
SELECT CASE WHEN oid IS NULL THEN format('DROP INDEX %%I', relname)
            ELSE format('ALTER TABLE %%s DROP CONSTRAINT %%I', indrelid, conname) END,
       CASE WHEN oid IS NULL THEN replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')
            ELSE format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', indrelid, conname,
                        pg_get_constraintdef(oid)) END
FROM (
    SELECT indrelid::regclass, indexrelid, relname, con.oid, conname FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
    LEFT JOIN pg_constraint con ON conindid = indexrelid AND contype IN ('u', 'x')
    WHERE indrelid = ANY(%s::regclass[]) AND NOT indisprimary
) indexes
"""
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
BLOCK_ROWS = 100_000
GENRES, KEYWORDS, KEYWORDS_EACH = 20, 2_000, 5
LANGUAGES = ("en", "fr", "de", "it", "ja")


def fill_synthetic(*, viewers: int, films: int, ratings: int) -> dict[str, float]:
    """Returns how many seconds each step took."""
    steps = {"start": time.perf_counter()}
    made = make_ratings(viewers=viewers, films=films, ratings=ratings)
    steps["make"] = time.perf_counter()
    with (
        transaction.atomic(),
        without_triggers(TABLE, GENRES_OF_FILMS),
        without_indexes(TABLE, FILMS),
    ):
        user_ids = _copy_viewers(made, viewers)
        movie_ids = _copy_films(made, films)
        steps["viewers and films"] = time.perf_counter()
        _copy(made, user_ids, movie_ids)
        steps["copy"] = time.perf_counter()
    steps["indexes"] = time.perf_counter()
    with connection.cursor() as cursor:  # as autovacuum would, which must not run meanwhile
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
    steps["vacuum"] = time.perf_counter()
    times = list(steps.values())
    return dict(zip(list(steps)[1:], np.diff(times).tolist(), strict=True))


def _copy_viewers(made: Ratings, count: int) -> NDArray[np.int64]:
    """Returns their ids. `taste_version` is as the trigger of `Interaction` would leave it."""
    joined_at = timezone.now()
    has_rated = np.bincount(made.viewers, minlength=count) > 0
    columns = "email, password, name, is_staff, is_superuser, is_active, date_joined, taste_version"
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {VIEWERS} ({columns}) FROM STDIN") as copy,
    ):
        for number, rated in enumerate(has_rated.tolist()):
            email = f"viewer-{number}@cinema.invalid"
            copy.write_row((email, "!", "", False, False, True, joined_at, int(rated)))
    return _last_ids(VIEWERS, count)


def _copy_films(made: Ratings, count: int, *, seed: int = 1895) -> NDArray[np.int64]:
    """Returns their ids. The columns that triggers maintain are as those would leave them.

    People, keywords and genres are of unequal fame.
    """
    rng = np.random.default_rng(seed)
    people = _drawn(rng, count, each=3, of=max(3, count // 2)).tolist()
    keywords = _drawn(rng, count, each=KEYWORDS_EACH, of=KEYWORDS).tolist()
    own_genres = [sorted(set(own)) for own in _drawn(rng, count, each=2, of=GENRES).tolist()]
    counts = np.bincount(made.films, minlength=count).tolist()
    sums = (np.bincount(made.films, made.half_stars, minlength=count) / 2).tolist()
    genres = Genre.objects.bulk_create(
        [Genre(name=f"Genre {n}", slug=f"genre-{n}") for n in range(GENRES)]
    )
    now = timezone.now()
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY {FILMS} ({FILM_COLUMNS}) FROM STDIN") as copy:
            for number in range(count):
                copy.write_row((
                    f"Film {number}", f"film-{number}",
                    [f"Actor {person}" for person in people[number]],
                    [f"Director {people[number][0] // 4}"],
                    [f"keyword {keyword}" for keyword in sorted(set(keywords[number]))],
                    "", date(2020, 1, 1), Movie.Status.RUNNING.value, False, 0,
                    LANGUAGES[number % len(LANGUAGES)], 1930 + number % 90,
                    counts[number], sums[number], now, now,
                    [genres[genre].pk for genre in own_genres[number]],
                ))  # fmt: skip
        ids = _last_ids(FILMS, count)
        with cursor.copy(f"COPY {GENRES_OF_FILMS} (movie_id, genre_id) FROM STDIN") as copy:
            for movie_id, own in zip(ids.tolist(), own_genres, strict=True):
                for genre in own:
                    copy.write_row((movie_id, genres[genre].pk))
    return ids


def _last_ids(table: str, count: int) -> NDArray[np.int64]:
    """The ids of the rows that were written last, in ascending order."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {table} ORDER BY id DESC LIMIT %s", [count])
        return np.array([pk for (pk,) in cursor.fetchall()][::-1])


def _drawn(rng: np.random.Generator, count: int, *, each: int, of: int) -> NDArray[np.intp]:
    """(count, each) from 0 to below `of`, the low ones often."""
    return (of * rng.random((count, each)) ** 2).astype(np.intp)


@contextmanager
def without_triggers(*tables: str) -> Iterator[None]:
    """Disable triggers and foreign key checks. The caller sets what the triggers maintain."""
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        yield
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")


@contextmanager
def without_indexes(*tables: str) -> Iterator[None]:
    """Drop all indexes except primary keys, and create them again at the end."""
    with connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '512MB'")
        cursor.execute(FIND_INDEXES, [list(tables)])
        found = cursor.fetchall()
        for drop, _ in found:
            cursor.execute(drop)
        yield
        for _, create in found:
            cursor.execute(create)


def _copy(ratings: Ratings, user_ids: NDArray[np.int64], movie_ids: NDArray[np.int64]) -> None:
    command = f"COPY {TABLE} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(command) as copy:
        copy.write(HEADER)
        for start in range(0, len(ratings.viewers), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            microseconds = (ratings.seconds[part] - POSTGRES_EPOCH_S) * 1_000_000
            copy.write(
                _rows(
                    user_id=user_ids[ratings.viewers[part]],
                    movie_id=movie_ids[ratings.films[part]],
                    kind=Interaction.Kind.RATING,
                    half_stars=ratings.half_stars[part],
                    created_at=microseconds,
                    updated_at=microseconds,
                )
            )
        copy.write(TRAILER)


def _rows(**columns: NDArray[np.integer] | int) -> bytes:
    rows = np.empty(len(np.atleast_1d(columns["user_id"])), dtype=ROW)
    rows["fields"] = len(columns)
    for name, values in columns.items():
        rows[f"{name}_length"] = ROW[name].itemsize
        rows[name] = values
    return rows.tobytes()
