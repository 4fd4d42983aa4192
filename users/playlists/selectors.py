"""The playlists that a reader may see, and what is shown of them."""

from __future__ import annotations

import re
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Prefetch, Q, QuerySet, Subquery, Value
from django.db.models.expressions import Combinable, ExpressionWrapper
from django.db.models.fields import BooleanField
from django.db.models.functions import Coalesce, Concat, Substr

from cinema.errors import Unauthorized
from movies.models import Movie
from movies.search.text import SortKey
from users.auth import Reader
from users.errors import NotYourPlaylist, PlaylistNotFound
from users.models import Playlist, PlaylistEntry, PlaylistFollow, User
from users.playlists.schemas import PlaylistFilters, PlaylistMovieOut

#: Words of a search.
MAX_WORDS = 12
#: The columns of a `PlaylistMovieOut`.
CARD = (*PlaylistMovieOut.model_fields.keys() - {"added_at"}, "poster_upload", "poster_widths")
SHARE_SLUG = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
ORDERS: dict[str, tuple[str | Combinable, ...]] = {
    "-updated_at": ("-updated_at", "-id"),
    "-created_at": ("-created_at", "-id"),
    "name": (SortKey("name"), "id"),
    "-followers_count": ("-followers_count", "-id"),
}


def visible_to(reader: Reader) -> Q:
    """The condition that a playlist is the reader's, or a public one of an active account."""
    public = Q(is_public=True, user__is_active=True)
    return public | Q(user=reader) if isinstance(reader, User) else public


def visible_playlists(reader: Reader) -> QuerySet[Playlist]:
    return Playlist.objects.filter(visible_to(reader))


def shared_playlists(slug: str) -> QuerySet[Playlist]:
    """The playlist of a link, public or not, if there is one."""
    if not SHARE_SLUG.fullmatch(slug):
        return Playlist.objects.none()
    return Playlist.objects.filter(share_slug=slug, user__is_active=True)


def get_playlist(playlist_id: int, *, reader: Reader) -> Playlist:
    """A playlist that the reader may see, with all of its movies.

    Raises:
        PlaylistNotFound: There is none, or it is another viewer's private one.
    """
    found = visible_playlists(reader).filter(pk=playlist_id)
    return _one(shown(found, reader), playlist_id)


def get_bare_playlist(playlist_id: int, *, reader: Reader) -> Playlist:
    """A playlist that the reader may see, without its movies.

    Raises:
        PlaylistNotFound: There is none, or it is another viewer's private one.
    """
    return _one(visible_playlists(reader).filter(pk=playlist_id), playlist_id)


def get_shared_playlist(slug: str, *, reader: Reader) -> Playlist:
    """The playlist of a link, with all of its movies.

    Raises:
        PlaylistNotFound: The link does not exist, or was deleted.
    """
    return _one(shown(shared_playlists(slug), reader), "of this link")


def lock_own_playlist(playlist_id: int, *, owner: User) -> Playlist:
    """A playlist of the viewer's own, locked, without its movies.

    Raises:
        PlaylistNotFound: There is none, or it is another viewer's private one.
        NotYourPlaylist: It is another viewer's, and public.
    """
    # The lock leaves the key alone: followers, and the erasure of one, need not wait.
    playlists = visible_playlists(owner).select_for_update(no_key=True, of=["self"])
    playlist = _one(playlists.filter(pk=playlist_id), playlist_id)
    if playlist.user_id != owner.pk:
        raise NotYourPlaylist
    return playlist


def list_playlists(filters: PlaylistFilters, *, reader: Reader) -> QuerySet[Playlist]:
    """The playlists that the reader may see, filtered and ordered, without their movies."""
    playlists = visible_playlists(reader)
    if filters.owner is not None:
        playlists = playlists.filter(_owned(filters.owner, reader))
    if filters.movie_id is not None:
        with_it = entries().filter(movie_id=filters.movie_id, playlist=OuterRef("pk"))
        playlists = playlists.filter(Exists(with_it))
    if filters.q:
        playlists = playlists.alias(key=_search_key(F("name")))
        for word in filters.q.split()[:MAX_WORDS]:
            playlists = playlists.filter(key__contains=_search_key(Value(word)))
    if filters.sort == "-followers_count":
        playlists = playlists.alias(followers_count=followers_count())
    return playlists.order_by(*ORDERS[filters.sort])


def _search_key(text: Combinable) -> Combinable:
    """A key without accents and case. A sort key drops punctuation at its beginning alone."""
    return Substr(SortKey(Concat(Value("a"), text)), 2)


def _owned(owner: str, reader: Reader) -> Q:
    if owner.isdecimal():
        return Q(user_id=int(owner))
    if not isinstance(reader, User):
        raise Unauthorized("Sign in first, to see your own playlists.")
    if owner == "me":
        return Q(user=reader)
    followed = PlaylistFollow.objects.filter(user=reader, playlist=OuterRef("pk"))
    return Q(Exists(followed)) & ~Q(user=reader)


def described(playlists: QuerySet[Playlist], reader: Reader) -> QuerySet[Playlist]:
    """Add the owner, the counts and the flags `is_followed` and `is_mine` of this reader."""
    return playlists.select_related("user").annotate(
        movie_count=movie_count(),
        followers_count=followers_count(),
        is_followed=is_followed(reader),
        is_mine=is_mine(reader),
    )


def shown(
    playlists: QuerySet[Playlist], reader: Reader, *, films: int | None = None
) -> QuerySet[Playlist]:
    """Add what `described` adds, and the first movies, by default all, as `shown`."""
    # Each movie is read once, even if it is in several playlists.
    movies = Movie.objects.only(*CARD)
    rows = entries().prefetch_related(Prefetch("movie", movies)).order_by("position")
    first = rows if films is None else rows[:films]
    return described(playlists, reader).prefetch_related(
        Prefetch("entries", first, to_attr="shown")
    )


def entries() -> QuerySet[PlaylistEntry]:
    """The entries whose movies are not withdrawn."""
    return PlaylistEntry.objects.filter(movie__withdrawn_at=None)


def movie_count() -> Combinable:
    return _count(entries())


def followers_count() -> Combinable:
    return _count(PlaylistFollow.objects.all())


def is_followed(reader: Reader) -> Exists:
    follows = PlaylistFollow.objects.filter(playlist=OuterRef("pk"), user_id=reader.pk or 0)
    return Exists(follows)


def is_mine(reader: Reader) -> Combinable:
    return ExpressionWrapper(Q(user_id=reader.pk or 0), output_field=BooleanField())


def _count(rows: QuerySet[Any]) -> Combinable:
    """The number of rows that belong to a playlist."""
    of_one = rows.filter(playlist=OuterRef("pk")).order_by().values("playlist")
    return Coalesce(Subquery(of_one.annotate(n=Count("pk")).values("n")), 0)


def _one(playlists: QuerySet[Playlist], which: int | str) -> Playlist:
    playlist = playlists.first()
    if playlist is None:
        raise PlaylistNotFound(which)
    return playlist
