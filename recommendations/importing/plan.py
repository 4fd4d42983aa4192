"""The plan of a viewer's import: read what the viewer has, apply statements in memory, write.

The number of database statements does not depend on the number of films, and importing a file again
changes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from movies.days import cinema_day, local_time
from movies.importing.tables import RefusedRow, RowRefused
from recommendations.importing.formats import StatementKind
from recommendations.importing.statements import NotKept, Statement
from recommendations.models import Interaction
from users.auth import lock_viewer, raise_taste_version
from users.history import MAX_VIEWINGS
from users.models import Playlist, PlaylistEntry, User, Viewing
from users.playlists.schemas import MAX_FILMS, MAX_PLAYLISTS
from users.playlists.services import next_position

Outcome = Literal["created", "updated", "unchanged"]

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


@dataclass(frozen=True, slots=True)
class MatchedStatement:
    file: str
    number: int
    movie_id: int
    statement: Statement


@dataclass(frozen=True, slots=True)
class DatedRating:
    half_stars: int
    at: datetime


@dataclass
class Belongings:
    """The rows that the viewer has already for the matched films.

    Attributes:
        seen: Films marked as seen, without a day.
        days: The days on which each film was watched, both cinema days and calendar days.
        listed: All films of the watchlist.
        room_in_history: How many more viewings the history can hold.
        room_on_list: How many more films the watchlist can hold.
    """

    ratings: dict[int, DatedRating] = field(default_factory=dict)
    likes: set[int] = field(default_factory=set)
    seen: set[int] = field(default_factory=set)
    days: defaultdict[int, set[date]] = field(default_factory=lambda: defaultdict(set))
    listed: set[int] = field(default_factory=set)
    room_in_history: int = 0
    room_on_list: int = 0

    def add_viewing(self, movie_id: int, at: datetime) -> None:
        # A viewing after midnight may be dated with either day.
        self.days[movie_id] |= {cinema_day(at), local_time(at).date()}


class BelongingsPlan:
    """The rows to be written.

    Attributes:
        ratings: By movie.
        likes, seen: The moment of the statement, by movie.
        viewings: Movies and moments.
        listed: Movies in their order.
        counts: The number of statements by kind and outcome.
        refused: Statements for which there is no room.
        passed_over: Statements that what the viewer has overrides.
    """

    def __init__(self, belongings: Belongings, now: datetime) -> None:
        self._has = belongings
        self._now = now
        self.ratings: dict[int, DatedRating] = {}
        self.likes: dict[int, datetime] = {}
        self.seen: dict[int, datetime] = {}
        self.viewings: list[tuple[int, datetime]] = []
        self.listed: list[int] = []
        self.counts: Counter[tuple[StatementKind, Outcome]] = Counter()
        self.refused: list[RefusedRow] = []
        self.passed_over: list[RefusedRow] = []

    def apply(self, matched: Iterable[MatchedStatement]) -> None:
        """Apply all statements, the oldest rating first, so that the newest one stays."""
        by_kind: defaultdict[StatementKind, list[MatchedStatement]] = defaultdict(list)
        for each in matched:
            by_kind[each.statement.kind].append(each)
        by_kind[StatementKind.RATING].sort(key=lambda each: each.statement.at or UNDATED)
        for kind in ORDER:
            for each in by_kind[kind]:
                self._apply(each)

    def _apply(self, each: MatchedStatement) -> None:
        said = each.statement
        try:
            match said.kind:
                case StatementKind.RATING:
                    outcome = self._rate(each.movie_id, said)
                case StatementKind.LIKE:
                    outcome = self._like(each.movie_id, said.at or self._now)
                case StatementKind.VIEWING | StatementKind.SEEN:
                    outcome = self._watch(each.movie_id, said)
                case StatementKind.WATCHLIST:
                    outcome = self._list(each.movie_id)
        except RowRefused as fault:
            self.refused.append(RefusedRow(each.number, str(fault), each.file))
        except NotKept as reason:
            self.passed_over.append(RefusedRow(each.number, str(reason), each.file))
        else:
            self.counts[said.kind, outcome] += 1

    def _rate(self, movie_id: int, said: Statement) -> Outcome:
        """Keep the later rating. One without a date may be older than any other."""
        old = self._has.ratings.get(movie_id)
        rating = DatedRating(said.half_stars, said.at or self._now)
        if old and old.half_stars == rating.half_stars:
            return "unchanged"
        if old and said.at is None:
            raise NotKept(
                "There is a rating of the film already, and the file does not date its own."
            )
        if old and old.at >= rating.at:
            return "unchanged"
        self._has.ratings[movie_id] = self.ratings[movie_id] = rating
        return "updated" if old else "created"

    def _like(self, movie_id: int, at: datetime) -> Outcome:
        if movie_id in self._has.likes:
            return "unchanged"
        self._has.likes.add(movie_id)
        self.likes[movie_id] = at
        return "created"

    def _watch(self, movie_id: int, said: Statement) -> Outcome:
        """Add one viewing a day: a viewing here is often noted in the other service too."""
        if said.at is None:
            return self._see(movie_id)
        days = self._has.days[movie_id]
        is_dated = said.kind is StatementKind.VIEWING
        if (said.day or cinema_day(said.at)) in days if is_dated else days:
            return "unchanged"
        if len(self.viewings) == self._has.room_in_history:
            raise RowRefused("There is no room left in your history.")
        self._has.add_viewing(movie_id, said.at)
        if said.day:
            days.add(said.day)
        self.viewings.append((movie_id, said.at))
        return "created"

    def _see(self, movie_id: int) -> Outcome:
        """Mark the film as seen: the history has no viewings without a day."""
        has = self._has
        if movie_id in has.seen or movie_id in has.ratings or has.days[movie_id]:
            return "unchanged"
        has.seen.add(movie_id)
        self.seen[movie_id] = self._now
        return "created"

    def _list(self, movie_id: int) -> Outcome:
        if movie_id in self._has.listed:
            return "unchanged"
        if len(self.listed) == self._has.room_on_list:
            raise RowRefused("There is no room left on your playlist “Watchlist”, or for it.")
        self._has.listed.add(movie_id)
        self.listed.append(movie_id)
        return "created"


Kind = Interaction.Kind

WATCHLIST = "Watchlist"

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


def watchlist_of(user: User) -> Playlist | None:
    """Return the viewer's oldest private list of that name."""
    return _watchlists(user).first()


def _watchlists(user: User) -> QuerySet[Playlist]:
    return Playlist.objects.filter(user=user, name=WATCHLIST, is_public=False).order_by("pk")


def belongings_of(user: User, movie_ids: Collection[int], watchlist: Playlist | None) -> Belongings:
    found = Belongings()
    kinds = (Kind.RATING, Kind.LIKE, Kind.SEEN)
    interactions = Interaction.objects.filter(user=user, movie__in=movie_ids, kind__in=kinds)
    for row in interactions:
        if row.kind == Kind.RATING:
            found.ratings[row.movie_id] = DatedRating(row.half_stars, row.updated_at)
        else:
            (found.likes if row.kind == Kind.LIKE else found.seen).add(row.movie_id)
    viewings = Viewing.objects.filter(user=user)
    in_question = viewings.filter(movie__in=movie_ids).values_list("movie_id", "watched_at")
    for movie_id, watched_at in in_question:
        found.add_viewing(movie_id, watched_at)
    found.room_in_history = max(0, MAX_VIEWINGS - viewings.count())
    if watchlist:
        found.listed = set(watchlist.entries.values_list("movie_id", flat=True))
        found.room_on_list = max(0, MAX_FILMS - len(found.listed))
    elif user.playlists.count() < MAX_PLAYLISTS:
        found.room_on_list = MAX_FILMS
    return found


def write_plan(user: User, plan: BelongingsPlan) -> Playlist | None:
    """Write the plan; returns the watchlist, if films were added to it.

    The order of the locks is that of every writer: rated movies, the viewer, the viewer's rows.
    """
    _record(user, plan)
    lock_viewer(user)
    if plan.viewings:
        Viewing.objects.bulk_create(
            (Viewing(user=user, movie_id=pk, watched_at=at) for pk, at in plan.viewings),
            ignore_conflicts=True,
        )
        raise_taste_version(user.pk)
    return _append(user, plan.listed) if plan.listed else None


def _record(user: User, plan: BelongingsPlan) -> None:
    rows = [(pk, Kind.RATING, each.half_stars, each.at) for pk, each in plan.ratings.items()]
    rows += [(pk, Kind.LIKE, 0, at) for pk, at in plan.likes.items()]
    rows += [(pk, Kind.SEEN, 0, at) for pk, at in plan.seen.items()]
    if rows:
        columns = [list(values) for values in zip(*rows, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(LOCK, [list(plan.ratings)])
            cursor.execute(RECORD, [user.pk, timezone.now(), *columns])


def _append(user: User, movie_ids: Sequence[int]) -> Playlist:
    """Add the films that the list does not have: it may have changed since it was read."""
    watchlist = _watchlists(user).select_for_update(no_key=True).first()
    watchlist = watchlist or Playlist.objects.create(user=user, name=WATCHLIST)
    listed = set(watchlist.entries.values_list("movie_id", flat=True))
    missing = [movie_id for movie_id in movie_ids if movie_id not in listed]
    room = max(0, MAX_FILMS - len(listed))
    PlaylistEntry.objects.bulk_create(
        PlaylistEntry(playlist=watchlist, movie_id=movie_id, position=position)
        for position, movie_id in enumerate(missing[:room], next_position(watchlist))
    )
    watchlist.updated_at = timezone.now()
    watchlist.save(update_fields=["updated_at"])
    return watchlist
