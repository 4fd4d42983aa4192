"""The viewer and playlists in GraphQL: to whom they are shown, and in a fixed number of queries."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from movies.models import Movie
from tests.builders import Client, interact, make_movie, make_screening, make_user
from tests.playlists import make_playlist
from tests.test_graphql import ask, refusal
from users.models import Favourite, PlaylistFollow, Preferences, User, Viewing

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

pytestmark = pytest.mark.django_db

EVERYTHING = """
query($first: Int) {
  viewer {
    pk name email isStaff dateJoined
    preferences { genres { slug name } languages matchVisible }
    favourites(first: $first) { totalCount edges { node { addedAt movie { pk genres { slug } } } } }
    ratings(first: $first) { totalCount edges { node { stars ratedAt movie { pk name } } } }
    history(first: $first) {
      totalCount edges { node { pk watchedAt checkedIn screeningPk movie { pk name } } }
    }
    playlists(first: $first) {
      totalCount edges { node {
        name shareUrl isMine entries(first: 3) { totalCount edges { node { addedAt } } }
      } }
    }
    followedPlaylists(first: $first) { totalCount edges { node { name isFollowed } } }
  }
}
"""


@pytest.fixture
def other(db: None) -> Client:
    return Client(make_user(name="Jacques"))


def names(connection: Any) -> list[str]:
    return [edge["node"]["name"] for edge in connection["edges"]]


def movies_of(connection: Any) -> list[int]:
    return [edge["node"]["movie"]["pk"] for edge in connection["edges"]]


def fill(user: User, movies: list[Movie]) -> None:
    """One of everything for each film."""
    for number, movie in enumerate(movies):
        moment = timezone.now() - timedelta(days=number)
        Favourite.objects.create(user=user, movie=movie, created_at=moment)
        Viewing.objects.create(user=user, movie=movie, watched_at=moment)
        interact(user, movie, "rating", half_stars=7, updated_at=moment)
        interact(user, movie, "like")
        make_playlist(user, movies, name=f"mine {number}", updated_at=moment)
        public = make_playlist(make_user(), name=f"theirs {number}", is_public=True)
        PlaylistFollow.objects.create(playlist=public, user=user)


def test_the_viewer_is_null_without_a_sign_in(anonymous: Client) -> None:
    assert ask(anonymous, EVERYTHING, first=5) == {"viewer": None}


def test_the_viewer_sees_what_the_rest_api_shows(viewer: Client) -> None:
    begun = timezone.now() - timedelta(hours=1)
    screening = make_screening(make_movie(genres=["drama"]), starts_at=begun)
    fill(viewer.user, [screening.movie, make_movie()])
    checked_in = viewer.post(
        "/users/me/history", {"movie_id": screening.movie_id, "screening_id": screening.pk}
    )
    preferences = {"genres": ["drama"], "languages": ["fr"], "match_visible": True}
    assert viewer.put("/users/me/preferences", preferences).status_code == 200
    found = ask(viewer, EVERYTHING, first=9)["viewer"]
    me = viewer.get("/users/me").json()
    assert (found["pk"], found["email"], found["name"], found["isStaff"]) == (
        me["id"], me["email"], me["name"], me["is_staff"],
    )  # fmt: skip
    assert found["preferences"] == {
        "genres": [{"slug": "drama", "name": "Drama"}],
        "languages": ["fr"],
        "matchVisible": True,
    }
    for field in ("favourites", "ratings", "history"):
        rest = viewer.get(f"/users/me/{field}").json()["data"]
        assert movies_of(found[field]) == [row["movie_id"] for row in rest]
        assert found[field]["totalCount"] == len(rest)
    assert {edge["node"]["stars"] for edge in found["ratings"]["edges"]} == {3.5}
    [at_screening] = [
        edge["node"] for edge in found["history"]["edges"] if edge["node"]["checkedIn"]
    ]
    assert at_screening["screeningPk"] == screening.pk
    assert at_screening["pk"] == checked_in.json()["id"]
    assert names(found["playlists"]) == ["mine 0", "mine 1"]
    assert sorted(names(found["followedPlaylists"])) == ["theirs 0", "theirs 1"]


def test_the_data_of_a_viewer_is_hidden_from_others(viewer: Client, other: Client) -> None:
    fill(other.user, [make_movie()])
    Preferences.objects.create(user=other.user, languages=["de"], match_visible=True)
    found = ask(viewer, EVERYTHING, first=9)["viewer"]
    assert found["email"] == viewer.user.email
    assert found["preferences"] == {"genres": [], "languages": [], "matchVisible": False}
    for field in ("favourites", "ratings", "history", "playlists", "followedPlaylists"):
        assert found[field] == {"totalCount": 0, "edges": []}


@pytest.mark.parametrize(
    "kind", ["Viewer", "User", "Favourite", "Viewing", "Rating", "Interaction", "PlaylistEntry"]
)
def test_nothing_personal_has_a_global_id(viewer: Client, kind: str) -> None:
    fill(viewer.user, [make_movie()])
    some_id = b64encode(f"{kind}:1".encode()).decode()
    answer = viewer.post("/graphql", {"query": '{ node(id: "%s") { id } }' % some_id})
    assert (answer.json().get("data") or {"node": None})["node"] is None


def test_lists_of_the_viewer_are_filtered_as_in_the_rest_api(viewer: Client) -> None:
    drama, comedy = make_movie(genres=["drama"]), make_movie(genres=["comedy"])
    fill(viewer.user, [drama, comedy])
    interact(make_user(), drama, "rating", half_stars=10)
    found = ask(
        viewer,
        """query($pk: Int) { viewer {
          favourites(genre: "comedy") { edges { node { movie { pk } } } }
          ratings(genre: "drama", starsFrom: 3.5) { edges { node { movie { pk } } } }
          none: ratings(starsFrom: 4) { edges { node { movie { pk } } } }
          history(movieId: $pk, checkedIn: false) { edges { node { movie { pk } } } }
        } }""",
        pk=comedy.pk,
    )["viewer"]
    assert movies_of(found["favourites"]) == movies_of(found["history"]) == [comedy.pk]
    assert movies_of(found["ratings"]) == [drama.pk]
    assert movies_of(found["none"]) == []
    assert "stars_from" in refusal(viewer, "{ viewer { ratings(starsFrom: 9) { totalCount } } }")


def test_a_withdrawn_film_is_in_no_list(viewer: Client, staff: Client) -> None:
    stays, goes = make_movie(), make_movie()
    fill(viewer.user, [stays, goes])
    assert staff.delete(f"/movies/{goes.pk}", force=True).status_code == 204
    found = ask(viewer, EVERYTHING, first=9)["viewer"]
    for field in ("favourites", "ratings", "history"):
        assert (movies_of(found[field]), found[field]["totalCount"]) == ([stays.pk], 1)
    for edge in found["playlists"]["edges"]:
        assert edge["node"]["entries"]["totalCount"] == 1


@pytest.mark.parametrize("rows", [1, 8])
def test_queries_do_not_grow_with_what_belongs_to_the_viewer(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries, rows: int
) -> None:
    fill(viewer.user, [make_movie(genres=["drama", f"genre {n}"]) for n in range(rows)])
    with django_assert_num_queries(12):
        found = ask(viewer, EVERYTHING, first=20)["viewer"]
    assert found["favourites"]["totalCount"] == found["history"]["totalCount"] == rows
