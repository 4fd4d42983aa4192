"""Writers of playlists who meet: no film is lost, no limit passed, and no answer is a 5xx."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from movies.models import Movie
from tests.builders import Client, make_movie, make_user
from tests.concurrency import at_once
from tests.playlists import films, make_playlist, order, positions, posted, put
from users.models import Playlist, PlaylistEntry, PlaylistFollow

pytestmark = pytest.mark.django_db(transaction=True)


def ids(movies: list[Movie], *places: int) -> list[int]:
    return [movies[place - 1].pk for place in places]


def test_films_added_simultaneously_are_all_kept(viewer: Client) -> None:
    playlist_id, movies = posted(viewer)["id"], [make_movie() for _ in range(8)]
    places = [None, 1, None, 1, 2, None, 500, 3]
    calls = [partial(put, viewer, playlist_id, *one) for one in zip(movies, places, strict=True)]
    assert {answer.status_code for answer in at_once(calls)} == {201}
    assert sorted(films(viewer, playlist_id)) == sorted(movie.pk for movie in movies)
    assert len(set(positions(playlist_id))) == 8


def test_the_same_film_added_at_once_is_there_once(viewer: Client) -> None:
    playlist_id, movie = posted(viewer)["id"], make_movie()
    answers = at_once([partial(put, viewer, playlist_id, movie)] * 6)
    assert sorted(answer.status_code for answer in answers) == [*[200] * 5, 201]
    assert films(viewer, playlist_id) == [movie.pk]


def test_orders_moves_additions_and_removals_at_once_leave_a_whole_playlist(
    viewer: Client,
) -> None:
    movies = [make_movie() for _ in range(6)]
    for _ in range(4):
        playlist = make_playlist(viewer.user, movies[:5])
        calls: list[Callable[[], Any]] = [
            partial(order, viewer, playlist.pk, ids(movies, 5, 4, 3, 2, 1)),
            partial(order, viewer, playlist.pk, ids(movies, 2, 3, 1, 5, 4)),
            partial(put, viewer, playlist.pk, movies[3], 1),
            partial(put, viewer, playlist.pk, movies[5], 2),
            partial(viewer.delete, f"/playlists/{playlist.pk}/movies/{movies[0].pk}"),
            partial(viewer.patch, f"/playlists/{playlist.pk}", {"is_public": True}),
            partial(viewer.post, f"/playlists/{playlist.pk}/copy"),
        ]
        statuses = [answer.status_code for answer in at_once(calls)]
        assert set(statuses[:2]) <= {204, 409}
        assert statuses[2:] == [200, 201, 204, 200, 201]
        assert sorted(films(viewer, playlist.pk)) == sorted(ids(movies, 2, 3, 4, 5, 6))
        assert len(set(positions(playlist.pk))) == 5


def test_a_film_that_is_deleted_while_it_is_added_is_in_it_or_gone(
    viewer: Client, staff: Client
) -> None:
    for _ in range(6):
        playlist_id, movie = posted(viewer)["id"], make_movie()
        delete = partial(staff.delete, f"/movies/{movie.pk}")
        added, deleted = at_once([partial(put, viewer, playlist_id, movie), delete])
        assert (added.status_code, deleted.status_code) in {(201, 409), (404, 204)}
        assert PlaylistEntry.objects.filter(movie_id=movie.pk).exists() == (
            added.status_code == 201
        )


def test_the_limits_hold_when_the_last_place_is_wanted_at_once(viewer: Client) -> None:
    Playlist.objects.bulk_create(Playlist(user=viewer.user, name=f"{n}") for n in range(197))
    make = partial(viewer.post, "/playlists", {"name": "One of the last"})
    copy = partial(viewer.post, f"/playlists/{Playlist.objects.latest('pk').pk}/copy")
    statuses = sorted(answer.status_code for answer in at_once([make, copy] * 3))
    assert statuses == [201, 201, 201, 409, 409, 409]
    assert Playlist.objects.count() == 200


def test_one_follows_once_however_often_one_says_so_at_once(viewer: Client) -> None:
    playlist = make_playlist(make_user(), is_public=True)
    follow = partial(viewer.put, f"/playlists/{playlist.pk}/follow")
    assert {answer.status_code for answer in at_once([follow] * 6)} == {204}
    assert PlaylistFollow.objects.count() == 1


def test_a_playlist_is_deleted_while_others_follow_and_copy_it(viewer: Client) -> None:
    others = [Client(make_user()) for _ in range(4)]
    for _ in range(6):
        path = f"/playlists/{make_playlist(viewer.user, [make_movie()], is_public=True).pk}"
        follows = [partial(other.put, f"{path}/follow") for other in others]
        copies = [partial(other.post, f"{path}/copy") for other in others[:2]]
        deleted, *answers = at_once([partial(viewer.delete, path), *follows, *copies])
        assert deleted.status_code == 204
        assert {answer.status_code for answer in answers} <= {201, 204, 404}
    assert not PlaylistFollow.objects.exists()


def test_one_link_comes_of_many_requests_for_it(viewer: Client) -> None:
    share = partial(viewer.put, f"/playlists/{posted(viewer)['id']}/share")
    assert len({answer.json()["share_url"] for answer in at_once([share] * 6)}) == 1
