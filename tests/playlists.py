"""Builders and readers for what goes to and comes from the addresses of playlists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from movies.models import Movie
from tests.builders import Client
from users.models import Playlist, PlaylistEntry, User

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response


def posted(client: Client, **fields: Any) -> dict[str, Any]:
    """A playlist posted through the API, as it was answered."""
    answer = client.post("/playlists", {"name": "Rainy Sundays", **fields})
    assert answer.status_code == 201, answer.content
    playlist: dict[str, Any] = answer.json()
    return playlist


def make_playlist(owner: User, movies: Iterable[Movie] = (), **fields: Any) -> Playlist:
    playlist = Playlist.objects.create(**{"user": owner, "name": "Rainy Sundays", **fields})
    PlaylistEntry.objects.bulk_create(
        PlaylistEntry(playlist=playlist, movie=movie, position=position)
        for position, movie in enumerate(movies, start=1)
    )
    return playlist


def put(client: Client, playlist_id: int, movie: Movie, position: int | None = None) -> Response:
    payload = None if position is None else {"position": position}
    return client.put(f"/playlists/{playlist_id}/movies/{movie.pk}", payload)


def order(client: Client, playlist_id: int, movie_ids: Any) -> Response:
    return client.put(f"/playlists/{playlist_id}/order", {"movie_ids": movie_ids})


def films(client: Client, playlist_id: int) -> list[int]:
    """The ids of the films, in order."""
    answer = client.get(f"/playlists/{playlist_id}")
    assert answer.status_code == 200, answer.content
    return [movie["id"] for movie in answer.json()["movies"]]


def listed(client: Client, **query: Any) -> list[str]:
    """The names of the playlists in the list."""
    answer = client.get("/playlists", **query)
    assert answer.status_code == 200, answer.content
    return [playlist["name"] for playlist in answer.json()["data"]]


def positions(playlist_id: int) -> list[int]:
    rows = PlaylistEntry.objects.filter(playlist=playlist_id)
    return list(rows.values_list("position", flat=True).order_by("position"))
