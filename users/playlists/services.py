"""Writes. Each locks the playlist's row, so that writers of one playlist take turns."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from movies import selectors as movies
from users.locking import again_if_deleted, lock_viewer
from users.models import Playlist, PlaylistEntry, PlaylistFollow, User
from users.playlists import ordering, selectors
from users.playlists.errors import (
    NotFollowed,
    NotInPlaylist,
    NotShared,
    OwnPlaylist,
    PlaylistFull,
    TooManyFollowed,
    TooManyPlaylists,
)
from users.playlists.schemas import MAX_FILMS, MAX_FOLLOWED, MAX_PLAYLISTS


@dataclass(frozen=True)
class Place:
    """Where a film stands in a playlist."""

    movie_id: int
    position: int
    added_at: datetime


@transaction.atomic
def create_playlist(*, owner: User, fields: Mapping[str, Any]) -> Playlist:
    """Make an empty playlist. `fields` are those of `PlaylistIn`.

    Raises:
        TooManyPlaylists: The viewer has as many as one may have.
    """
    _make_room(owner)
    playlist = Playlist.objects.create(user=owner, **fields)
    return selectors.get_playlist(playlist.pk, reader=owner)


@transaction.atomic
def update_playlist(*, owner: User, playlist_id: int, fields: Mapping[str, Any]) -> Playlist:
    """Change the given fields, as `PlaylistPatch` names them.

    Raises:
        PlaylistNotFound, NotYourPlaylist: As their names say.
    """
    playlist = selectors.get_own_playlist(playlist_id, owner=owner, for_update=True)
    changed = [name for name, value in fields.items() if getattr(playlist, name) != value]
    for name in changed:
        setattr(playlist, name, fields[name])
    if changed:
        _touch(playlist, *changed)
    return selectors.get_playlist(playlist_id, reader=owner)


@transaction.atomic
def delete_playlist(*, owner: User, playlist_id: int) -> None:
    """Raises PlaylistNotFound or NotYourPlaylist."""
    mine = selectors.get_own_playlist(playlist_id, owner=owner, for_update=True)
    # With its key: whoever is about to follow it waits, and then finds it gone.
    Playlist.objects.select_for_update().get(pk=mine.pk).delete()


@again_if_deleted
@transaction.atomic
def copy_playlist(*, owner: User, playlist_id: int, name: str | None = None) -> Playlist:
    """Make a private playlist of one's own from a public one, or from one's own.

    Raises:
        PlaylistNotFound: There is none that the viewer may see.
        TooManyPlaylists: The viewer has as many as one may have.
    """
    original = selectors.get_playlist(playlist_id, reader=owner)
    _make_room(owner)
    copy = Playlist.objects.create(
        user=owner, name=name or original.name, description=original.description
    )
    films = [entry.movie_id for entry in original.shown]  # type: ignore[attr-defined]
    PlaylistEntry.objects.bulk_create(
        PlaylistEntry(playlist=copy, movie_id=movie_id, position=position)
        for position, movie_id in enumerate(films, start=1)
    )
    return selectors.get_playlist(copy.pk, reader=owner)


# --- its films


@again_if_deleted
@transaction.atomic
def put_movie(
    *, owner: User, playlist_id: int, movie_id: int, position: int | None = None
) -> tuple[Place, bool]:
    """Add a film, or move it; returns where it stands, and whether it is new.

    Args:
        position: Counted from 1 among the films that are shown. None: where it is, or the end.

    Raises:
        PlaylistNotFound, NotYourPlaylist, MovieNotFound: As their names say.
        PlaylistFull: It has as many films as one may have.
    """
    playlist = selectors.get_own_playlist(playlist_id, owner=owner, for_update=True)
    movie = movies.get_movie(movie_id)
    entry = playlist.entries.filter(movie=movie).first()
    if is_new := entry is None:
        if playlist.entries.count() >= MAX_FILMS:
            raise PlaylistFull
        entry = playlist.entries.create(movie=movie, position=ordering.next_position(playlist))
    is_moved = position is not None and ordering.move(entry, position)
    if is_new or is_moved:
        _touch(playlist)
        entry.refresh_from_db()
    return Place(movie_id, ordering.place_of(entry), entry.added_at), is_new


@transaction.atomic
def remove_movie(*, owner: User, playlist_id: int, movie_id: int) -> None:
    """Take a film out.

    Raises:
        PlaylistNotFound, NotYourPlaylist, NotInPlaylist: As their names say.
    """
    playlist = selectors.get_own_playlist(playlist_id, owner=owner, for_update=True)
    if not playlist.entries.filter(movie_id=movie_id).delete()[0]:
        raise NotInPlaylist(movie_id)
    _touch(playlist)


@transaction.atomic
def reorder_movies(*, owner: User, playlist_id: int, movie_ids: Sequence[int]) -> None:
    """Bring the films into this order.

    Raises:
        PlaylistNotFound, NotYourPlaylist: As their names say.
        OtherFilms: These are not the films of the playlist.
    """
    playlist = selectors.get_own_playlist(playlist_id, owner=owner, for_update=True)
    if ordering.reorder(playlist, movie_ids):
        _touch(playlist)


# --- its link


@transaction.atomic
def share_playlist(*, owner: User, playlist_id: int) -> Playlist:
    """Give it a link that nobody can guess, unless it has one.

    Raises:
        PlaylistNotFound, NotYourPlaylist: As their names say.
    """
    playlist = selectors.get_own_playlist(playlist_id, owner=owner, for_update=True)
    if playlist.share_slug is None:
        playlist.share_slug = secrets.token_urlsafe(32)  # 256 bits
        playlist.save(update_fields=["share_slug"])
    return playlist


@transaction.atomic
def unshare_playlist(*, owner: User, playlist_id: int) -> None:
    """Take the link back for good: the next one is another.

    Raises:
        PlaylistNotFound, NotYourPlaylist, NotShared: As their names say.
    """
    playlist = selectors.get_own_playlist(playlist_id, owner=owner, for_update=True)
    if playlist.share_slug is None:
        raise NotShared
    playlist.share_slug = None
    playlist.save(update_fields=["share_slug"])


# --- who follows it


@again_if_deleted
@transaction.atomic
def follow_playlist(*, viewer: User, playlist_id: int) -> None:
    """Have another's public playlist among one's own. It vanishes from there while it is private.

    Raises:
        PlaylistNotFound: There is none that the viewer may see.
        OwnPlaylist: It is the viewer's own.
        TooManyFollowed: The viewer follows as many as one may follow.
    """
    playlist = selectors.get_bare_playlist(playlist_id, reader=viewer)
    if playlist.user_id == viewer.pk:
        raise OwnPlaylist
    lock_viewer(viewer)
    follows = PlaylistFollow.objects.filter(user=viewer)
    if follows.filter(playlist=playlist).exists():
        return
    if follows.count() >= MAX_FOLLOWED:
        raise TooManyFollowed
    follows.create(user=viewer, playlist=playlist)


def unfollow_playlist(*, viewer: User, playlist_id: int) -> None:
    """Follow it no more: one that has become private too, of which the viewer is not told.

    Raises:
        PlaylistNotFound: There is none that the viewer may see.
        NotFollowed: The viewer did not follow it.
    """
    found = PlaylistFollow.objects.filter(user=viewer, playlist=playlist_id).delete()[0]
    selectors.get_bare_playlist(playlist_id, reader=viewer)
    if not found:
        raise NotFollowed


def _make_room(owner: User) -> None:
    """Raises TooManyPlaylists. Two requests of one viewer for the last place take turns."""
    lock_viewer(owner)
    if owner.playlists.count() >= MAX_PLAYLISTS:
        raise TooManyPlaylists


def _touch(playlist: Playlist, *changed: str) -> None:
    playlist.updated_at = timezone.now()
    playlist.save(update_fields=[*changed, "updated_at"])
