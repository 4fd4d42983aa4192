"""Sessions end at once, everywhere, with the cache away, and on record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, cast

import pgtrigger
import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher, identify_hasher
from django.db import connection, transaction
from django.test import Client as Browser
from django.utils import timezone

from cinema.audit.models import AuditEntry
from tests.admin_pages import fill_in, page
from tests.builders import Client, access_token, make_user
from tests.concurrency import at_once
from tests.outages import database_refusing, end_sessions
from tests.tokens import PASSWORD, bearer, refresh, sign_in, status_of
from users.auth import keep_position
from users.models import Session, User
from users.services import change_password
from users.sessions import end_other_sessions

pytestmark = pytest.mark.django_db


def logout(user: User, pair: dict[str, str]) -> None:
    assert Client().post("/auth/logout", {"refresh": pair["refresh"]}).status_code == 204


def end_from_another_device(user: User, pair: dict[str, str]) -> None:
    session = user.sessions.get()
    assert Client(user).delete(f"/users/me/sessions/{session.pk}").status_code == 204


def use_a_refresh_token_twice(user: User, pair: dict[str, str]) -> None:
    newer = refresh(refresh(pair["refresh"]).json()["refresh"]).json()
    assert refresh(pair["refresh"]).status_code == 401
    assert status_of(newer["access"]) == 401


def change_the_password(user: User, pair: dict[str, str]) -> None:
    user.set_password("something else")
    user.save()


def change_the_password_by_sql(user: User, pair: dict[str, str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE users_user SET password = '!' WHERE id = %s", [user.pk])


def close_the_account(user: User, pair: dict[str, str]) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def delete_the_account(user: User, pair: dict[str, str]) -> None:
    user.delete()


def delete_the_session(user: User, pair: dict[str, str]) -> None:
    user.sessions.all().delete()


def let_it_expire(user: User, pair: dict[str, str]) -> None:
    user.sessions.update(expires_at=timezone.now())


WAYS = [
    logout,
    end_from_another_device,
    use_a_refresh_token_twice,
    change_the_password,
    change_the_password_by_sql,
    close_the_account,
    delete_the_account,
    delete_the_session,
    let_it_expire,
]


@pytest.mark.parametrize("end", WAYS, ids=lambda way: way.__name__)
def test_the_tokens_at_hand_count_nowhere_from_then_on(
    end: Callable[[User, dict[str, str]], None],
) -> None:
    viewer, stranger = make_user(password=PASSWORD), access_token(make_user())
    pair = sign_in(viewer)
    assert status_of(pair["access"]) == 200
    end(viewer, pair)
    assert status_of(pair["access"]) == 401
    assert refresh(pair["refresh"]).status_code == 401
    # A bad token is refused also by operations for anyone.
    assert bearer(pair["access"], path="/screenings").status_code == 401
    query = {"query": "{ __typename }"}
    header = {"Authorization": f"Bearer {pair['access']}"}
    assert Client().send("POST", "/graphql", query, headers=header).status_code == 401
    assert status_of(stranger) == 200


@pytest.mark.parametrize("end", [logout, change_the_password, close_the_account])
def test_ending_sessions_needs_no_cache(
    end: Callable[[User, dict[str, str]], None], settings: Any
) -> None:
    settings.CACHES = {
        "default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    }
    viewer = make_user(password=PASSWORD)
    pair = sign_in(viewer)
    assert status_of(pair["access"]) == 200
    end(viewer, pair)
    assert status_of(pair["access"]) == 401


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("impatient_pool")
def test_without_the_database_nobody_is_signed_in() -> None:
    access = access_token(make_user(is_staff=True))
    with database_refusing():
        for path in ("/users/me", "/users/me/sessions", "/screenings", "/audit", "/graphql"):
            assert bearer(access, path=path).status_code == 503
            connection.close()
    assert status_of(access) == 200


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_postgres_has_just_ended_fails_no_request() -> None:
    access = access_token(make_user())
    # A new pool: after the outage of another test, attempts to connect have become rare.
    connection.close()
    cast("Any", connection).close_pool()
    assert status_of(access) == 200
    connection.close()  # back to the pool, as at the end of a request of the web process
    end_sessions()
    assert status_of(access) == 200


# --- a new password


def test_the_session_that_changes_the_password_goes_on() -> None:
    viewer = make_user(password=PASSWORD)
    mine, other = access_token(viewer), access_token(viewer)
    viewer.session_id = viewer.sessions.earliest("pk").pk
    change_password(user=viewer, current=PASSWORD, new="cleo from 5 to 7")
    assert (status_of(mine), status_of(other)) == (200, 401)
    change_the_password(viewer, {})  # in the same transaction still
    assert status_of(mine) == 401


def test_a_hash_that_fails_to_be_made_anew_leaves_the_trigger_on() -> None:
    viewer = make_user(password=PASSWORD)
    access = access_token(viewer)
    with (
        pytest.raises(ZeroDivisionError),
        transaction.atomic(),
        pgtrigger.ignore("users.User:credentials"),
    ):
        raise ZeroDivisionError
    change_the_password(viewer, {})
    assert status_of(access) == 401


@pytest.fixture
def cheap_hash(product_hasher: None, monkeypatch: pytest.MonkeyPatch) -> User:
    """A viewer whose hash was made when hashes were cheaper."""
    with monkeypatch.context() as then:
        then.setattr(Argon2PasswordHasher, "time_cost", 1)
        return make_user(password=PASSWORD)


def test_a_sign_in_that_makes_the_hash_anew_ends_no_session(cheap_hash: User) -> None:
    access = access_token(cheap_hash)
    pair = sign_in(cheap_hash)
    old = cheap_hash.password
    cheap_hash.refresh_from_db()
    assert cheap_hash.password != old
    assert not identify_hasher(cheap_hash.password).must_update(cheap_hash.password)
    assert (status_of(access), status_of(pair["access"])) == (200, 200)
    # Afterwards a new password ends them as ever, in the same transaction too.
    change_the_password(cheap_hash, pair)
    assert (status_of(access), status_of(pair["access"])) == (401, 401)


def test_a_wrong_password_makes_no_hash_anew(cheap_hash: User) -> None:
    who = {"email": cheap_hash.email, "password": "something else"}
    assert Client().post("/auth/login", who).status_code == 401
    assert User.objects.get().password == cheap_hash.password


def test_a_hash_made_anew_does_not_undo_a_new_password(cheap_hash: User) -> None:
    """The password was changed between the reading of the row and the end of the check."""
    stale = User.objects.get()
    change_the_password(cheap_hash, {})
    assert stale.check_password(PASSWORD)
    assert User.objects.get().check_password("something else")


# --- the admin site


@pytest.fixture
def viewer_with_access() -> tuple[User, str]:
    user = make_user()
    return user, access_token(user)


def test_the_admin_site_ends_a_session_by_deleting_it(
    admin_client: Browser, viewer_with_access: tuple[User, str]
) -> None:
    viewer, access = viewer_with_access
    session = viewer.sessions.get()
    answer = admin_client.post(page(Session, "delete", session.pk), {"post": "yes"})
    assert answer.status_code == 302
    assert status_of(access) == 401
    entry = AuditEntry.objects.get(model="session")
    assert (entry.action, entry.via, entry.object_id) == ("delete", "admin", session.pk)
    assert entry.before == {"user_id": viewer.pk}
    assert entry.user_id == User.objects.get(is_superuser=True).pk


def test_the_admin_site_ends_many_at_once(
    admin_client: Browser, viewer_with_access: tuple[User, str]
) -> None:
    viewer, access = viewer_with_access
    sessions = [viewer.sessions.get(), *(Client(viewer).user.sessions.all())]
    keys = [session.pk for session in sessions]
    values = {"action": "delete_selected", "_selected_action": keys, "post": "yes"}
    assert admin_client.post(page(Session, ""), values).status_code == 302
    assert status_of(access) == 401
    assert AuditEntry.objects.filter(model="session").count() == len(set(keys)) == 2


def test_the_sidebar_leads_to_the_sessions(admin_client: Browser) -> None:
    assert page(Session, "") in admin_client.get("/admin/").content.decode()


def test_staff_who_are_no_superusers_see_no_sessions(
    client: Browser, viewer_with_access: tuple[User, str]
) -> None:
    viewer, access = viewer_with_access
    client.force_login(
        make_user(is_staff=True), backend="django.contrib.auth.backends.ModelBackend"
    )
    path = page(Session, "delete", viewer.sessions.get().pk)
    assert client.post(path, {"post": "yes"}).status_code == 403
    assert status_of(access) == 200


def test_a_password_that_staff_set_ends_the_viewers_sessions(
    admin_client: Browser, viewer_with_access: tuple[User, str]
) -> None:
    viewer, access = viewer_with_access
    new = {"password1": "vagabond in winter", "password2": "vagabond in winter"}
    path = page(User, "password", viewer.pk)
    assert fill_in(admin_client, path, usable_password="true", **new) == ""
    assert status_of(access) == 401
    viewer.refresh_from_db()
    assert viewer.check_password("vagabond in winter")


def test_an_account_that_staff_close_is_signed_out(
    admin_client: Browser, viewer_with_access: tuple[User, str]
) -> None:
    viewer, access = viewer_with_access
    path = page(User, "change", viewer.pk)
    values = {"email": viewer.email, "name": "Agnès"}
    assert admin_client.post(path, values).status_code == 302
    assert status_of(access) == 401


@pytest.mark.django_db(transaction=True)
def test_sessions_are_ended_while_the_viewers_position_is_kept_in_them() -> None:
    user, later = make_user(), timezone.now() + timedelta(days=1)
    opened = Session.objects.bulk_create(Session(user=user, expires_at=later) for _ in range(400))
    calls: list[Callable[[], object]] = [
        *[partial(keep_position, user.pk)] * 3,
        *[partial(end_other_sessions, user=user)] * 2,
    ]
    for _ in range(8):
        at_once(calls)
        with transaction.atomic():  # on the disk they are in another order than by id
            for session in reversed(opened):
                session.save()  # opens it again
