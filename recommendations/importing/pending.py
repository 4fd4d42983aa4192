"""Statements about films that the catalogue lacks: kept, and applied when a film is added.

A pending statement is matched by the rules of an import, so it stays pending while several films
match.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from itertools import groupby, islice
from operator import itemgetter

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from cinema.errors import NotFound, Unauthorized
from cinema.locks import hold_exclusive, retry_on_deadlock
from movies.days import cinema_day
from movies.importing.matching import (
    FilmMatcher,
    WantedFilm,
    hash_of,
    hashed_title_keys,
)
from movies.models import Movie
from recommendations.importing.formats import StatementKind
from recommendations.importing.plan import ViewerPlan, hold_movies, lock_name
from recommendations.importing.schemas import RefusedFileRow
from recommendations.importing.statements import Statement, StatementRow
from recommendations.models import PendingImport
from users.models import User

#: Film, kind and day, which are unique for a viewer.
Key = tuple[int, int, date | None]

#: The limit of one viewer.
MAX_PENDING = 50_000
#: Films of the catalogue that are matched in one query.
FILMS_AT_ONCE = 1_000
ROWS_AT_ONCE = 5_000
#: A bulk INSERT takes five times as long.
COLUMNS = [field.attname for field in PendingImport._meta.concrete_fields if not field.primary_key]
COPY = f"COPY {PendingImport._meta.db_table} ({', '.join(COLUMNS)}) FROM STDIN"


class PendingImportNotFound(NotFound):
    def __init__(self, pending_id: int) -> None:
        super().__init__(f"You have no pending import {pending_id}.")


class PendingPlan:
    """The changes of a viewer's pending statements by an import.

    Attributes:
        kept: The number of rows that are pending, whether new or not.
        refused: Rows for which there is no room.
    """

    def __init__(self, user: User, rows: Sequence[StatementRow], matcher: FilmMatcher) -> None:
        self._user = user
        self._matcher = matcher
        self._pending: dict[Key, PendingImport] = {}
        self._created: list[PendingImport] = []
        self._updated: set[PendingImport] = set()
        self.kept = 0
        self.refused: list[RefusedFileRow] = []
        columns = ("id", "film", "kind", "day", "half_stars", "said_at")
        for each in PendingImport.objects.filter(user=user).only(*columns) if rows else ():
            self._pending[each.film, each.kind, each.day] = each
        for row in rows:
            self._apply(row)

    def write(self) -> None:
        """Write within the transaction that holds the lock of the viewer's imports."""
        if self._created:
            with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                for each in self._created:
                    copy.write_row([getattr(each, column) for column in COLUMNS])
        columns = ["half_stars", "said_at"]
        PendingImport.objects.bulk_update(self._updated, columns, batch_size=ROWS_AT_ONCE)

    def _apply(self, row: StatementRow) -> None:
        title_keys = self._matcher.key_hashes(row.film)
        film = _film_hash(row.film, title_keys)
        for said in row.statements:
            key = film, said.kind, _day(said)
            if (pending := self._pending.get(key)) is not None:
                self._update(pending, said)
            elif len(self._pending) < MAX_PENDING:
                pending = self._pending_import(row.film, said, key, title_keys)
                self._pending[key] = pending
                self._created.append(pending)
            else:
                why = f"You keep {MAX_PENDING:,} statements about films that are not here yet."
                self.refused.append(row.refused(f"There is no room for it. {why}"))
                return
        self.kept += 1

    def _update(self, pending: PendingImport, said: Statement) -> None:
        """A later rating replaces an earlier one; one with a date goes before one without."""
        old = pending.said_at
        is_later = old is None or (said.at is not None and said.at > old)
        is_other = (pending.half_stars, old) != (said.half_stars, said.at)
        if said.kind is StatementKind.RATING and is_later and is_other:
            pending.half_stars, pending.said_at = said.half_stars, said.at
            if pending.pk:
                self._updated.add(pending)

    def _pending_import(
        self, film: WantedFilm, said: Statement, key: Key, title_keys: list[int]
    ) -> PendingImport:
        return PendingImport(
            user=self._user,
            title=film.title,
            original_title=film.titles[1] if len(film.titles) > 1 else "",
            year=film.year,
            tmdb_id=film.tmdb_id,
            imdb_id=film.imdb_id,
            kind=said.kind,
            half_stars=said.half_stars,
            said_at=said.at,
            day=key[2],
            film=key[0],
            title_keys=title_keys,
        )


def _film_hash(film: WantedFilm, title_keys: Sequence[int]) -> int:
    return hash_of(f"tmdb:{film.tmdb_id}" if film.tmdb_id else f"{film.year}:{title_keys}")


def _day(said: Statement) -> date | None:
    if said.kind is not StatementKind.VIEWING or said.at is None:
        return None
    return said.day or cinema_day(said.at)


# --- the viewer's list


def list_pending(user: User) -> QuerySet[PendingImport]:
    return PendingImport.objects.filter(user=user).order_by("title", "pk")


def delete_pending(*, user: User, pending_id: int) -> None:
    """
    Raises:
        PendingImportNotFound: The viewer has no such pending import.
    """
    if not PendingImport.objects.filter(user=user, pk=pending_id).delete()[0]:
        raise PendingImportNotFound(pending_id)


def delete_all_pending(*, user: User) -> None:
    PendingImport.objects.filter(user=user).delete()


# --- when films are added


def match_pending(*, changed_since: datetime | None = None) -> int:
    """Apply pending statements to films of the catalogue; returns how many are settled.

    Args:
        changed_since: Match films that were added or changed since then; by default all.
    """
    if not PendingImport.objects.exists():
        return 0
    movies = Movie.objects.filter(withdrawn_at=None)
    if changed_since is not None:
        movies = movies.filter(updated_at__gte=changed_since)
    films = movies.order_by("pk").values_list("name", "tmdb_id").iterator(FILMS_AT_ONCE)
    settled = 0
    while batch := list(islice(films, FILMS_AT_ONCE)):
        settled += _match_films(batch)
    return settled


def _match_films(films: Sequence[tuple[str, int | None]]) -> int:
    names, tmdb_ids = zip(*films, strict=True)
    asked = Q(title_keys__overlap=hashed_title_keys(names)) | Q(tmdb_id__in=set(tmdb_ids) - {None})
    found = PendingImport.objects.filter(asked)
    columns = ("title", "original_title", "year", "tmdb_id")
    wanted = {_wanted(*values) for values in found.values_list(*columns).distinct()}
    if not wanted:
        return 0
    matcher = FilmMatcher(wanted)
    rows = found.order_by("user_id", "pk").values_list("user_id", "pk")
    settled = 0
    for user_id, group in groupby(rows, key=itemgetter(0)):
        with suppress(Unauthorized):  # the account was deleted meanwhile
            settled += _apply_pending(user_id, [pk for _, pk in group], matcher)
    return settled


@retry_on_deadlock
@transaction.atomic
def _apply_pending(user_id: int, pending_ids: Sequence[int], matcher: FilmMatcher) -> int:
    """Return how many rows are settled."""
    hold_exclusive(lock_name(user_id))
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        return 0
    waiting = PendingImport.objects.filter(pk__in=pending_ids, user=user).order_by("pk")
    rows = map(_row, waiting)
    found = {row: films for row in rows if len(films := matcher.find(row.film)) == 1}
    movie_ids = hold_movies({film.pk for [film] in found.values()})
    matched = [(row, film.pk) for row, [film] in found.items() if film.pk in movie_ids]
    if not matched:
        return 0
    plan = ViewerPlan(user, movie_ids)
    plan.apply(matched)
    plan.write()
    # A statement for which there is no room stays pending.
    settled = {row.number for row, _ in matched} - {each.row for each in plan.refused}
    PendingImport.objects.filter(pk__in=settled).delete()
    return len(settled)


def _row(pending: PendingImport) -> StatementRow:
    film = _wanted(pending.title, pending.original_title, pending.year, pending.tmdb_id)
    kind = StatementKind(pending.kind)
    said = Statement(kind, pending.said_at, pending.day, pending.half_stars)
    return StatementRow("", pending.pk, film, (said,))


def _wanted(title: str, original_title: str, year: int | None, tmdb_id: int | None) -> WantedFilm:
    return WantedFilm(tuple(filter(None, (title, original_title))), year, tmdb_id)
