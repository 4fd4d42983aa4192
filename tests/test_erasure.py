"""An erased viewer is nowhere any more."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from celery import current_app
from django.contrib.sessions.models import Session as AdminSession
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django_celery_results.models import TaskResult

from cinema.audit.models import AuditEntry
from cinema.cache import ForgivingRedisCache, shared
from movies.models import Movie
from recommendations.models import Interaction
from tests.audience import listed
from tests.belongings import (
    EMAIL,
    LIST,
    NAME,
    PASSWORD,
    leave,
    make_known_viewer,
    personal_tables,
    rows,
    tables_that_say,
)
from tests.builders import Client, interact, make_movie, make_user
from tests.tastes import publish_popularity
from users.erasure import erase
from users.models import Favourite, Playlist, PlaylistEntry, User
from users.sessions import open_session

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db
at_the_same_time = pytest.mark.django_db(transaction=True)


# --- who asks


def test_a_viewer_leaves_with_the_password(anonymous: Client) -> None:
    viewer = Client(make_user(password=PASSWORD))
    answer = leave(viewer)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not User.objects.exists()


@pytest.mark.parametrize("password", ["wrong", PASSWORD.upper(), "x" * 256])
def test_a_wrong_password_is_refused_and_nothing_is_erased(password: str) -> None:
    viewer = make_known_viewer()
    answer = leave(viewer, password)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["body.password"]
    assert viewer.get("/users/me").status_code == 200
    assert Interaction.objects.count() == 1


@pytest.mark.parametrize("payload", [None, {}, {"password": ""}, {"password": None}, [], {"a": 1}])
def test_without_a_password_nothing_is_erased(payload: Any) -> None:
    viewer = Client(make_user(password=PASSWORD))
    assert viewer.send("DELETE", "/users/me", payload).status_code == 422
    more = {"password": PASSWORD, "user_id": make_user().pk}
    assert viewer.send("DELETE", "/users/me", more).status_code == 422
    assert User.objects.count() == 2


def test_an_erasure_needs_a_token(anonymous: Client) -> None:
    assert leave(anonymous).status_code == 401


def test_the_last_superuser_stays() -> None:
    """Or nobody could make anybody staff again, but for who has the server."""
    boss = {"is_staff": True, "is_superuser": True, "password": PASSWORD}
    first, second = Client(make_user(**boss)), Client(make_user(**boss, is_active=True))
    User.objects.filter(pk=second.user.pk).update(is_active=False)
    answer = leave(first)
    assert answer.status_code == 409
    assert "superuser" in answer.json()["detail"]
    User.objects.update(is_active=True)
    assert leave(first).status_code == 204
    assert leave(second).status_code == 409


# --- what is gone


def test_the_person_is_in_no_row_of_any_table() -> None:
    viewer = make_known_viewer()
    user_id = viewer.user.pk
    before = {word: set(tables_that_say(word)) for word in (EMAIL, NAME, LIST)}
    assert all(before.values())
    assert leave(viewer).status_code == 204
    assert {word: [*tables_that_say(word)] for word in before} == {word: [] for word in before}
    for table in personal_tables() - {"audit_auditentry"}:
        names = rows(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
            " AND column_name IN ('user_id', 'preferences_id')",
            table,
        )
        for (column,) in names:
            sql = f'SELECT count(*) FROM "{table}" WHERE "{column}" = %s'  # noqa: S608
            assert rows(sql, user_id) == [(0,)], table
    assert not AdminSession.objects.exists()
    assert not TaskResult.objects.exists()


def test_an_erasure_leaves_the_data_of_others() -> None:
    viewer = make_known_viewer()
    other = Client(make_user(password=PASSWORD))
    film = Movie.objects.all()[0]
    interact(other.user, film, "like")
    Favourite.objects.create(user=other.user, movie=film)
    AdminSession.objects.all().delete()
    Browser().force_login(other.user, backend="django.contrib.auth.backends.ModelBackend")
    TaskResult.objects.create(task_id="1", task_kwargs=f"\"{{'user_id': {viewer.user.pk}0}}\"")
    lists = listed(other)
    leave(viewer)
    assert Playlist.objects.get().name == "Winter"
    assert Favourite.objects.get().user == other.user
    assert Interaction.objects.get().user == other.user
    assert AdminSession.objects.count() == 1
    assert TaskResult.objects.get().task_id == "1"
    assert listed(other)["list_id"] == lists["list_id"]


def test_all_tokens_stop_at_once(anonymous: Client) -> None:
    make_user(email=EMAIL, password=PASSWORD)
    who = {"email": EMAIL, "password": PASSWORD}
    pairs = [anonymous.post("/auth/login", who).json() for _ in range(2)]
    devices = [Client() for _ in pairs]
    for device, pair in zip(devices, pairs, strict=True):
        device.headers = {"Authorization": f"Bearer {pair['access']}"}
    assert leave(devices[0]).status_code == 204
    assert [device.get("/users/me").status_code for device in devices] == [401, 401]
    assert leave(devices[1]).status_code == 401
    for pair in pairs:
        assert anonymous.post("/auth/refresh", {"refresh": pair["refresh"]}).status_code == 401
    assert anonymous.post("/auth/login", who).status_code == 401


def test_public_lists_vanish_for_their_followers_too(anonymous: Client) -> None:
    viewer = make_known_viewer()
    mine = Playlist.objects.get(name=LIST)
    follower = Client(mine.follows.get().user)
    path = f"/playlists/{mine.pk}"
    assert [client.get(path).status_code for client in (anonymous, follower)] == [200, 200]
    leave(viewer)
    assert [client.get(path).status_code for client in (anonymous, follower)] == [404, 404]
    assert LIST not in anonymous.get("/playlists").content.decode()
    assert follower.get("/playlists", owner="followed").json()["data"] == []


def test_the_number_of_queries_does_not_depend_on_what_is_erased() -> None:
    few, many = make_user(), make_user()
    for number in range(20):
        film = make_movie()
        for user in (few, many) if number == 0 else (many,):
            interact(user, film, "rating", half_stars=8)
            Favourite.objects.create(user=user, movie=film)
            playlist = Playlist.objects.create(user=user, name="A list")
            PlaylistEntry.objects.create(playlist=playlist, movie=film, position=1)
            open_session(user=user)
    counts = []
    for user in (few, many):
        with CaptureQueriesContext(connection) as queries:
            erase(user_id=user.pk)
        counts.append(len(queries))
    assert counts[0] == counts[1] < 50


def test_the_address_can_be_registered_again_and_is_somebody_new(anonymous: Client) -> None:
    viewer = make_known_viewer()
    old_id = viewer.user.pk
    leave(viewer)
    answer = anonymous.post("/auth/register", {"email": EMAIL, "password": "vagabond in winter"})
    assert answer.status_code == 201
    assert answer.json()["id"] > old_id
    again = Client(User.objects.get(email=EMAIL))
    assert listed(again)["items"][0]["source"] != "als"


@at_the_same_time
def test_cached_lists_go_after_the_commit() -> None:
    viewer = Client(make_user(password=PASSWORD))
    film, user_id = make_movie(), viewer.user.pk
    publish_popularity()
    for query in ({}, {"scope": "programme", "days": 92}, {"algorithm": "popularity"}):
        assert viewer.get("/recommendations", **query).status_code == 200
    prefix = f"recommendations:{user_id}"
    other = Client(make_user())
    listed(other)
    # Three lists, the films of each, which was given last, and the last answer.
    assert len(shared().keys_below(f"{prefix}:")) == 8
    assert leave(viewer).status_code == 204
    assert shared().keys_below(f"{prefix}:") == []
    assert len(shared().keys_below(f"recommendations:{other.user.pk}:")) == 4
    assert film.name


@at_the_same_time
def test_without_the_cache_the_person_is_erased_all_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = Client(make_user(password=PASSWORD))
    monkeypatch.setattr(ForgivingRedisCache, "_away_until", 0.0)
    standing = settings.CACHES["default"]
    settings.CACHES = {"default": {**standing, "LOCATION": "unix:///nowhere/valkey.sock"}}
    assert leave(viewer).status_code == 204
    assert not User.objects.exists()


def test_the_audit_log_keeps_a_number_that_says_nothing_of_anybody(staff: Client) -> None:
    user = make_user(email=EMAIL, name=NAME, password=PASSWORD, is_staff=True)
    author = Client(user)
    posted = {"name": "Vagabond", "protagonists": ["Agnès Varda"], "start_date": "2026-12-03"}
    assert author.post("/movies", posted).status_code == 201
    number = user.pk
    assert leave(author).status_code == 204
    entries = AuditEntry.objects.filter(user_id=number)
    assert {entry.model for entry in entries} >= {"movie", "user"}
    written = str([*AuditEntry.objects.values()])
    assert not [word for word in (EMAIL, NAME, "argon2") if word in written]
    [shown, *_] = staff.get("/audit", user_id=number).json()["data"]
    assert shown["user_id"] == number


def test_tasks_name_their_user_in_user_id() -> None:
    """Records of tasks are found by the keyword `user_id`: other names would be overlooked."""
    current_app.loader.import_default_modules()
    for name, task in current_app.tasks.items():
        for parameter in inspect.signature(task.run).parameters.values():
            if not name.startswith("celery."):
                assert parameter.name not in {"user", "viewer", "viewer_id", "email", "address"}
                is_named = parameter.kind is inspect.Parameter.KEYWORD_ONLY
                assert parameter.name != "user_id" or is_named, name
