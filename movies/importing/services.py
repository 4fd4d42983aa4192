from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from django.db import DatabaseError, IntegrityError, connection, transaction

from cinema.locks import again_after_deadlock, hold_alone
from movies.constraints import broken_constraint
from movies.importing.films import Film, Films
from movies.importing.lines import UnusableFile
from movies.importing.rows import Done, Refused, Result, Row, checked, refused
from movies.importing.schemas import MAX_ROWS, ImportedRow, ImportOut, RefusedMovieRow
from movies.importing.writing import write
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


@again_after_deadlock
@transaction.atomic
def import_rows(rows: Sequence[Row]) -> list[Result]:
    """Bring in the rows, in one transaction. What the database refuses is refused alone."""
    if not rows:
        return []
    hold_alone(LOCK)
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
