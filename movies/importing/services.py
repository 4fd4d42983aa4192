"""Imports of movies: planned in memory, written in a few statements whatever their number."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from operator import attrgetter

import orjson
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from cinema.locks import hold_exclusive, retry_on_deadlock
from cinema.metrics.totals import count_rows
from movies.errors import broken_constraint
from movies.importing.files import RawRow
from movies.importing.plan import ImportPlan, PlannedMovie
from movies.importing.schemas import (
    MAX_ROWS,
    AppliedRow,
    ImportOut,
    MovieRow,
    RefusedMovieRow,
    Result,
    refused_body,
    validated,
)
from movies.importing.tables import UnusableFile
from movies.models import Genre, Movie
from movies.search.index import index_movies
from movies.services import UNIQUE_MOVIE

log = logging.getLogger(__name__)

LOCK = "movies.import"
# All writers lock movies in this order. The key is not locked: viewers may rate them meanwhile.
LOCK_FILMS = """
SELECT id, xmin::text FROM movies_movie WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""
BATCHES_REMEMBERED = 20
#: Classes of SQLSTATE that refuse values, and would refuse them again.
REFUSALS = ("22", "23", "54")


def import_list(items: Sequence[object], *, dry_run: bool = False) -> ImportOut:
    """Import the movies of a request; a bad one does not stop the others."""
    rows = [validated(number, item) for number, item in enumerate(items, 1)]
    results = ImportPlan().apply(rows) if dry_run else import_rows(rows)
    done = [each for each in results if isinstance(each, AppliedRow)]
    count = Counter(each.outcome for each in done)
    return ImportOut(
        dry_run=dry_run,
        created=count["created"],
        updated=count["updated"],
        unchanged=count["unchanged"],
        movies=[each.report for each in done],
        refused=[each for each in results if isinstance(each, RefusedMovieRow)],
    )


def import_all(items: Iterable[RawRow], *, dry_run: bool = False) -> Iterator[Result]:
    """Import the rows of a file, each thousand in a transaction; results come in their order.

    An error of the file is raised after the rows before it are written. A dry run remembers the
    last 20,000 rows: a movie that an earlier row created seems to be new again.
    """
    plan = ImportPlan()
    for number, batch in enumerate(_batches(items)):
        if number % BATCHES_REMEMBERED == 0:
            plan = ImportPlan()
        yield from plan.apply(batch) if dry_run else import_rows(batch)


def _batches(items: Iterable[RawRow]) -> Iterator[list[MovieRow | RefusedMovieRow]]:
    batch: list[MovieRow | RefusedMovieRow] = []
    try:
        for item in items:
            batch.append(item if isinstance(item, RefusedMovieRow) else validated(*item))
            if len(batch) == MAX_ROWS:
                yield batch
                batch = []
    except UnusableFile:
        yield batch
        raise
    yield batch


@retry_on_deadlock
@transaction.atomic
def import_rows(rows: Sequence[MovieRow | RefusedMovieRow]) -> list[Result]:
    """Import the rows in one transaction; a row that the database refuses is refused alone."""
    if not rows:
        return []
    hold_exclusive(LOCK)
    with connection.cursor() as cursor:
        # A constraint that is checked at the commit could not refuse a single row.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    results = _write_or_halve(rows, is_second_try=False)
    counts = Counter(getattr(each, "outcome", "refused") for each in results)
    transaction.on_commit(partial(count_rows, "films", counts))
    return results


def _write_or_halve(
    rows: Sequence[MovieRow | RefusedMovieRow], *, is_second_try: bool = True
) -> list[Result]:
    try:
        with transaction.atomic():
            return _write(rows)
    except DatabaseError as error:
        if str(getattr(error.__cause__, "sqlstate", None))[:2] not in REFUSALS:
            raise
        if not is_second_try:
            # Most likely another request has just created a movie: the next plan finds it.
            return _write_or_halve(rows)
        if len(rows) == 1 and isinstance(row := rows[0], MovieRow):
            log.warning("row %d refused by the database: %s", row.number, error)
            return [_refusal(row, error)]
    half = len(rows) // 2
    return [*_write_or_halve(rows[:half]), *_write_or_halve(rows[half:])]


def _write(rows: Sequence[MovieRow | RefusedMovieRow]) -> list[Result]:
    """Plan, lock the movies that change, and plan again if one has changed meanwhile.

    Movies that stay as they are are not locked.
    """
    while True:
        plan = ImportPlan()
        results = plan.apply(rows)
        if _lock(plan.updated):
            write(plan)
            return results


def _lock(films: Mapping[int, PlannedMovie]) -> bool:
    """Lock the movies; returns whether they are still as they were read."""
    if not films:
        return True
    with connection.cursor() as cursor:
        cursor.execute(LOCK_FILMS, [list(films)])
        return dict(cursor.fetchall()) == {pk: film.version for pk, film in films.items()}


def _refusal(row: MovieRow, error: DatabaseError) -> RefusedMovieRow:
    constraint = broken_constraint(error) if isinstance(error, IntegrityError) else None
    if constraint in UNIQUE_MOVIE:
        why = "Another movie, perhaps a withdrawn one, has its TMDb id, its slug, or its name."
    else:
        why = f"The database does not take it ({constraint or 'a value is out of range'})."
    return refused_body(row.number, why)


# One JSON value for all rows: Postgres has no arrays of arrays of different lengths, and a
# parameter for each value costs more than the rest of the import.
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
#: Columns that follow from other columns, or from the write itself.
DERIVED = {"slug", "status", "status_is_manual", "updated_at"}


def write(plan: ImportPlan) -> None:
    """Write the planned movies.

    Changed movies come first: a new one may take over a name or a slug. Movies come before other
    tables, as in every writer, so that no deadlock is possible.
    """
    updated = list(plan.updated.values())
    if updated:
        _update([film.movie for film in updated], set().union(*(film.columns for film in updated)))
    if plan.created:
        _insert([film.movie for film in plan.created])
    _link_genres([*updated, *plan.created])
    index_movies([film.movie.pk for film in (*updated, *plan.created)])


def _insert(movies: Collection[Movie]) -> None:
    fields = [field for field in Movie._meta.concrete_fields if not field.generated]
    names = [field.name for field in fields if not field.primary_key]
    statement = INSERT.format(names=", ".join(names), rows=ROWS, typed=_typed(names))
    with connection.cursor() as cursor:
        cursor.execute(statement, [_values(movies, names)])
        ids = dict(cursor.fetchall())
    for movie in movies:
        movie.pk = ids[movie.slug]


def _update(movies: Collection[Movie], columns: Set[str]) -> None:
    """Write each column that changed in any movie; the rows are locked, so no value is lost."""
    names = sorted(columns | DERIVED)
    assignments = ", ".join(f"{name} = new.{name}" for name in names)
    statement = UPDATE.format(assignments=assignments, rows=ROWS, typed=_typed(names))
    with connection.cursor() as cursor:
        cursor.execute(statement, [_values(movies, ["id", *names])])


def _values(movies: Collection[Movie], names: Sequence[str]) -> str:
    now = timezone.now()
    for movie in movies:
        movie.updated_at = now
    return orjson.dumps(
        [{name: getattr(movie, name) for name in names} for movie in movies]
    ).decode()


def _typed(names: Iterable[str]) -> str:
    return ", ".join(f"{name} {Movie._meta.get_field(name).db_type(connection)}" for name in names)


def _link_genres(films: Iterable[PlannedMovie]) -> None:
    """Create new genres, and link and unlink the changed ones."""
    gone, wanted = [], []
    new: dict[str, Genre] = {}
    for film in films:
        gone += [(film.movie.pk, slug) for slug in film.old_genres.keys() - film.genres.keys()]
        wanted += [(film.movie.pk, slug) for slug in film.genres.keys() - film.old_genres.keys()]
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
