"""Playlists: made, changed, listed, and shown to whom they may be shown."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders import Client, make_movie, make_user
from tests.catalogue import refused_fields
from tests.playlists import films, listed, make_playlist, posted, put
from users.models import Playlist, PlaylistEntry, PlaylistFollow

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(db: None) -> Client:
    return Client(make_user(name="Jacques"))


# --- making, changing, deleting


def test_a_playlist_is_private_until_its_owner_says_otherwise(viewer: Client) -> None:
    answer = viewer.post("/playlists", {"name": " Rainy \n Sundays "})
    assert answer.status_code == 201
    body = answer.json()
    assert answer["Location"] == f"/api/v1/playlists/{body['id']}"
    assert answer["Cache-Control"] == "no-store"
    assert viewer.get(answer["Location"]).json() == body
    times = {name: body.pop(name) for name in ("created_at", "updated_at")}
    assert all(times.values())
    assert body == {
        "id": body["id"],
        "name": "Rainy Sundays",
        "description": "",
        "is_public": False,
        "share_url": None,
        "owner": {"id": viewer.user.pk, "name": "Agnès"},
        "is_mine": True,
        "is_followed": False,
        "movie_count": 0,
        "followers_count": 0,
        "movies": [],
    }


def test_a_change_keeps_the_fields_it_leaves_out(viewer: Client) -> None:
    playlist = posted(viewer, description="With tea.\n\nOr without.")
    path = f"/playlists/{playlist['id']}"
    changed = viewer.patch(path, {"is_public": True}).json()
    assert changed["is_public"]
    assert changed["description"] == "With tea.\n\nOr without."
    assert changed["updated_at"] > playlist["updated_at"]
    same = viewer.patch(path, {"is_public": True, "name": "Rainy Sundays"}).json()
    assert same == changed
    assert viewer.patch(path, {}).json() == changed


def test_a_deleted_playlist_takes_its_entries_along(viewer: Client, other: Client) -> None:
    playlist = make_playlist(viewer.user, [make_movie()], is_public=True)
    assert other.put(f"/playlists/{playlist.pk}/follow").status_code == 204
    path = f"/playlists/{playlist.pk}"
    assert viewer.delete(path).status_code == 204
    assert viewer.delete(path).status_code == 404
    assert not PlaylistEntry.objects.exists()
    assert not PlaylistFollow.objects.exists()


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({}, "body.name"),
        ({"name": ""}, "body.name"),
        ({"name": " \u200b\u3000 "}, "body.name"),
        ({"name": "x" * 101}, "body.name"),
        ({"name": None}, "body.name"),
        ({"name": ["x"]}, "body.name"),
        ({"name": "x", "description": "x" * 2001}, "body.description"),
        ({"name": "x", "description": None}, "body.description"),
        ({"name": "x", "is_public": "yes"}, "body.is_public"),
        ({"name": "x", "is_public": 1}, "body.is_public"),
        ({"name": "x", "owner": 1}, "body.owner"),
        ({"name": "x", "share_slug": "guessable"}, "body.share_slug"),
        ({"name": "x", "user_id": 1}, "body.user_id"),
    ],
)
def test_a_malformed_playlist_is_refused(
    viewer: Client, payload: dict[str, Any], field: str
) -> None:
    assert refused_fields(viewer.post("/playlists", payload)) == [field]
    if payload:
        playlist = posted(viewer)
        assert refused_fields(viewer.patch(f"/playlists/{playlist['id']}", payload)) == [field]
    assert Playlist.objects.filter(name="x").count() == 0


@pytest.mark.parametrize(
    "name",
    [
        "Пушкин 🎬",
        "سينما الأحد",
        "七人",
        "👨‍👩‍👧‍👦 family!",
        "'; DROP TABLE users_playlist; --",
        "<b>%s{0}",
    ],
)
def test_names_in_any_script_come_back_as_they_were(viewer: Client, name: str) -> None:
    playlist = posted(viewer, name=name, description=name)
    assert (playlist["name"], playlist["description"]) == (name, name)
    assert listed(viewer, q=name) == [name]


def test_a_viewer_has_at_most_200_playlists(viewer: Client, other: Client) -> None:
    Playlist.objects.bulk_create(Playlist(user=viewer.user, name=f"{n}") for n in range(199))
    public = make_playlist(other.user, is_public=True)
    assert viewer.post("/playlists", {"name": "The last one"}).status_code == 201
    for answer in (
        viewer.post("/playlists", {"name": "One too many"}),
        viewer.post(f"/playlists/{public.pk}/copy"),
    ):
        assert (answer.status_code, answer.json()["limit"]) == (409, 200)
    assert other.post("/playlists", {"name": "Of another viewer"}).status_code == 201


# --- who sees what


def test_anonymous_callers_see_public_playlists_and_nothing_personal(
    anonymous: Client, viewer: Client
) -> None:
    make_playlist(viewer.user, name="private")
    public = make_playlist(viewer.user, name="public", is_public=True)
    viewer.put(f"/playlists/{public.pk}/share")
    assert listed(anonymous) == ["public"]
    shown = anonymous.get(f"/playlists/{public.pk}").json()
    assert (shown["share_url"], shown["is_mine"], shown["is_followed"]) == (None, False, False)
    assert shown["owner"] == {"id": viewer.user.pk, "name": "Agnès"}
    assert viewer.user.email not in anonymous.get("/playlists").content.decode()
    assert listed(viewer) == ["public", "private"]
    assert viewer.get(f"/playlists/{public.pk}").json()["share_url"]


def test_anonymous_answers_may_be_revalidated_and_personal_ones_are_kept_by_nobody(
    anonymous: Client, viewer: Client
) -> None:
    public = make_playlist(viewer.user, is_public=True)
    for path in ("/playlists", f"/playlists/{public.pk}"):
        first = anonymous.get(path)
        assert first["Cache-Control"] == "public, max-age=0, must-revalidate"
        assert "Authorization" in first["Vary"]
        again = anonymous.send("GET", path, headers={"If-None-Match": first["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        mine = viewer.get(path)
        assert mine["Cache-Control"] == "no-store"
        assert "Authorization" in mine["Vary"]


def test_anothers_private_playlist_does_not_exist(viewer: Client, other: Client) -> None:
    movie = make_movie()
    playlist = make_playlist(other.user, [movie], is_public=True)
    assert viewer.put(f"/playlists/{playlist.pk}/follow").status_code == 204
    other.patch(f"/playlists/{playlist.pk}", {"is_public": False})
    path = f"/playlists/{playlist.pk}"
    calls: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("PATCH", path, {"name": "Mine now"}),
        ("DELETE", path, None),
        ("PUT", f"{path}/movies/{make_movie().pk}", None),
        ("DELETE", f"{path}/movies/{movie.pk}", None),
        ("PUT", f"{path}/order", {"movie_ids": [movie.pk]}),
        ("PUT", f"{path}/share", None),
        ("DELETE", f"{path}/share", None),
        ("POST", f"{path}/copy", None),
        ("PUT", f"{path}/follow", None),
        ("DELETE", f"{path}/follow", None),
    ]
    nowhere = Playlist.objects.latest("pk").pk + 1
    for method, where, payload in calls:
        answer = viewer.send(method, where, payload)
        missing = viewer.send(method, where.replace(path, f"/playlists/{nowhere}"), payload)
        assert answer.status_code == missing.status_code == 404, (method, where)
        said = answer.json()["detail"].replace(str(playlist.pk), str(nowhere))
        assert said == missing.json()["detail"], (method, where)
    assert films(other, playlist.pk) == [movie.pk]
    for query in ({}, {"owner": "followed"}, {"owner": str(other.user.pk)}):
        assert listed(viewer, **query) == []
    assert listed(viewer, movie_id=movie.pk, q="rainy") == []


def test_anothers_public_playlist_cannot_be_written(
    viewer: Client, other: Client, staff: Client
) -> None:
    movie = make_movie()
    playlist = make_playlist(other.user, [movie], is_public=True)
    path = f"/playlists/{playlist.pk}"
    calls: list[tuple[str, str, Any]] = [
        ("PATCH", path, {"name": "Mine now"}),
        ("DELETE", path, None),
        ("PUT", f"{path}/movies/{make_movie().pk}", None),
        ("DELETE", f"{path}/movies/{movie.pk}", None),
        ("PUT", f"{path}/order", {"movie_ids": [movie.pk]}),
        ("PUT", f"{path}/share", None),
        ("DELETE", f"{path}/share", None),
    ]
    before = other.get(path).json()
    for client in (viewer, staff):
        assert {client.send(*call).status_code for call in calls} == {403}
    assert other.get(path).json() == before


def test_staff_see_no_private_playlists(viewer: Client, staff: Client) -> None:
    playlist = make_playlist(viewer.user)
    assert staff.get(f"/playlists/{playlist.pk}").status_code == 404
    assert listed(staff) == []


def test_playlists_of_an_inactive_owner_are_hidden(viewer: Client, other: Client) -> None:
    playlist = make_playlist(other.user, is_public=True)
    link = other.put(f"/playlists/{playlist.pk}/share").json()["share_url"]
    other.user.__class__.objects.filter(pk=other.user.pk).update(is_active=False)
    assert listed(viewer) == []
    assert viewer.get(f"/playlists/{playlist.pk}").status_code == 404
    assert viewer.get(link[link.index("/api/") :]).status_code == 404


@pytest.mark.parametrize("playlist_id", ["0", "-1", "9" * 19, "9" * 40, "nonsense", "1e3", "%00"])
def test_an_invalid_id_is_404(viewer: Client, playlist_id: str) -> None:
    movie = make_movie()
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("PUT", f"/movies/{movie.pk}"),
        ("POST", "/copy"),
        ("PUT", "/follow"),
        ("DELETE", "/follow"),
        ("PUT", "/share"),
    ):
        payload: dict[str, Any] | None = {} if method == "PATCH" else None
        answer = viewer.send(method, f"/playlists/{playlist_id}{path}", payload)
        assert answer.status_code == 404, (method, path)


# --- films that leave the catalogue


def test_a_film_in_a_playlist_is_withdrawn_and_then_shown_nowhere(
    viewer: Client, staff: Client
) -> None:
    stays, goes = make_movie(), make_movie()
    playlist = make_playlist(viewer.user, [goes, stays])
    refused = staff.delete(f"/movies/{goes.pk}")
    assert (refused.status_code, list(refused.json()["counts"].values())) == (409, [1])
    assert staff.delete(f"/movies/{goes.pk}", force=True).status_code == 204
    shown = viewer.get(f"/playlists/{playlist.pk}").json()
    assert ([one["id"] for one in shown["movies"]], shown["movie_count"]) == ([stays.pk], 1)
    [in_list] = viewer.get("/playlists").json()["data"]
    assert (in_list["movies"], in_list["movie_count"]) == (shown["movies"], 1)
    assert listed(viewer, movie_id=goes.pk) == []
    assert put(viewer, playlist.pk, goes).status_code == 404
    copy = viewer.post(f"/playlists/{playlist.pk}/copy").json()
    assert [one["id"] for one in copy["movies"]] == [stays.pk]
    assert PlaylistEntry.objects.filter(movie=goes).count() == 1
