"""Lists of playlists: filtered, ordered, with their first films, at a fixed number of queries."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from tests.builders import Client, interact, make_movie, make_user
from tests.catalogue import refused_fields
from tests.playlists import films, listed, make_playlist
from users.models import Playlist, PlaylistFollow

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(db: None) -> Client:
    return Client(make_user(name="Jacques"))


def test_the_list_is_filtered_and_ordered(viewer: Client, other: Client) -> None:
    movie, now = make_movie(), timezone.now()
    rows = [
        make_playlist(viewer.user, name="Été à Paris"),
        make_playlist(other.user, name="Paris by night", is_public=True),
        make_playlist(other.user, [movie], name="apples", is_public=True),
    ]
    for age, row in enumerate(rows):
        moment = now - timedelta(hours=age)
        Playlist.objects.filter(pk=row.pk).update(updated_at=moment, created_at=moment)
    PlaylistFollow.objects.create(playlist=rows[1], user=viewer.user)
    summer, paris, apples = "Été à Paris", "Paris by night", "apples"
    assert listed(viewer) == [summer, paris, apples]
    assert listed(viewer, sort="name") == [apples, summer, paris]
    assert listed(viewer, sort="-followers_count") == [paris, apples, summer]
    assert listed(viewer, sort="-created_at") == [summer, paris, apples]
    assert listed(viewer, owner="me") == [summer]
    assert listed(viewer, owner="followed") == [paris]
    assert listed(viewer, owner=str(other.user.pk)) == [paris, apples]
    assert listed(viewer, movie_id=movie.pk) == [apples]
    assert listed(viewer, q="PARIS ete") == [summer]
    assert listed(viewer, q="paris", sort="name") == [summer, paris]
    assert listed(viewer, q="_") == listed(viewer, q="%") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"owner": "everybody"}, "query.owner"),
        ({"owner": "-1"}, "query.owner"),
        ({"owner": "9" * 30}, "query.owner"),
        ({"sort": "email"}, "query.sort"),
        ({"movies": 101}, "query.movies"),
        ({"movies": -1}, "query.movies"),
        ({"movie_id": 0}, "query.movie_id"),
        ({"q": "x" * 501}, "query.q"),
        ({"per_page": 101}, "query.per_page"),
    ],
)
def test_a_bad_filter_is_refused(anonymous: Client, query: dict[str, Any], field: str) -> None:
    assert refused_fields(anonymous.get("/playlists", **query)) == [field]


def test_hostile_filters_find_nothing(viewer: Client) -> None:
    make_playlist(viewer.user)
    for query in ({"movie_id": 10**30}, {"q": "' OR 1=1 --"}, {"owner": "9" * 18}, {"q": "\\"}):
        assert listed(viewer, **query) == []
    assert listed(viewer, q="a " * 250) == ["Rainy Sundays"]


def test_own_playlists_need_a_sign_in(anonymous: Client) -> None:
    for owner in ("me", "followed"):
        answer = anonymous.get("/playlists", owner=owner)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"]


def test_a_list_shows_the_first_films_of_each_playlist(anonymous: Client, viewer: Client) -> None:
    movies = [make_movie(genres=["drama"]) for _ in range(6)]
    interact(make_user(), movies[0], "rating", half_stars=9)
    for name in ("a", "b"):
        make_playlist(viewer.user, movies, name=name, is_public=True)
    for count, query in ((4, {}), (0, {"movies": 0}), (6, {"movies": 50})):
        for playlist in anonymous.get("/playlists", **query).json()["data"]:
            assert [one["id"] for one in playlist["movies"]] == [m.pk for m in movies[:count]]
            assert playlist["movie_count"] == 6
    first = anonymous.get("/playlists").json()["data"][0]["movies"][0]
    rest = anonymous.get(f"/movies/{movies[0].pk}").json()
    assert first.pop("added_at")
    assert first == {name: rest[name] for name in first}


@pytest.mark.parametrize(("playlists", "of_films"), [(2, 3), (50, 100)])
def test_queries_do_not_grow_with_playlists_and_films(
    anonymous: Client,
    viewer: Client,
    django_assert_num_queries: DjangoAssertNumQueries,
    playlists: int,
    of_films: int,
) -> None:
    movies = [make_movie(genres=["drama", f"genre {n}"]) for n in range(of_films)]
    for _ in range(playlists):
        last = make_playlist(viewer.user, movies, is_public=True)
    for client, signing_in in ((anonymous, 0), (viewer, 1)):
        with django_assert_num_queries(signing_in + 4):
            found = client.get("/playlists", per_page=50, movies=100).json()["data"]
        assert [len(one["movies"]) for one in found] == [of_films] * playlists
        with django_assert_num_queries(signing_in + 3):
            assert films(client, last.pk) == [movie.pk for movie in movies]
