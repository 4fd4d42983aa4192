"""What viewers say of films that the catalogue lacks: kept, and carried out once a film is added.

A pending statement is matched by the rules of an import, so it waits on while several films could
be meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from itertools import groupby, islice
from operator import itemgetter

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from cinema.errors import NotFound, Unauthorized
from cinema.locks import again_after_deadlock, hold_alone
from movies.days import cinema_day
from movies.models import Movie
from recommendations.importing.formats import Deed
from recommendations.importing.matching import Matching, hash_of, key_hashes
from recommendations.importing.plan import (
    Plan,
    Statement,
    belongings_of,
    hold_movies,
    lock_name,
    watchlist_of,
    write,
)
from recommendations.importing.statements import Place, Refused, Row, Said, Wanted
from recommendations.models import PendingImport
from users.models import User

Kind = PendingImport.Kind
#: Film, kind and day: what a viewer says once.
Key = tuple[int, int, date | None]

#: Of one viewer.
MAX_PENDING = 50_000
#: Films that are looked for at once.
FILMS_AT_ONCE = 1_000
ROWS_AT_ONCE = 5_000
#: A bulk INSERT takes five times as long.
COLUMNS = [field.attname for field in PendingImport._meta.concrete_fields if not field.primary_key]
COPY = f"COPY {PendingImport._meta.db_table} ({', '.join(COLUMNS)}) FROM STDIN"

KINDS = {
    Deed.RATED: Kind.RATING,
    Deed.WATCHED: Kind.VIEWING,
    Deed.SEEN: Kind.SEEN,
    Deed.LIKED: Kind.LIKE,
    Deed.LISTED: Kind.WATCHLIST,
}
DEEDS = {kind: deed for deed, kind in KINDS.items()}


class PendingImportNotFound(NotFound):
    def __init__(self, pending_id: int) -> None:
        super().__init__(f"You have no pending import {pending_id}.")


class PendingPlan:
    """What an import adds to a viewer's pending statements, worked out in memory.

    Attributes:
        kept: How many rows are kept for later, or are kept already.
        refused: Rows for which there is no room.
    """

    def __init__(self, user: User, rows: Sequence[Row], matching: Matching) -> None:
        self._user = user
        self._standing = _standing(user) if rows else {}
        self._created: dict[Key, PendingImport] = {}
        self._updated: dict[Key, PendingImport] = {}
        self._matching = matching
        self.kept = 0
        self.refused: list[Refused] = []
        for row in rows:
            self._take(row)

    def write(self) -> None:
        """Within the transaction that holds the viewer's imports off."""
        if self._created:
            with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                for each in self._created.values():
                    copy.write_row([getattr(each, column) for column in COLUMNS])
        PendingImport.objects.bulk_update(
            self._updated.values(), ["half_stars", "said_at"], batch_size=ROWS_AT_ONCE
        )

    def _take(self, row: Row) -> None:
        title_keys = self._matching.key_hashes(row.film)
        film = _film_hash(row.film, title_keys)
        for said in row.said:
            key = film, KINDS[said.deed], _day(said)
            pending = self._created.get(key) or self._standing.get(key)
            if pending is not None:
                self._update(key, pending, said)
            elif len(self._standing) + len(self._created) < MAX_PENDING:
                self._created[key] = _pending(self._user, row.film, title_keys, said, key)
            else:
                why = f"You keep {MAX_PENDING:,} statements about films that are not here yet."
                self.refused.append(Refused(row.place, f"There is no room for it. {why}"))
                return
        self.kept += 1

    def _update(self, key: Key, pending: PendingImport, said: Said) -> None:
        """A later rating replaces an earlier one; one with a date goes before one without."""
        if said.deed is not Deed.RATED or not _is_later(said.at, pending.said_at):
            return
        if (pending.half_stars, pending.said_at) != (said.half_stars, said.at):
            pending.half_stars, pending.said_at = said.half_stars, said.at
            if pending.pk:
                self._updated[key] = pending


def _standing(user: User) -> dict[Key, PendingImport]:
    columns = ("id", "film", "kind", "day", "half_stars", "said_at")
    rows = PendingImport.objects.filter(user=user).only(*columns)
    return {(row.film, row.kind, row.day): row for row in rows}


def _film_hash(film: Wanted, title_keys: Sequence[int]) -> int:
    return hash_of(f"tmdb:{film.tmdb_id}" if film.tmdb_id else f"{film.year}:{title_keys}")


def _day(said: Said) -> date | None:
    if said.deed is not Deed.WATCHED or said.at is None:
        return None
    return said.day or cinema_day(said.at)


def _is_later(at: datetime | None, than: datetime | None) -> bool:
    return than is None or (at is not None and at > than)


def _pending(
    user: User, film: Wanted, title_keys: list[int], said: Said, key: Key
) -> PendingImport:
    return PendingImport(
        user=user,
        title=film.title,
        original_title=film.titles[1] if len(film.titles) > 1 else "",
        year=film.year,
        tmdb_id=film.tmdb_id,
        imdb_id=film.imdb_id,
        kind=key[1],
        half_stars=said.half_stars,
        said_at=said.at,
        day=key[2],
        film=key[0],
        title_keys=title_keys,
    )


# --- what the viewer sees of it


def list_pending(user: User) -> QuerySet[PendingImport]:
    return PendingImport.objects.filter(user=user).order_by("title", "pk")


def delete_pending(*, user: User, pending_id: int) -> None:
    """
    Raises:
        PendingImportNotFound: There is none, or it is another viewer's.
    """
    if not PendingImport.objects.filter(user=user, pk=pending_id).delete()[0]:
        raise PendingImportNotFound(pending_id)


def delete_all_pending(*, user: User) -> None:
    PendingImport.objects.filter(user=user).delete()


# --- when films are added


def match_pending(*, changed_since: datetime | None = None) -> int:
    """Carry out what viewers have said of the films; returns how many statements are settled.

    Args:
        changed_since: Look at the films that were added or changed since then; at all by default.
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
    asked = Q(title_keys__overlap=key_hashes(names)) | Q(tmdb_id__in=set(tmdb_ids) - {None})
    found = PendingImport.objects.filter(asked)
    columns = ("title", "original_title", "year", "tmdb_id")
    wanted = {_wanted(*values) for values in found.values_list(*columns).distinct()}
    if not wanted:
        return 0
    matching = Matching(wanted)
    rows = found.order_by("user_id", "pk").values_list("user_id", "pk")
    return sum(
        _match_viewer(user_id, [pk for _, pk in group], matching)
        for user_id, group in groupby(rows, key=itemgetter(0))
    )


def _match_viewer(user_id: int, pending_ids: Sequence[int], matching: Matching) -> int:
    try:
        return _carry_out(user_id, pending_ids, matching)
    except Unauthorized:  # the account was deleted meanwhile, and its rows with it
        return 0


@again_after_deadlock
@transaction.atomic
def _carry_out(user_id: int, pending_ids: Sequence[int], matching: Matching) -> int:
    """Return how many rows are settled."""
    hold_alone(lock_name(user_id))
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        return 0
    rows = list(PendingImport.objects.filter(pk__in=pending_ids, user=user).order_by("pk"))
    films = {row.pk: _film_of(row, matching) for row in rows}
    movie_ids = hold_movies({pk for pk in films.values() if pk is not None})
    statements = [
        Statement(Place("", row.pk), movie_id, _said(row))
        for row in rows
        if (movie_id := films[row.pk]) in movie_ids and movie_id is not None
    ]
    if not statements:
        return 0
    plan = Plan(belongings_of(user, movie_ids, watchlist_of(user)), timezone.now())
    plan.take(statements)
    write(user, plan)
    # What there is no room for waits on.
    settled = {each.place.row for each in statements} - {each.place.row for each in plan.refused}
    PendingImport.objects.filter(pk__in=settled).delete()
    return len(settled)


def _film_of(row: PendingImport, matching: Matching) -> int | None:
    found = matching.find(_wanted(row.title, row.original_title, row.year, row.tmdb_id))
    return found[0].pk if len(found) == 1 else None


def _wanted(title: str, original_title: str, year: int | None, tmdb_id: int | None) -> Wanted:
    return Wanted(tuple(filter(None, (title, original_title))), year, tmdb_id)


def _said(row: PendingImport) -> Said:
    return Said(DEEDS[Kind(row.kind)], row.said_at, row.day, row.half_stars)
