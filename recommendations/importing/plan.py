"""What becomes of a viewer's belongings by what a file says, thought through in memory.

Repeating a file changes nothing: whatever it has brought about is found to stand already.
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
from recommendations.importing.formats import Deed
from recommendations.importing.statements import Fault, NotKept, Place, Refused, Said
from recommendations.models import Interaction
from users.auth import lock_viewer
from users.history import MAX_VIEWINGS
from users.models import Playlist, PlaylistEntry, User, Viewing
from users.playlists.schemas import MAX_FILMS, MAX_PLAYLISTS
from users.playlists.services import next_position

Outcome = Literal["created", "updated", "unchanged"]

#: Before any date that a file can give.
UNDATED = datetime.min.replace(tzinfo=UTC)
#: What a viewer has done some time or other comes after what has a day.
ORDER = (Deed.RATED, Deed.LIKED, Deed.WATCHED, Deed.SEEN, Deed.LISTED)


@dataclass(frozen=True, slots=True)
class Statement:
    place: Place
    movie_id: int
    said: Said


@dataclass(frozen=True, slots=True)
class StandingRating:
    half_stars: int
    at: datetime


@dataclass
class Belongings:
    """What the viewer has of the films in question.

    Attributes:
        seen: Films that the viewer has said to have seen, without a day.
        days: On which each film was watched, by the cinema's day and by the calendar's.
        listed: All films of the list, in question or not.
        room_in_history: For so many entries more.
        room_on_list: For so many films more.
    """

    ratings: dict[int, StandingRating] = field(default_factory=dict)
    likes: set[int] = field(default_factory=set)
    seen: set[int] = field(default_factory=set)
    days: defaultdict[int, set[date]] = field(default_factory=lambda: defaultdict(set))
    listed: set[int] = field(default_factory=set)
    room_in_history: int = 0
    room_on_list: int = 0

    def watched(self, movie_id: int, at: datetime) -> None:
        # Who notes on Sunday what began on Saturday at midnight means one and the same.
        self.days[movie_id] |= {cinema_day(at), local_time(at).date()}


class Plan:
    """
    Attributes:
        ratings: To be written, by the movie.
        likes, seen: When the viewer said so, by the movie.
        viewings: Movie and moment.
        listed: Movies in their order.
        counts: How often what came of what.
        refused: For want of room.
        passed_over: Because what stands goes before it.
    """

    def __init__(self, belongings: Belongings, now: datetime) -> None:
        self._has = belongings
        self._now = now
        self.ratings: dict[int, StandingRating] = {}
        self.likes: dict[int, datetime] = {}
        self.seen: dict[int, datetime] = {}
        self.viewings: list[tuple[int, datetime]] = []
        self.listed: list[int] = []
        self.counts: Counter[tuple[Deed, Outcome]] = Counter()
        self.refused: list[Refused] = []
        self.passed_over: list[Refused] = []

    def take(self, statements: Iterable[Statement]) -> None:
        """All that a file says: the oldest rating first, so that the newest one stays."""
        by_deed: defaultdict[Deed, list[Statement]] = defaultdict(list)
        for each in statements:
            by_deed[each.said.deed].append(each)
        by_deed[Deed.RATED].sort(key=lambda each: each.said.at or UNDATED)
        for deed in ORDER:
            for each in by_deed[deed]:
                self._take(each)

    def _take(self, each: Statement) -> None:
        said = each.said
        try:
            match said.deed:
                case Deed.RATED:
                    outcome = self._rate(each.movie_id, said)
                case Deed.LIKED:
                    outcome = self._like(each.movie_id, said.at or self._now)
                case Deed.WATCHED | Deed.SEEN:
                    outcome = self._watch(each.movie_id, said)
                case Deed.LISTED:
                    outcome = self._list(each.movie_id)
        except Fault as fault:
            self.refused.append(Refused(each.place, str(fault)))
        except NotKept as reason:
            self.passed_over.append(Refused(each.place, str(reason)))
        else:
            self.counts[said.deed, outcome] += 1

    def _rate(self, movie_id: int, said: Said) -> Outcome:
        """What the viewer has said later, here or in the file, stays. A rating without a date may
        be older than any other one.
        """
        standing = self._has.ratings.get(movie_id)
        rating = StandingRating(said.half_stars, said.at or self._now)
        if standing and standing.half_stars == rating.half_stars:
            return "unchanged"
        if standing and said.at is None:
            raise NotKept(
                "There is a rating of the film already, and the file does not date its own."
            )
        if standing and standing.at >= rating.at:
            return "unchanged"
        self._has.ratings[movie_id] = self.ratings[movie_id] = rating
        return "updated" if standing else "created"

    def _like(self, movie_id: int, at: datetime) -> Outcome:
        if movie_id in self._has.likes:
            return "unchanged"
        self._has.likes.add(movie_id)
        self.likes[movie_id] = at
        return "created"

    def _watch(self, movie_id: int, said: Said) -> Outcome:
        """Once a day: whoever was checked in here has often noted it elsewhere too."""
        if said.at is None:
            return self._see(movie_id)
        days = self._has.days[movie_id]
        is_dated = said.deed is Deed.WATCHED
        if (said.day or cinema_day(said.at)) in days if is_dated else days:
            return "unchanged"
        if len(self.viewings) == self._has.room_in_history:
            raise Fault("There is no room left in your history.")
        self._has.watched(movie_id, said.at)
        if said.day:
            days.add(said.day)
        self.viewings.append((movie_id, said.at))
        return "created"

    def _see(self, movie_id: int) -> Outcome:
        """A film without a day is not put into the history, which has one for each."""
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
            raise Fault("There is no room left on your playlist “Watchlist”, or for it.")
        self._has.listed.add(movie_id)
        self.listed.append(movie_id)
        return "created"


Kind = Interaction.Kind

WATCHLIST = "Watchlist"

# Nobody deletes them until the transaction ends; they may be rated and changed.
HOLD = """
SELECT id FROM movies_movie WHERE id = ANY(%s) AND withdrawn_at IS NULL ORDER BY id FOR KEY SHARE
"""
# Their counts will change. All at once, in the order of their ids: the triggers of the statement
# below take first the ones and then the others of new and changed ratings, and so two viewers could
# each wait for what the other has.
LOCK = "SELECT FROM movies_movie WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
# What the viewer says at this very moment, by another request, is newer than any file.
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
    """Of the lock by which the imports of one viewer take turns."""
    return f"recommendations.import.{user_id}"


def hold_movies(movie_ids: Collection[int]) -> set[int]:
    """Those that are still published, which they stay in the database until the commit."""
    with connection.cursor() as cursor:
        cursor.execute(HOLD, [list(movie_ids)])
        return {movie_id for (movie_id,) in cursor.fetchall()}


def watchlist_of(user: User) -> Playlist | None:
    """The viewer's oldest private list of that name."""
    return _watchlists(user).first()


def _watchlists(user: User) -> QuerySet[Playlist]:
    return Playlist.objects.filter(user=user, name=WATCHLIST, is_public=False).order_by("pk")


def belongings_of(user: User, movie_ids: Collection[int], watchlist: Playlist | None) -> Belongings:
    found = Belongings()
    kinds = (Kind.RATING, Kind.LIKE, Kind.SEEN)
    interactions = Interaction.objects.filter(user=user, movie__in=movie_ids, kind__in=kinds)
    for row in interactions:
        if row.kind == Kind.RATING:
            found.ratings[row.movie_id] = StandingRating(row.half_stars, row.updated_at)
        else:
            (found.likes if row.kind == Kind.LIKE else found.seen).add(row.movie_id)
    viewings = Viewing.objects.filter(user=user)
    in_question = viewings.filter(movie__in=movie_ids).values_list("movie_id", "watched_at")
    for movie_id, watched_at in in_question:
        found.watched(movie_id, watched_at)
    found.room_in_history = max(0, MAX_VIEWINGS - viewings.count())
    if watchlist:
        found.listed = set(watchlist.entries.values_list("movie_id", flat=True))
        found.room_on_list = max(0, MAX_FILMS - len(found.listed))
    elif user.playlists.count() < MAX_PLAYLISTS:
        found.room_on_list = MAX_FILMS
    return found


def write(user: User, plan: Plan) -> Playlist | None:
    """Returns the watchlist, if films were put on it.

    In the order in which everybody locks: what is rated, the viewer, then all that is the viewer's.
    """
    _record(user, plan)
    lock_viewer(user)
    Viewing.objects.bulk_create(
        (Viewing(user=user, movie_id=pk, watched_at=at) for pk, at in plan.viewings),
        ignore_conflicts=True,
    )
    return _append(user, plan.listed) if plan.listed else None


def _record(user: User, plan: Plan) -> None:
    rows = [(pk, Kind.RATING, each.half_stars, each.at) for pk, each in plan.ratings.items()]
    rows += [(pk, Kind.LIKE, 0, at) for pk, at in plan.likes.items()]
    rows += [(pk, Kind.SEEN, 0, at) for pk, at in plan.seen.items()]
    if rows:
        columns = [list(values) for values in zip(*rows, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(LOCK, [list(plan.ratings)])
            cursor.execute(RECORD, [user.pk, timezone.now(), *columns])


def _append(user: User, movie_ids: Sequence[int]) -> Playlist:
    """What has come onto the list since it was looked at is not doubled."""
    watchlist = _watchlists(user).select_for_update(no_key=True).first()
    watchlist = watchlist or Playlist.objects.create(user=user, name=WATCHLIST)
    standing = set(watchlist.entries.values_list("movie_id", flat=True))
    missing = [movie_id for movie_id in movie_ids if movie_id not in standing]
    room = max(0, MAX_FILMS - len(standing))
    PlaylistEntry.objects.bulk_create(
        PlaylistEntry(playlist=watchlist, movie_id=movie_id, position=position)
        for position, movie_id in enumerate(missing[:room], next_position(watchlist))
    )
    watchlist.updated_at = timezone.now()
    watchlist.save(update_fields=["updated_at"])
    return watchlist
