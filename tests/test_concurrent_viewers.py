"""Twenty viewers at once leave what they would have left one after the other."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import connection

from movies.models import Movie
from tests.builders import Client, make_movie, make_user
from tests.concurrency import and_disconnect
from users.models import Playlist, PlaylistEntry, PlaylistFollow, Preferences, User

pytestmark = pytest.mark.django_db(transaction=True)

VIEWERS = 20
FILMS = 6

Call = Callable[[], Any]


def requests_of(client: Client, number: int, films: Sequence[int], common: int) -> list[Call]:
    """Ten that may come in any order, of a viewer who meets others at each film."""
    a, b, c, d = (films[(number + place) % len(films)] for place in range(4))
    watched = {"movie_id": d, "watched_at": "2026-11-01T20:00:00+01:00"}
    preferences = {"genres": ["drama"], "languages": ["fr"], "match_visible": True}
    return [
        partial(client.put, f"/movies/{a}/rating", {"stars": 4.5}),
        partial(client.put, f"/movies/{a}/rating", {"stars": 4.5}),
        partial(client.put, f"/movies/{b}/rating", {"stars": 1}),
        partial(client.post, "/interactions", {"movie_id": b, "kind": "seen"}),
        partial(client.put, f"/users/me/favourites/{c}"),
        partial(client.put, f"/users/me/favourites/{c}"),
        partial(client.post, "/users/me/history", watched),
        partial(client.post, "/users/me/history", watched),
        partial(client.put, f"/playlists/{common}/follow"),
        partial(client.put, "/users/me/preferences", preferences),
    ]


def send(calls: Sequence[Call], *, at_a_time: int) -> None:
    with ThreadPoolExecutor(at_a_time) as pool:
        statuses = list(pool.map(lambda call: and_disconnect(call).status_code, calls))
    assert set(statuses) <= {200, 201, 204}, statuses


def test_200_requests_at_once_leave_the_rows_of_a_serial_run() -> None:
    left = []
    for at_a_time in (1, VIEWERS):
        films = [make_movie(genres=["drama"]).pk for _ in range(FILMS)]
        common = Playlist.objects.create(user=make_user(), name="For all", is_public=True).pk
        viewers = [Client(make_user()) for _ in range(VIEWERS)]
        calls = [
            call
            for number, client in enumerate(viewers)
            for call in requests_of(client, number, films, common)
        ]
        assert len(calls) == 200
        random.Random(1895).shuffle(calls)
        send(calls, at_a_time=at_a_time)
        left.append(rows_of([client.user for client in viewers], films))
    assert left[0] == left[1]
    assert len(left[0]["evidence"]) == VIEWERS * 5


def rows_of(viewers: Sequence[User], films: Sequence[int]) -> dict[str, Any]:
    """The interactions of each viewer and each film, by their places."""
    place = {viewer.pk: number for number, viewer in enumerate(viewers)}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT user_id, movie_id, kind, half_stars FROM recommendations_evidence "
            "WHERE user_id = ANY(%s)",
            [list(place)],
        )
        evidence = [(place[user], films.index(film), *rest) for user, film, *rest in cursor]
    follows = PlaylistFollow.objects.filter(user__in=viewers).values_list("user_id", flat=True)
    return {
        "evidence": sorted(evidence),
        "ratings": list(
            Movie.objects.filter(pk__in=films)
            .order_by("pk")
            .values_list("rating_count", "rating_sum", "rating_average")
        ),
        "follows": sorted(place[user] for user in follows),
        "preferences": sorted(
            (place[row.pk], row.languages, [genre.slug for genre in row.genres.all()])
            for row in Preferences.objects.filter(pk__in=place)
        ),
    }


def test_a_playlist_that_is_filled_at_once_has_each_film_once_and_in_an_order() -> None:
    owner = Client(make_user())
    films = [make_movie().pk for _ in range(20)]
    playlist = Playlist.objects.create(user=owner.user, name="Mine").pk
    calls = [partial(owner.put, f"/playlists/{playlist}/movies/{film}") for film in films * 2]
    send(calls, at_a_time=8)
    entries = PlaylistEntry.objects.filter(playlist_id=playlist)
    assert sorted(entry.movie_id for entry in entries) == films
    assert len({entry.position for entry in entries}) == len(films)
