"""Writes of playlists. Each locks the playlist's row, so that writers of one take turns.

A playlist that is not the viewer's own raises PlaylistNotFound, or NotYourPlaylist if it is public.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from cinema.locks import retry_if_deleted
from movies import selectors as movies
from users import errors
from users.auth import lock_viewer
from users.models import Playlist, PlaylistEntry, PlaylistFollow, User
from users.playlists import selectors
from users.playlists.schemas import (
    MAX_FILMS,
    MAX_FOLLOWED,
    MAX_PLAYLISTS,
    PlaceOut,
    PlaylistIn,
    PlaylistPatch,
)


@transaction.atomic
def create_playlist(*, owner: User, payload: PlaylistIn) -> Playlist:
    """Make an empty playlist.

    Raises:
        TooManyPlaylists: The viewer has MAX_PLAYLISTS.
    """
    _check_room(owner)
    playlist = Playlist.objects.create(user=owner, **payload.model_dump())
    return selectors.get_playlist(playlist.pk, reader=owner)


@transaction.atomic
def update_playlist(*, owner: User, playlist_id: int, changes: PlaylistPatch) -> Playlist:
    playlist = selectors.lock_own_playlist(playlist_id, owner=owner)
    fields = changes.model_dump(exclude_unset=True)
    changed = [name for name, value in fields.items() if getattr(playlist, name) != value]
    for name in changed:
        setattr(playlist, name, fields[name])
    if changed:
        _save_change(playlist, *changed)
    return selectors.get_playlist(playlist_id, reader=owner)


@transaction.atomic
def delete_playlist(*, owner: User, playlist_id: int) -> None:
    mine = selectors.lock_own_playlist(playlist_id, owner=owner)
    # This lock includes the key: a new follower waits for it, and then finds the playlist gone.
    Playlist.objects.select_for_update().get(pk=mine.pk).delete()


@retry_if_deleted
@transaction.atomic
def copy_playlist(*, owner: User, playlist_id: int, name: str | None = None) -> Playlist:
    """Copy a public playlist, or one of the viewer's own, to a private one of the viewer.

    Raises:
        PlaylistNotFound: The viewer may not see such a playlist.
        TooManyPlaylists: The viewer has MAX_PLAYLISTS.
    """
    original = selectors.get_playlist(playlist_id, reader=owner)
    _check_room(owner)
    copy = Playlist.objects.create(
        user=owner, name=name or original.name, description=original.description
    )
    films = [entry.movie_id for entry in original.shown]  # type: ignore[attr-defined]
    PlaylistEntry.objects.bulk_create(
        PlaylistEntry(playlist=copy, movie_id=movie_id, position=position)
        for position, movie_id in enumerate(films, start=1)
    )
    return selectors.get_playlist(copy.pk, reader=owner)


@retry_if_deleted
@transaction.atomic
def put_movie(
    *, owner: User, playlist_id: int, movie_id: int, position: int | None = None
) -> tuple[PlaceOut, bool]:
    """Add a movie, or move it; returns its place, and whether it is new.

    Args:
        position: Counted from 1 among the listed movies. None keeps the place, or adds at the end.

    Raises:
        MovieNotFound: No published movie has this id.
        PlaylistFull: It has MAX_FILMS.
    """
    playlist = selectors.lock_own_playlist(playlist_id, owner=owner)
    movie = movies.get_movie(movie_id)
    entry = playlist.entries.filter(movie=movie).first()
    if is_new := entry is None:
        if playlist.entries.count() >= MAX_FILMS:
            raise errors.PlaylistFull(MAX_FILMS)
        entry = playlist.entries.create(movie=movie, position=next_position(playlist))
    is_moved = position is not None and move_entry(entry, position)
    if is_new or is_moved:
        _save_change(playlist)
        entry.refresh_from_db()
    place = PlaceOut(movie_id=movie_id, position=place_of(entry), added_at=entry.added_at)
    return place, is_new


@transaction.atomic
def remove_movie(*, owner: User, playlist_id: int, movie_id: int) -> None:
    playlist = selectors.lock_own_playlist(playlist_id, owner=owner)
    if not playlist.entries.filter(movie_id=movie_id).delete()[0]:
        raise errors.NotInPlaylist(movie_id)
    _save_change(playlist)


@transaction.atomic
def reorder_movies(*, owner: User, playlist_id: int, movie_ids: Sequence[int]) -> None:
    """Reorder the movies.

    Raises:
        OtherFilms: These are not the movies of the playlist.
    """
    playlist = selectors.lock_own_playlist(playlist_id, owner=owner)
    if reorder_entries(playlist, movie_ids):
        _save_change(playlist)


@transaction.atomic
def share_playlist(*, owner: User, playlist_id: int) -> Playlist:
    """Give the playlist a link that cannot be guessed, unless it has one."""
    playlist = selectors.lock_own_playlist(playlist_id, owner=owner)
    if playlist.share_slug is None:
        playlist.share_slug = secrets.token_urlsafe(32)  # 256 bits
        playlist.save(update_fields=["share_slug"])
    return playlist


@transaction.atomic
def unshare_playlist(*, owner: User, playlist_id: int) -> None:
    """Delete the link. A later one will differ."""
    playlist = selectors.lock_own_playlist(playlist_id, owner=owner)
    if playlist.share_slug is None:
        raise errors.NotShared
    playlist.share_slug = None
    playlist.save(update_fields=["share_slug"])


@retry_if_deleted
@transaction.atomic
def follow_playlist(*, viewer: User, playlist_id: int) -> None:
    """Follow another viewer's public playlist, which is listed while it is public.

    Raises:
        PlaylistNotFound: The viewer may not see such a playlist.
        OwnPlaylist: It is the viewer's own.
        TooManyFollowed: The viewer follows MAX_FOLLOWED.
    """
    playlist = selectors.get_bare_playlist(playlist_id, reader=viewer)
    if playlist.user_id == viewer.pk:
        raise errors.OwnPlaylist
    lock_viewer(viewer)
    follows = PlaylistFollow.objects.filter(user=viewer)
    if follows.filter(playlist=playlist).exists():
        return
    if follows.count() >= MAX_FOLLOWED:
        raise errors.TooManyFollowed(MAX_FOLLOWED)
    follows.create(user=viewer, playlist=playlist)


def unfollow_playlist(*, viewer: User, playlist_id: int) -> None:
    """Stop following a playlist, even one that has become private, which answers as unknown.

    Raises:
        PlaylistNotFound: The viewer may not see such a playlist.
        NotFollowed: The viewer did not follow it.
    """
    found = PlaylistFollow.objects.filter(user=viewer, playlist=playlist_id).delete()[0]
    selectors.get_bare_playlist(playlist_id, reader=viewer)
    if not found:
        raise errors.NotFollowed


def _check_room(owner: User) -> None:
    """Raise TooManyPlaylists if the viewer has MAX_PLAYLISTS.

    The lock makes two requests of one viewer for the last place take turns.
    """
    lock_viewer(owner)
    if owner.playlists.count() >= MAX_PLAYLISTS:
        raise errors.TooManyPlaylists(MAX_PLAYLISTS)


def _save_change(playlist: Playlist, *changed: str) -> None:
    playlist.updated_at = timezone.now()
    playlist.save(update_fields=[*changed, "updated_at"])


#: One statement, whatever the number of movies. Uniqueness of positions is checked at the commit.
RENUMBER_SQL = """
UPDATE users_playlistentry AS entry SET position = wanted.position
FROM unnest(%s::bigint[]) WITH ORDINALITY AS wanted (id, position)
WHERE entry.id = wanted.id AND entry.position <> wanted.position
"""


def next_position(playlist: Playlist) -> int:
    last = playlist.entries.aggregate(last=Max("position"))["last"]
    return (last or 0) + 1


def place_of(entry: PlaylistEntry) -> int:
    """The place of an entry, counted from 1 among the listed movies."""
    before = PlaylistEntry.objects.filter(
        playlist=entry.playlist_id, movie__withdrawn_at=None, position__lt=entry.position
    )
    return before.count() + 1


def move_entry(entry: PlaylistEntry, place: int) -> bool:
    """Move an entry; returns whether its place has changed.

    Args:
        place: Counted from 1 among the listed movies; beyond the last one is the end.
    """
    all_, shown = _entry_ids(entry.playlist)
    wanted = [one for one in shown if one != entry.pk]
    wanted.insert(place - 1, entry.pk)
    return _write_order(all_, shown, wanted)


def reorder_entries(playlist: Playlist, movie_ids: Sequence[int]) -> bool:
    """Reorder the entries; returns whether the order has changed.

    Raises:
        OtherFilms: These are not the movies of the playlist.
    """
    all_, shown = _entry_ids(playlist)
    by_movie = dict(playlist.entries.filter(movie__withdrawn_at=None).values_list("movie_id", "pk"))
    missing = by_movie.keys() - set(movie_ids)
    unknown = [one for one in movie_ids if one not in by_movie]
    if missing or unknown:
        raise errors.OtherFilms(missing=sorted(missing), unknown=unknown)
    return _write_order(all_, shown, [by_movie[movie_id] for movie_id in movie_ids])


def _entry_ids(playlist: Playlist) -> tuple[list[int], list[int]]:
    """The ids of all entries in order, and of those whose movies are not withdrawn."""
    rows = list(playlist.entries.order_by("position").values_list("pk", "movie__withdrawn_at"))
    return [pk for pk, _ in rows], [pk for pk, withdrawn_at in rows if withdrawn_at is None]


def _write_order(all_: Sequence[int], shown: Sequence[int], wanted: Sequence[int]) -> bool:
    """Put the listed entries into the wanted order. Those of withdrawn movies keep their place."""
    if shown == wanted:
        return False
    places, is_shown = iter(wanted), set(shown)
    order = [next(places) if pk in is_shown else pk for pk in all_]
    with connection.cursor() as cursor:
        cursor.execute(RENUMBER_SQL, [order])
    return True
