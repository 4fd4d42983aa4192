from __future__ import annotations

from collections.abc import Sequence

from cinema.errors import Conflict, Forbidden, NotFound
from users.playlists.schemas import MAX_FILMS, MAX_FOLLOWED, MAX_PLAYLISTS


class PlaylistNotFound(NotFound):
    """There is none, or it is another viewer's private one. It does not say which."""

    def __init__(self, which: int | str) -> None:
        super().__init__(f"There is no playlist {which!r}.")


class NotYourPlaylist(Forbidden):
    """The playlist is public, and another viewer's."""

    detail = "Only who made a playlist may change it. Copy it to have your own."


class NotInPlaylist(NotFound):
    def __init__(self, movie_id: int) -> None:
        super().__init__(f"Movie {movie_id} is not in this playlist.")


class NotShared(NotFound):
    detail = "This playlist has no link."


class NotFollowed(NotFound):
    detail = "You do not follow this playlist."


class PlaylistFull(Conflict):
    def __init__(self) -> None:
        super().__init__(f"A playlist may have {MAX_FILMS} films.", limit=MAX_FILMS)


class TooManyPlaylists(Conflict):
    def __init__(self) -> None:
        super().__init__(f"A viewer may have {MAX_PLAYLISTS} playlists.", limit=MAX_PLAYLISTS)


class TooManyFollowed(Conflict):
    def __init__(self) -> None:
        super().__init__(f"A viewer may follow {MAX_FOLLOWED} playlists.", limit=MAX_FOLLOWED)


class OwnPlaylist(Conflict):
    """A viewer cannot follow a playlist of their own."""

    detail = "This playlist is your own."


class OtherFilms(Conflict):
    """The new order does not name exactly the movies of the playlist."""

    def __init__(self, *, missing: Sequence[int], unknown: Sequence[int]) -> None:
        super().__init__(
            "An order names each film of the playlist once, and no other one.",
            missing=missing,
            unknown=unknown,
        )
