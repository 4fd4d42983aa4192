"""Links to playlists, copies of them, and who follows them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.builders import Client, make_movie, make_user
from tests.catalogue import refused_fields
from tests.playlists import films, listed, make_playlist, posted
from users.models import Playlist, PlaylistFollow

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(db: None) -> Client:
    return Client(make_user(name="Jacques"))


def share(client: Client, playlist_id: int) -> str:
    """The path of the link."""
    answer = client.put(f"/playlists/{playlist_id}/share")
    assert answer.status_code == 200, answer.content
    url: str = answer.json()["share_url"]
    assert url.startswith("http")
    return url[url.index("/api/") :]


# --- the link


def test_a_shared_list_is_readable_by_its_link_only(
    anonymous: Client, viewer: Client, other: Client
) -> None:
    movies = [make_movie(), make_movie()]
    playlist = make_playlist(viewer.user, movies)
    link = share(viewer, playlist.pk)
    for client in (anonymous, other):
        answer = client.get(link)
        assert answer.status_code == 200
        body = answer.json()
        assert [one["id"] for one in body["movies"]] == [movie.pk for movie in movies]
        assert (body["share_url"], body["is_mine"], body["is_public"]) == (None, False, False)
        assert client.get(f"/playlists/{playlist.pk}").status_code == 404
    assert viewer.get(link).json()["share_url"].endswith(link)
    assert other.post(f"/playlists/{playlist.pk}/copy").status_code == 404
    assert other.put(f"/playlists/{playlist.pk}/follow").status_code == 404
    assert listed(other) == []


def test_a_shared_playlist_is_not_cached_or_indexed(anonymous: Client, viewer: Client) -> None:
    answer = anonymous.get(share(viewer, make_playlist(viewer.user).pk))
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Robots-Tag"] == "noindex"
    assert answer["Referrer-Policy"] == "same-origin"


def test_a_link_cannot_be_guessed_and_stays_the_same_until_it_is_taken_back(
    viewer: Client,
) -> None:
    first, second = (make_playlist(viewer.user).pk for _ in range(2))
    link = share(viewer, first)
    assert share(viewer, first) == link != share(viewer, second)
    slug = link.rpartition("/")[2]
    assert len(slug) == 43  # 256 bits in base 64
    assert str(first) != slug


def test_a_link_that_was_taken_back_leads_nowhere_and_the_next_one_is_another(
    anonymous: Client, viewer: Client
) -> None:
    path = f"/playlists/{posted(viewer)['id']}"
    link = share(viewer, int(path.rpartition("/")[2]))
    assert viewer.delete(f"{path}/share").status_code == 204
    assert viewer.delete(f"{path}/share").status_code == 404
    assert anonymous.get(link).status_code == 404
    assert viewer.get(path).json()["share_url"] is None
    again = share(viewer, int(path.rpartition("/")[2]))
    assert again != link
    assert anonymous.get(link).status_code == 404
    assert anonymous.get(again).status_code == 200


@pytest.mark.parametrize(
    "slug", ["x", "%00", "x" * 43, "x" * 5000, "%F0%9F%8E%AC", "../1", "%27%20OR%201=1", "null"]
)
def test_an_invalid_share_link_is_404(anonymous: Client, viewer: Client, slug: str) -> None:
    share(viewer, make_playlist(viewer.user).pk)
    make_playlist(viewer.user)
    assert anonymous.get(f"/playlists/shared/{slug}").status_code == 404


def test_a_link_does_not_mark_the_list_as_changed(viewer: Client) -> None:
    before = posted(viewer)
    share(viewer, before["id"])
    after = viewer.get(f"/playlists/{before['id']}").json()
    assert after["updated_at"] == before["updated_at"]


# --- copies


def test_a_copy_is_private_and_independent(viewer: Client, other: Client) -> None:
    movies = [make_movie() for _ in range(3)]
    original = make_playlist(other.user, movies, description="With tea.", is_public=True)
    share(other, original.pk)
    answer = viewer.post(f"/playlists/{original.pk}/copy")
    assert answer.status_code == 201
    copy = answer.json()
    assert answer["Location"] == f"/api/v1/playlists/{copy['id']}"
    assert (copy["name"], copy["description"]) == ("Rainy Sundays", "With tea.")
    assert (copy["is_public"], copy["is_mine"], copy["share_url"]) == (False, True, None)
    assert [one["id"] for one in copy["movies"]] == [movie.pk for movie in movies]
    viewer.delete(f"/playlists/{copy['id']}/movies/{movies[0].pk}")
    assert len(films(other, original.pk)) == 3
    assert other.get(f"/playlists/{copy['id']}").status_code == 404
    other.delete(f"/playlists/{original.pk}")
    assert len(films(viewer, copy["id"])) == 2


def test_ones_own_private_list_is_copied_under_another_name(viewer: Client) -> None:
    original = make_playlist(viewer.user, [make_movie()])
    copy = viewer.post(f"/playlists/{original.pk}/copy", {"name": "Sunny Sundays"}).json()
    assert (copy["name"], copy["movie_count"]) == ("Sunny Sundays", 1)
    assert refused_fields(viewer.post(f"/playlists/{original.pk}/copy", {"name": " "})) == [
        "body.name"
    ]
    assert Playlist.objects.count() == 2


# --- following


def test_one_follows_a_public_list_and_no_more(viewer: Client, other: Client) -> None:
    playlist = make_playlist(other.user, is_public=True)
    path = f"/playlists/{playlist.pk}"
    for _ in range(2):
        assert viewer.put(f"{path}/follow").status_code == 204
    shown = viewer.get(path).json()
    assert (shown["is_followed"], shown["followers_count"]) == (True, 1)
    assert listed(viewer, owner="followed") == ["Rainy Sundays"]
    seen_by_owner = other.get(path).json()
    assert (seen_by_owner["is_followed"], seen_by_owner["followers_count"]) == (False, 1)
    assert viewer.delete(f"{path}/follow").status_code == 204
    assert viewer.delete(f"{path}/follow").status_code == 404
    assert listed(viewer, owner="followed") == []


def test_one_does_not_follow_oneself(viewer: Client) -> None:
    playlist = make_playlist(viewer.user, is_public=True)
    assert viewer.put(f"/playlists/{playlist.pk}/follow").status_code == 409


def test_a_followed_list_that_turns_private_vanishes_and_comes_back(
    viewer: Client, other: Client
) -> None:
    playlist = make_playlist(other.user, is_public=True)
    path = f"/playlists/{playlist.pk}"
    viewer.put(f"{path}/follow")
    other.patch(path, {"is_public": False})
    assert listed(viewer, owner="followed") == []
    other.patch(path, {"is_public": True})
    assert listed(viewer, owner="followed") == ["Rainy Sundays"]


def test_a_followed_list_that_turned_private_can_be_unfollowed(
    viewer: Client, other: Client
) -> None:
    playlist = make_playlist(other.user, is_public=True)
    path = f"/playlists/{playlist.pk}"
    viewer.put(f"{path}/follow")
    other.patch(path, {"is_public": False})
    assert viewer.delete(f"{path}/follow").status_code == 404
    assert not PlaylistFollow.objects.exists()


def test_a_viewer_follows_at_most_1000_lists(viewer: Client, other: Client) -> None:
    moment = timezone.now() - timedelta(days=1)
    many = Playlist.objects.bulk_create(
        Playlist(user=other.user, name=f"{n}", is_public=True, updated_at=moment)
        for n in range(1001)
    )
    PlaylistFollow.objects.bulk_create(
        PlaylistFollow(playlist=one, user=viewer.user) for one in many[:1000]
    )
    answer = viewer.put(f"/playlists/{many[1000].pk}/follow")
    assert (answer.status_code, answer.json()["limit"]) == (409, 1000)
    assert viewer.put(f"/playlists/{many[0].pk}/follow").status_code == 204


def test_nobody_copies_or_follows_without_signing_in(anonymous: Client, viewer: Client) -> None:
    path = f"/playlists/{make_playlist(viewer.user, is_public=True).pk}"
    for method, where in (("POST", "copy"), ("PUT", "follow"), ("DELETE", "follow")):
        assert anonymous.send(method, f"{path}/{where}").status_code == 401
