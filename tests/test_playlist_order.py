"""The films of a playlist: added, moved, taken out and reordered."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from movies.models import Movie
from tests.builders import Client, make_movie
from tests.catalogue import refused_fields
from tests.playlists import films, make_playlist, order, positions, posted, put
from users.models import Playlist

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

pytestmark = pytest.mark.django_db


@pytest.fixture
def movies(db: None) -> list[Movie]:
    return [make_movie() for _ in range(5)]


@pytest.fixture
def playlist(viewer: Client, movies: list[Movie]) -> Playlist:
    return make_playlist(viewer.user, movies)


def moves(movies: list[Movie], *places: int) -> list[int]:
    return [movies[place - 1].pk for place in places]


# --- one film


def test_a_film_is_added_at_the_end_and_adding_it_again_changes_nothing(viewer: Client) -> None:
    playlist_id, movies = posted(viewer)["id"], [make_movie(), make_movie()]
    first = put(viewer, playlist_id, movies[0])
    assert (first.status_code, first.json()["position"]) == (201, 1)
    assert put(viewer, playlist_id, movies[1]).json()["position"] == 2
    before = viewer.get(f"/playlists/{playlist_id}").json()
    again = put(viewer, playlist_id, movies[0])
    assert (again.status_code, again.json()) == (200, first.json())
    assert viewer.get(f"/playlists/{playlist_id}").json() == before
    assert [one["id"] for one in before["movies"]] == [movie.pk for movie in movies]


@pytest.mark.parametrize(
    ("moved", "to", "expected"),
    [
        (5, 1, (5, 1, 2, 3, 4)),
        (1, 5, (2, 3, 4, 5, 1)),
        (1, 500, (2, 3, 4, 5, 1)),
        (2, 4, (1, 3, 4, 2, 5)),
        (3, 3, (1, 2, 3, 4, 5)),
    ],
)
def test_a_film_is_moved_to_a_position(
    viewer: Client,
    playlist: Playlist,
    movies: list[Movie],
    moved: int,
    to: int,
    expected: tuple[int, ...],
) -> None:
    answer = put(viewer, playlist.pk, movies[moved - 1], to)
    assert (answer.status_code, answer.json()["position"]) == (200, min(to, 5))
    assert films(viewer, playlist.pk) == moves(movies, *expected)
    before = viewer.get(f"/playlists/{playlist.pk}").json()
    put(viewer, playlist.pk, movies[moved - 1], to)
    assert viewer.get(f"/playlists/{playlist.pk}").json() == before


def test_a_film_is_added_at_a_position(
    viewer: Client, playlist: Playlist, movies: list[Movie]
) -> None:
    new = make_movie()
    answer = put(viewer, playlist.pk, new, 2)
    assert (answer.status_code, answer.json()["position"]) == (201, 2)
    one, *rest = moves(movies, 1, 2, 3, 4, 5)
    assert films(viewer, playlist.pk) == [one, new.pk, *rest]


def test_a_film_that_is_taken_out_leaves_the_others_in_order(
    viewer: Client, playlist: Playlist, movies: list[Movie]
) -> None:
    path = f"/playlists/{playlist.pk}/movies/{movies[2].pk}"
    assert viewer.delete(path).status_code == 204
    assert viewer.delete(path).status_code == 404
    assert films(viewer, playlist.pk) == moves(movies, 1, 2, 4, 5)
    assert put(viewer, playlist.pk, movies[2]).json()["position"] == 5
    assert put(viewer, playlist.pk, movies[0], 4).json()["position"] == 4
    assert films(viewer, playlist.pk) == moves(movies, 2, 4, 5, 1, 3)


@pytest.mark.parametrize("position", [0, -1, 501, 2**63, "1", True, 1.5, [1]])
def test_an_invalid_position_is_refused(
    viewer: Client, playlist: Playlist, movies: list[Movie], position: Any
) -> None:
    path = f"/playlists/{playlist.pk}/movies/{movies[4].pk}"
    assert refused_fields(viewer.put(path, {"position": position})) == ["body.position"]
    assert films(viewer, playlist.pk) == moves(movies, 1, 2, 3, 4, 5)


@pytest.mark.parametrize("movie_id", ["0", "-1", "9" * 19, "9" * 40, "x"])
def test_a_film_that_is_not_there_is_not_found(
    viewer: Client, playlist: Playlist, movie_id: str
) -> None:
    path = f"/playlists/{playlist.pk}/movies/{movie_id}"
    assert viewer.put(path).status_code == 404
    assert viewer.delete(path).status_code == 404


def test_a_playlist_has_at_most_500_films(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    movies = [make_movie() for _ in range(3)]
    many = Movie.objects.bulk_create(
        Movie(
            name=f"Film {n}",
            slug=f"film-{n}",
            protagonists=["Nobody"],
            start_date=movies[0].start_date,
            status="running",
        )
        for n in range(499)
    )
    playlist = make_playlist(viewer.user, many)
    assert put(viewer, playlist.pk, movies[0], 1).status_code == 201
    refused = put(viewer, playlist.pk, movies[1])
    assert (refused.status_code, refused.json()["limit"]) == (409, 500)
    assert put(viewer, playlist.pk, movies[0]).status_code == 200
    ids = films(viewer, playlist.pk)
    assert len(ids) == 500
    backwards = partial(order, viewer, playlist.pk, ids[::-1])
    with django_assert_num_queries(8):
        assert backwards().status_code == 204
    assert films(viewer, playlist.pk) == ids[::-1]
    assert positions(playlist.pk) == list(range(1, 501))


# --- all of them


def test_a_playlist_is_reordered_in_one_call(
    viewer: Client, playlist: Playlist, movies: list[Movie]
) -> None:
    before = viewer.get(f"/playlists/{playlist.pk}").json()
    same = moves(movies, 1, 2, 3, 4, 5)
    assert order(viewer, playlist.pk, same).status_code == 204
    assert viewer.get(f"/playlists/{playlist.pk}").json() == before
    wanted = moves(movies, 4, 2, 5, 1, 3)
    assert order(viewer, playlist.pk, wanted).status_code == 204
    after = viewer.get(f"/playlists/{playlist.pk}").json()
    assert [one["id"] for one in after["movies"]] == wanted
    assert after["updated_at"] > before["updated_at"]
    assert positions(playlist.pk) == [1, 2, 3, 4, 5]


def test_an_order_of_other_films_is_refused_and_says_which(
    viewer: Client, playlist: Playlist, movies: list[Movie]
) -> None:
    stranger = make_movie().pk
    one, two, *rest = moves(movies, 1, 2, 3, 4, 5)
    for ids, missing, unknown in (
        ([one, *rest], [two], []),
        ([stranger, one, two, *rest], [], [stranger]),
        ([stranger, one, *rest], [two], [stranger]),
        ([], [one, two, *rest], []),
        ([2**63 - 1], [one, two, *rest], [2**63 - 1]),
    ):
        answer = order(viewer, playlist.pk, ids)
        assert answer.status_code == 409
        problem = answer.json()
        assert (problem["missing"], problem["unknown"]) == (missing, unknown)
    assert films(viewer, playlist.pk) == [one, two, *rest]


@pytest.mark.parametrize(
    "ids",
    [
        [1, 2, 1],
        list(range(1, 10_001)),
        [-1],
        [0],
        [2**63],
        [10**400],
        ["1"],
        [True],
        [1.0],
        [None],
        None,
        {},
        "1,2",
    ],
    ids=lambda ids: repr(ids)[:20],
)
def test_a_malformed_order_is_refused(
    viewer: Client, playlist: Playlist, movies: list[Movie], ids: Any
) -> None:
    body = b'{"movie_ids": %s}' % _json(ids)
    answer = viewer.send("PUT", f"/playlists/{playlist.pk}/order", body)
    assert refused_fields(answer) in (["body.movie_ids"], ["body"])
    assert films(viewer, playlist.pk) == moves(movies, 1, 2, 3, 4, 5)


def _json(value: Any) -> bytes:
    import json

    return json.dumps(value).encode()


def test_a_withdrawn_film_keeps_its_place_among_the_others(
    viewer: Client, staff: Client, playlist: Playlist, movies: list[Movie]
) -> None:
    gone = movies[2]
    staff.delete(f"/movies/{gone.pk}", force=True)
    assert films(viewer, playlist.pk) == moves(movies, 1, 2, 4, 5)
    answer = order(viewer, playlist.pk, moves(movies, 1, 2, 3, 4, 5))
    assert (answer.status_code, answer.json()["unknown"]) == (409, [gone.pk])
    assert order(viewer, playlist.pk, moves(movies, 5, 4, 2, 1)).status_code == 204
    assert put(viewer, playlist.pk, movies[0], 1).json()["position"] == 1
    assert films(viewer, playlist.pk) == moves(movies, 1, 5, 4, 2)
    Movie.objects.filter(pk=gone.pk).update(withdrawn_at=None)
    assert films(viewer, playlist.pk) == moves(movies, 1, 5, 3, 4, 2)
