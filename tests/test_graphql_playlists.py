"""Playlists in GraphQL: shown to whom the REST API shows them, in a fixed number of queries."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import Client, make_movie, make_user
from tests.playlists import make_playlist
from tests.test_graphql import ask, refusal
from users.models import Playlist

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

pytestmark = pytest.mark.django_db

NESTED = """
query($first: Int, $films: Int) {
  playlists(first: $first) { edges { node {
    pk movieCount followersCount isFollowed owner { name }
    entries(first: $films) { edges { node { movie { pk } } } }
  } } }
}
"""
LIST = """
fragment all on Playlist {
  id pk name description isPublic isMine isFollowed shareUrl movieCount followersCount
  owner { pk name } createdAt updatedAt
  entries(first: 9) { totalCount edges { node { addedAt movie { pk name } } } }
}
"""
BY_PK = LIST + "query($pk: Int, $slug: String) { playlist(pk: $pk, slug: $slug) { ...all } }"
BY_ID = LIST + "query($id: ID!) { node(id: $id) { id ...all } }"


@pytest.fixture
def other(db: None) -> Client:
    return Client(make_user(name="Jacques"))


def global_id(playlist: Playlist) -> str:
    return b64encode(f"Playlist:{playlist.pk}".encode()).decode()


def entries(playlist: Any) -> list[int]:
    return [edge["node"]["movie"]["pk"] for edge in playlist["entries"]["edges"]]


def names(connection: Any) -> list[str]:
    return [edge["node"]["name"] for edge in connection["edges"]]


@pytest.mark.parametrize(("playlists", "films"), [(2, 3), (50, 100)])
def test_queries_do_not_grow_with_playlists_and_films(
    anonymous: Client,
    viewer: Client,
    django_assert_num_queries: DjangoAssertNumQueries,
    playlists: int,
    films: int,
) -> None:
    movies = [make_movie() for _ in range(films)]
    for _ in range(playlists):
        make_playlist(viewer.user, movies[::-1], is_public=True)
    for client, signing_in in ((anonymous, 0), (viewer, 1)):
        with django_assert_num_queries(signing_in + 3):
            found = ask(client, NESTED, first=50, films=100)["playlists"]["edges"]
        expected = [movie.pk for movie in movies[::-1]]
        assert [entries(edge["node"]) for edge in found] == [expected] * playlists
        assert {edge["node"]["movieCount"] for edge in found} == {films}


def test_a_playlist_is_shown_as_in_the_rest_api(viewer: Client, other: Client) -> None:
    movies = [make_movie() for _ in range(3)]
    playlist = make_playlist(other.user, movies[::-1], description="With tea.", is_public=True)
    other.put(f"/playlists/{playlist.pk}/share")
    viewer.put(f"/playlists/{playlist.pk}/follow")
    for client in (viewer, other):
        rest = client.get(f"/playlists/{playlist.pk}").json()
        found = ask(client, BY_PK, pk=playlist.pk)["playlist"]
        assert ask(client, BY_ID, id=found["id"])["node"] == found
        same = {
            "pk": "id", "name": "name", "description": "description", "isPublic": "is_public",
            "isMine": "is_mine", "isFollowed": "is_followed", "shareUrl": "share_url",
            "movieCount": "movie_count", "followersCount": "followers_count",
            "createdAt": "created_at", "updatedAt": "updated_at",
        }  # fmt: skip
        assert {a: found[a] for a in same} == {a: rest[b] for a, b in same.items()}
        assert found["owner"] == {"pk": rest["owner"]["id"], "name": "Jacques"}
        assert entries(found) == [one["id"] for one in rest["movies"]]
    assert found["shareUrl"]


def test_a_private_playlist_of_another_viewer_is_hidden_from_every_field(
    anonymous: Client, viewer: Client, other: Client, staff: Client
) -> None:
    movie = make_movie()
    playlist = make_playlist(other.user, [movie], is_public=True)
    viewer.put(f"/playlists/{playlist.pk}/follow")
    other.patch(f"/playlists/{playlist.pk}", {"is_public": False})
    lists = """query($pk: Int, $owner: String) {
      all: playlists { totalCount edges { node { name } } }
      withIt: playlists(movieId: $pk) { totalCount }
      owned: playlists(owner: $owner) { totalCount }
      viewer { playlists { totalCount } followedPlaylists { totalCount } }
    }"""
    variables = {"pk": movie.pk, "owner": str(other.user.pk)}
    none = {"totalCount": 0}
    for client in (anonymous, viewer, staff):
        assert ask(client, BY_PK, pk=playlist.pk) == {"playlist": None}
        assert ask(client, BY_ID, id=global_id(playlist)) == {"node": None}
        found = ask(client, lists, **variables)
        mine = found.pop("viewer")
        assert found == {"all": {**none, "edges": []}, "withIt": none, "owned": none}
        assert mine == (
            None if client is anonymous else {"playlists": none, "followedPlaylists": none}
        )
    assert ask(other, BY_PK, pk=playlist.pk)["playlist"]["name"] == "Rainy Sundays"
    assert ask(other, BY_ID, id=global_id(playlist))["node"]["name"] == "Rainy Sundays"


def test_a_link_shows_a_private_playlist_and_its_id_still_does_not(
    anonymous: Client, viewer: Client
) -> None:
    movies = [make_movie(), make_movie()]
    playlist = make_playlist(viewer.user, movies)
    link = viewer.put(f"/playlists/{playlist.pk}/share").json()["share_url"]
    slug = link.rpartition("/")[2]
    found = ask(anonymous, BY_PK, slug=slug)["playlist"]
    assert entries(found) == [movie.pk for movie in movies]
    assert (found["shareUrl"], found["isMine"]) == (None, False)
    assert ask(anonymous, BY_ID, id=found["id"]) == {"node": None}
    viewer.delete(f"/playlists/{playlist.pk}/share")
    for gone in (slug, "x", "x" * 43):
        assert ask(anonymous, BY_PK, slug=gone) == {"playlist": None}
    assert "slug" in refusal(anonymous, BY_PK, slug="\x00")
    assert "either" in refusal(anonymous, BY_PK, slug=slug, pk=playlist.pk)
    assert "either" in refusal(anonymous, BY_PK)


def test_the_list_is_filtered_and_ordered_as_in_the_rest_api(
    viewer: Client, other: Client, anonymous: Client
) -> None:
    movie = make_movie()
    make_playlist(viewer.user, name="Été")
    make_playlist(other.user, [movie], name="apples", is_public=True)
    followed = make_playlist(other.user, name="été", is_public=True)
    viewer.put(f"/playlists/{followed.pk}/follow")
    query = "{ playlists(%s) { edges { node { name } } } }"
    for arguments, rest in (
        ('owner: "me"', {"owner": "me"}),
        ('owner: "followed"', {"owner": "followed"}),
        ('q: "ETE"', {"q": "ETE"}),
        ("sort: NAME", {"sort": "name"}),
        ("sort: FOLLOWERS_COUNT", {"sort": "-followers_count"}),
        (f"movieId: {movie.pk}", {"movie_id": movie.pk}),
    ):
        expected = [one["name"] for one in viewer.get("/playlists", **rest).json()["data"]]
        assert names(ask(viewer, query % arguments)["playlists"]) == expected
        assert expected, "a filter that finds nothing proves nothing"
    assert "Sign in" in refusal(anonymous, query % 'owner: "me"')
    assert "owner" in refusal(viewer, query % 'owner: "everybody"')


@pytest.mark.parametrize("which", ["Playlist:x", "Playlist:", "Playlist:-1", f"Playlist:{10**30}"])
def test_an_invalid_global_id_is_null(viewer: Client, which: str) -> None:
    some_id = b64encode(which.encode()).decode()
    answer = viewer.post("/graphql", {"query": BY_ID, "variables": {"id": some_id}})
    assert answer.status_code == 200
    assert (answer.json()["data"] or {"node": None})["node"] is None


def test_counts_within_lists_have_a_limit_as_each_is_a_query(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(3):
        make_playlist(viewer.user, [make_movie()])
    query = """query($first: Int) { playlists(first: $first) { edges { node { ...count } } } }
      fragment count on Playlist { entries(first: 1) { totalCount edges { cursor } } }"""
    with django_assert_num_queries(2 + 3 * 2):
        ask(viewer, query, first=20)
    assert "edges { node }" in refusal(viewer, query, first=21)


@pytest.mark.parametrize(
    "page",
    [
        'first: 1, after: "%s"' % b64encode(b"arrayconnection:7").decode(),
        'last: 1, before: "%s"' % b64encode(b"arrayconnection:0").decode(),
        "first: 0",
    ],
)
def test_counts_of_pages_without_rows_have_the_same_limit(
    viewer: Client, django_assert_max_num_queries: DjangoAssertNumQueries, page: str
) -> None:
    for _ in range(3):
        make_playlist(viewer.user, [make_movie()])
    query = """query($first: Int) { playlists(first: $first) { edges { node {
      entries(%s) { totalCount edges { node { addedAt } } } } } } }"""
    with django_assert_max_num_queries(3 + 3):
        ask(viewer, query % page, first=20)
    assert "edges { node }" in refusal(viewer, query % page, first=21)


def test_lists_within_lists_count_towards_the_cost(anonymous: Client) -> None:
    assert "values" in refusal(anonymous, NESTED, first=100, films=100)
    assert ask(anonymous, NESTED, first=50, films=100) == {"playlists": {"edges": []}}
