"""A viewer's belongings, read and written in a few statements however many films there are."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from recommendations.importing.planning import Belongings, Plan, Rating
from recommendations.models import Interaction
from users.history.services import MAX_VIEWINGS
from users.locking import lock_viewer
from users.models import Playlist, PlaylistEntry, User, Viewing
from users.playlists.ordering import next_position
from users.playlists.schemas import MAX_FILMS, MAX_PLAYLISTS

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
            found.ratings[row.movie_id] = Rating(row.half_stars, row.updated_at)
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
