"""The plan of a viewer's import: read what the viewer has, apply statements in memory, write.

The number of database statements does not depend on the number of films, and importing a file again
changes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime
from typing import Literal

from django.db import connection
from django.utils import timezone

from movies.days import cinema_day, local_time
from movies.importing.tables import RowRefused
from recommendations.importing.formats import StatementKind
from recommendations.importing.schemas import RefusedFileRow
from recommendations.importing.statements import NotKept, Statement, StatementRow
from recommendations.models import Interaction
from users.auth import lock_viewer, raise_taste_version
from users.history import MAX_VIEWINGS
from users.models import Playlist, PlaylistEntry, User, Viewing
from users.playlists.schemas import MAX_FILMS, MAX_PLAYLISTS
from users.playlists.services import next_position

Kind = Interaction.Kind
Outcome = Literal["created", "updated", "unchanged"]

WATCHLIST = "Watchlist"
#: Earlier than any date of a file.
UNDATED = datetime.min.replace(tzinfo=UTC)
#: Statements without a day come after those with one.
ORDER = (
    StatementKind.RATING,
    StatementKind.LIKE,
    StatementKind.VIEWING,
    StatementKind.SEEN,
    StatementKind.WATCHLIST,
)

# No one can delete the movies until the transaction ends; rating and changing them is possible.
HOLD = """
SELECT id FROM movies_movie WHERE id = ANY(%s) AND withdrawn_at IS NULL ORDER BY id FOR KEY SHARE
"""
# The triggers change the rating counts of these movies, of new ratings before changed ones. Without
# this lock, in the order of ids, two imports could deadlock.
LOCK = "SELECT FROM movies_movie WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
# A rating by a concurrent request of the viewer is newer than any file.
RECORD = """
INSERT INTO recommendations_interaction AS standing
    (user_id, movie_id, kind, half_stars, created_at, updated_at)
SELECT %s, movie_id, kind, half_stars, %s, said_at
FROM unnest(%s::bigint[], %s::smallint[], %s::smallint[], %s::timestamptz[])
    AS said (movie_id, kind, half_stars, said_at)
ORDER BY movie_id, kind
ON CONFLICT (user_id, movie_id, kind) DO UPDATE
SET half_stars = excluded.half_stars, updated_at = excluded.updated_at
WHERE standing.updated_at < excluded.updated_at AND standing.half_stars <> excluded.half_stars
"""


def lock_name(user_id: int) -> str:
    """Name the lock that serialises the imports of one viewer."""
    return f"recommendations.import.{user_id}"


def hold_movies(movie_ids: Collection[int]) -> set[int]:
    """Return the movies that are still published; they cannot be deleted until the commit."""
    with connection.cursor() as cursor:
        cursor.execute(HOLD, [list(movie_ids)])
        return {movie_id for (movie_id,) in cursor.fetchall()}


class ViewerPlan:
    """The rows that a viewer has for some films, and those that statements about them add.

    Attributes:
        watchlist: The viewer's oldest private list of that name.
        counts: The number of statements by kind and outcome.
        refused: Statements for which there is no room.
        passed_over: Statements that what the viewer has overrides.
    """

    def __init__(self, user: User, movie_ids: Collection[int]) -> None:
        self._user = user
        self._now = timezone.now()
        self.counts: Counter[tuple[StatementKind, str]] = Counter()
        self.refused: list[RefusedFileRow] = []
        self.passed_over: list[RefusedFileRow] = []
        #: Half stars and moment by movie and kind.
        self._interactions: dict[tuple[int, Kind], tuple[int, datetime]] = {}
        self._new_interactions: dict[tuple[int, Kind], tuple[int, datetime]] = {}
        #: The days on which each film was watched.
        self._days: defaultdict[int, set[date]] = defaultdict(set)
        self._new_viewings: list[tuple[int, datetime]] = []
        self._new_on_list: list[int] = []
        self._load_interactions(movie_ids)
        self._load_history(movie_ids)
        self._load_watchlist()

    def _load_interactions(self, movie_ids: Collection[int]) -> None:
        kinds = (Kind.RATING, Kind.LIKE, Kind.SEEN)
        for row in Interaction.objects.filter(user=self._user, movie__in=movie_ids, kind__in=kinds):
            self._interactions[row.movie_id, Kind(row.kind)] = row.half_stars, row.updated_at

    def _load_history(self, movie_ids: Collection[int]) -> None:
        viewings = Viewing.objects.filter(user=self._user)
        self._room_in_history = max(0, MAX_VIEWINGS - viewings.count())
        in_question = viewings.filter(movie__in=movie_ids).values_list("movie_id", "watched_at")
        for movie_id, watched_at in in_question:
            self._days[movie_id] |= _days_of(watched_at)

    def _load_watchlist(self) -> None:
        mine = Playlist.objects.filter(user=self._user, name=WATCHLIST, is_public=False)
        self.watchlist = mine.order_by("pk").first()
        self._listed: set[int] = set()
        if self.watchlist:
            self._listed |= set(self.watchlist.entries.values_list("movie_id", flat=True))
        has_room = self.watchlist or self._user.playlists.count() < MAX_PLAYLISTS
        self._room_on_list = max(0, MAX_FILMS - len(self._listed)) if has_room else 0

    def apply(self, matched: Iterable[tuple[StatementRow, int]]) -> None:
        """Apply the statements of rows, which come with the ids of their movies."""
        found = [(said, row, pk) for row, pk in matched for said in row.statements]
        # The oldest rating comes first, so that the newest one stays.
        found.sort(key=lambda each: (ORDER.index(each[0].kind), _rated_at(each[0])))
        for said, row, movie_id in found:
            try:
                self.counts[said.kind, self._apply(movie_id, said)] += 1
            except RowRefused as fault:
                self.refused.append(row.refused(str(fault)))
            except NotKept as reason:
                self.passed_over.append(row.refused(str(reason)))

    def _apply(self, movie_id: int, said: Statement) -> Outcome:
        if said.kind is StatementKind.RATING:
            return self._rate(movie_id, said)
        if said.kind is StatementKind.LIKE:
            return self._note(movie_id, Kind.LIKE, said.at or self._now)
        if said.kind is StatementKind.WATCHLIST:
            return self._list(movie_id)
        return self._watch(movie_id, said) if said.at else self._mark_seen(movie_id)

    def _rate(self, movie_id: int, said: Statement) -> Outcome:
        """Keep the later rating. One without a date may be older than any other."""
        old = self._interactions.get((movie_id, Kind.RATING))
        at = said.at or self._now
        if old and old[0] == said.half_stars:
            return "unchanged"
        if old and said.at is None:
            raise NotKept(
                "There is a rating of the film already, and the file does not date its own."
            )
        if old and old[1] >= at:
            return "unchanged"
        self._record(movie_id, Kind.RATING, said.half_stars, at)
        return "updated" if old else "created"

    def _note(self, movie_id: int, kind: Kind, at: datetime) -> Outcome:
        if (movie_id, kind) in self._interactions:
            return "unchanged"
        self._record(movie_id, kind, 0, at)
        return "created"

    def _record(self, movie_id: int, kind: Kind, half_stars: int, at: datetime) -> None:
        self._interactions[movie_id, kind] = half_stars, at
        self._new_interactions[movie_id, kind] = half_stars, at

    def _watch(self, movie_id: int, said: Statement) -> Outcome:
        """Add one viewing a day: a viewing here is often noted in the other service too."""
        assert said.at is not None
        days = self._days[movie_id]
        is_dated = said.kind is StatementKind.VIEWING
        if (said.day or cinema_day(said.at)) in days if is_dated else days:
            return "unchanged"
        if len(self._new_viewings) == self._room_in_history:
            raise RowRefused("There is no room left in your history.")
        days |= _days_of(said.at) | ({said.day} if said.day else set())
        self._new_viewings.append((movie_id, said.at))
        return "created"

    def _mark_seen(self, movie_id: int) -> Outcome:
        """Mark the film as seen: the history has no viewings without a day."""
        if (movie_id, Kind.RATING) in self._interactions or self._days[movie_id]:
            return "unchanged"
        return self._note(movie_id, Kind.SEEN, self._now)

    def _list(self, movie_id: int) -> Outcome:
        if movie_id in self._listed:
            return "unchanged"
        if len(self._new_on_list) == self._room_on_list:
            raise RowRefused("There is no room left on your playlist “Watchlist”, or for it.")
        self._listed.add(movie_id)
        self._new_on_list.append(movie_id)
        return "created"

    def write(self) -> None:
        """Write the plan.

        The order of the locks is that of every writer: rated movies, the viewer, the viewer's rows.
        """
        if self._new_interactions:
            self._write_interactions()
        lock_viewer(self._user)
        if self._new_viewings:
            Viewing.objects.bulk_create(
                (
                    Viewing(user=self._user, movie_id=movie_id, watched_at=at)
                    for movie_id, at in self._new_viewings
                ),
                ignore_conflicts=True,
            )
            raise_taste_version(self._user.pk)
        if self._new_on_list:
            self._write_watchlist()

    def _write_interactions(self) -> None:
        new = self._new_interactions.items()
        rows = [(movie_id, kind, *recorded) for (movie_id, kind), recorded in new]
        rated = [movie_id for movie_id, kind, *_ in rows if kind == Kind.RATING]
        with connection.cursor() as cursor:
            cursor.execute(LOCK, [rated])
            columns = [list(values) for values in zip(*rows, strict=True)]
            cursor.execute(RECORD, [self._user.pk, timezone.now(), *columns])

    def _write_watchlist(self) -> None:
        """Add the films that the list does not have: it may have changed since it was read."""
        mine = Playlist.objects.filter(user=self._user, name=WATCHLIST, is_public=False)
        watchlist = mine.select_for_update(no_key=True).order_by("pk").first()
        self.watchlist = watchlist or Playlist.objects.create(user=self._user, name=WATCHLIST)
        listed = set(self.watchlist.entries.values_list("movie_id", flat=True))
        missing = [movie_id for movie_id in self._new_on_list if movie_id not in listed]
        missing = missing[: max(0, MAX_FILMS - len(listed))]
        PlaylistEntry.objects.bulk_create(
            PlaylistEntry(playlist=self.watchlist, movie_id=movie_id, position=position)
            for position, movie_id in enumerate(missing, next_position(self.watchlist))
        )
        self.watchlist.updated_at = timezone.now()
        self.watchlist.save(update_fields=["updated_at"])


def _rated_at(said: Statement) -> datetime:
    is_dated_rating = said.kind is StatementKind.RATING and said.at
    return said.at if is_dated_rating and said.at else UNDATED


def _days_of(at: datetime) -> set[date]:
    """Return the cinema's day and the calendar day: a viewing after midnight may have either."""
    return {cinema_day(at), local_time(at).date()}
