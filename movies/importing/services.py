"""Planned films into the database, in a few statements however many they are."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from operator import attrgetter

import orjson
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from cinema.locks import hold_exclusive, retry_on_deadlock
from movies.errors import broken_constraint
from movies.importing.plan import Film, Films
from movies.importing.rows import Done, Refused, Result, Row, checked, refused
from movies.importing.schemas import MAX_ROWS, ImportedRow, ImportOut, RefusedMovieRow
from movies.importing.tables import UnusableFile
from movies.models import Genre, Movie
from movies.search.index import index_movies
from movies.services import UNIQUE_MOVIE

log = logging.getLogger(__name__)

LOCK = "movies.import"
# In the order of all writers, and without the key: viewers may rate them meanwhile.
LOCK_FILMS = """
SELECT id, xmin::text FROM movies_movie WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""
BATCHES_REMEMBERED = 20
#: Classes of SQLSTATE by which the database refuses values, and would do so again.
REFUSALS = ("22", "23", "54")


def import_list(items: Sequence[object], *, dry_run: bool = False) -> ImportOut:
    """Bring in the movies of a request, of which a bad one stops no other."""
    looked_at = [checked(number, item) for number, item in enumerate(items, 1)]
    results = _bring_in(looked_at, Films() if dry_run else None)
    done = [each for each in results if isinstance(each, Done)]
    count = Counter(each.outcome for each in done)
    return ImportOut(
        dry_run=dry_run,
        created=count["created"],
        updated=count["updated"],
        unchanged=count["unchanged"],
        movies=[
            ImportedRow(
                row=each.number, id=each.movie.pk, outcome=each.outcome, changed=[*each.changes]
            )
            for each in done
        ],
        refused=[
            RefusedMovieRow(
                row=each.number, reason=each.reason, errors=each.errors, movie_id=each.movie_id
            )
            for each in results
            if isinstance(each, Refused)
        ],
    )


def import_all(
    items: Iterable[tuple[int, object] | Refused], *, dry_run: bool = False
) -> Iterator[Result]:
    """Bring in the rows of a file, each thousand in a transaction; results in their order.

    What is thrown while they are read comes after what was read before is written. A dry run
    remembers the last 20,000 rows: a film that stands further apart seems to be new again.
    """
    films = Films()
    for number, batch in enumerate(_batches(items)):
        if number % BATCHES_REMEMBERED == 0:
            films = Films()
        yield from _bring_in(batch, films if dry_run else None)


def _batches(items: Iterable[tuple[int, object] | Refused]) -> Iterator[list[Row | Refused]]:
    batch: list[Row | Refused] = []
    try:
        for item in items:
            batch.append(item if isinstance(item, Refused) else checked(*item))
            if len(batch) == MAX_ROWS:
                yield batch
                batch = []
    except UnusableFile:
        yield batch
        raise
    yield batch


def _bring_in(looked_at: Sequence[Row | Refused], imagined: Films | None) -> list[Result]:
    """In their order; with `imagined` films nothing is written."""
    rows = [each for each in looked_at if isinstance(each, Row)]
    done = iter(plan(rows, imagined) if imagined else import_rows(rows))
    return [each if isinstance(each, Refused) else next(done) for each in looked_at]


def plan(rows: Sequence[Row], films: Films) -> list[Result]:
    """What would become of the rows, written down in `films`, which later rows see. No write."""
    films.load(rows)
    return [films.take(row) for row in rows]


@retry_on_deadlock
@transaction.atomic
def import_rows(rows: Sequence[Row]) -> list[Result]:
    """Bring in the rows, in one transaction. What the database refuses is refused alone."""
    if not rows:
        return []
    hold_exclusive(LOCK)
    with connection.cursor() as cursor:
        # At the commit it would be too late to refuse a single row.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    return _write_or_halve(rows, others_were_faster=False)


def _write_or_halve(rows: Sequence[Row], *, others_were_faster: bool = True) -> list[Result]:
    try:
        with transaction.atomic():
            return _write(rows)
    except DatabaseError as error:
        if _sqlstate(error)[:2] not in REFUSALS:
            raise
        if not others_were_faster:
            # Most likely somebody has just posted one of them: it is found the next time.
            return _write_or_halve(rows)
        if len(rows) == 1:
            log.warning("row %d refused by the database: %s", rows[0].number, error)
            return [_refused_by_database(rows[0], error)]
    half = len(rows) // 2
    return [*_write_or_halve(rows[:half]), *_write_or_halve(rows[half:])]


def _write(rows: Sequence[Row]) -> list[Result]:
    """Plan, lock what is to change, and plan again if somebody was faster; rows that change
    nothing are not even locked.
    """
    while True:
        films = Films()
        results = plan(rows, films)
        if _lock(films.updated):
            write(films)
            return results


def _lock(films: Mapping[int, Film]) -> bool:
    """Whether the films are still as they were read, now that they are locked."""
    if not films:
        return True
    with connection.cursor() as cursor:
        cursor.execute(LOCK_FILMS, [list(films)])
        return dict(cursor.fetchall()) == {pk: film.version for pk, film in films.items()}


def _refused_by_database(row: Row, error: DatabaseError) -> Refused:
    constraint = broken_constraint(error) if isinstance(error, IntegrityError) else None
    if constraint in UNIQUE_MOVIE:
        why = "Another movie, perhaps a withdrawn one, has its TMDb id, its slug, or its name."
    else:
        why = f"The database does not take it ({constraint or 'a value is out of range'})."
    return refused(row.number, "body", why)


def _sqlstate(error: DatabaseError) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""


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
