"""The order of the films in a playlist, whose row the caller holds locked."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection
from django.db.models import Max

from users.models import Playlist, PlaylistEntry
from users.playlists.errors import OtherFilms

#: One statement, however many films. That two of them are in one place is judged at the commit.
RENUMBER = """
UPDATE users_playlistentry AS entry SET position = wanted.position
FROM unnest(%s::bigint[]) WITH ORDINALITY AS wanted (id, position)
WHERE entry.id = wanted.id AND entry.position <> wanted.position
"""


def next_position(playlist: Playlist) -> int:
    last = playlist.entries.aggregate(last=Max("position"))["last"]
    return (last or 0) + 1


def place_of(entry: PlaylistEntry) -> int:
    """Counted from 1 among the films that are shown."""
    before = PlaylistEntry.objects.filter(
        playlist=entry.playlist_id, movie__withdrawn_at=None, position__lt=entry.position
    )
    return before.count() + 1


def move(entry: PlaylistEntry, place: int) -> bool:
    """Put the film to this place; returns whether it stood elsewhere.

    Args:
        place: Counted from 1 among the films that are shown; beyond the last one is the end.
    """
    all_, shown = _entries(entry.playlist)
    wanted = [one for one in shown if one != entry.pk]
    wanted.insert(place - 1, entry.pk)
    return _write(all_, shown, wanted)


def reorder(playlist: Playlist, movie_ids: Sequence[int]) -> bool:
    """Bring the films into this order; returns whether it was another one.

    Raises:
        OtherFilms: These are not the films of the playlist.
    """
    all_, shown = _entries(playlist)
    by_movie = dict(playlist.entries.filter(movie__withdrawn_at=None).values_list("movie_id", "pk"))
    missing = by_movie.keys() - set(movie_ids)
    unknown = [one for one in movie_ids if one not in by_movie]
    if missing or unknown:
        raise OtherFilms(missing=sorted(missing), unknown=unknown)
    return _write(all_, shown, [by_movie[movie_id] for movie_id in movie_ids])


def _entries(playlist: Playlist) -> tuple[list[int], list[int]]:
    """The ids of all entries in order, and of those whose films are shown."""
    rows = list(playlist.entries.order_by("position").values_list("pk", "movie__withdrawn_at"))
    return [pk for pk, _ in rows], [pk for pk, withdrawn_at in rows if withdrawn_at is None]


def _write(all_: Sequence[int], shown: Sequence[int], wanted: Sequence[int]) -> bool:
    """Fill the places of those that are shown anew. What was withdrawn keeps its place."""
    if shown == wanted:
        return False
    places, is_shown = iter(wanted), set(shown)
    order = [next(places) if pk in is_shown else pk for pk in all_]
    with connection.cursor() as cursor:
        cursor.execute(RENUMBER, [order])
    return True
