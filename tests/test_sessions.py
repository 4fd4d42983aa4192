"""A viewer's sessions: opened by signing in, listed, ended one by one and at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.utils import timezone

from tests.builders import Client, access_token, make_user
from tests.concurrency import at_once
from tests.tokens import PASSWORD, bearer, refresh, sign_in, status_of
from users import sessions
from users.models import RefreshToken, Session, User
from users.sessions import open_session

pytestmark = pytest.mark.django_db

SESSIONS = "/users/me/sessions"


def logout(token: str) -> int:
    return Client().post("/auth/logout", {"refresh": token}).status_code


def listed(access: str) -> list[dict[str, Any]]:
    answer = bearer(access, path=SESSIONS)
    assert answer.status_code == 200
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


# --- logout


def test_logout_ends_the_session_and_the_access_token_at_hand() -> None:
    viewer = make_user(password=PASSWORD)
    pair, other = sign_in(viewer), sign_in(viewer)
    newer = refresh(pair["refresh"]).json()
    assert logout(newer["refresh"]) == 204
    assert [status_of(each["access"]) for each in (pair, newer)] == [401, 401]
    assert refresh(newer["refresh"]).status_code == 401
    assert status_of(other["access"]) == 200


def test_logout_is_safe_to_repeat_and_tells_nothing_of_a_token() -> None:
    pair = sign_in(make_user(password=PASSWORD))
    expired = sign_in(make_user(password=PASSWORD))
    Session.objects.filter(user_id=Session.objects.latest("pk").user_id).update(
        expires_at=timezone.now()
    )
    tokens = (pair["refresh"], pair["refresh"], expired["refresh"], pair["access"], "\x00no", "")
    assert [logout(token) for token in tokens] == [204] * 6


def test_logout_with_a_spent_token_ends_the_session_too() -> None:
    pair = sign_in(make_user(password=PASSWORD))
    newer = refresh(pair["refresh"]).json()
    assert logout(pair["refresh"]) == 204
    assert status_of(newer["access"]) == 401


def test_logout_is_one_query(django_assert_num_queries: Any) -> None:
    pair = sign_in(make_user(password=PASSWORD))
    with django_assert_num_queries(1):
        assert logout(pair["refresh"]) == 204


# --- the list


def test_the_list_shows_where_a_viewer_is_signed_in() -> None:
    viewer = make_user(password=PASSWORD)
    telephone, laptop = sign_in(viewer, "Telephone/1.0"), sign_in(viewer, "Laptop/2.0")
    sign_in(make_user(password=PASSWORD), "Stranger/3.0")
    newest, oldest = listed(telephone["access"])
    assert newest.keys() == {
        "id", "device", "created_at", "last_used_at", "expires_at", "is_current",
    }  # fmt: skip
    assert (newest["device"], newest["is_current"]) == ("Laptop/2.0", False)
    assert (oldest["device"], oldest["is_current"]) == ("Telephone/1.0", True)
    refresh(telephone["refresh"])
    assert [row["device"] for row in listed(laptop["access"])] == ["Telephone/1.0", "Laptop/2.0"]


def test_ended_and_expired_sessions_are_not_listed() -> None:
    viewer = make_user()
    access = access_token(viewer)
    open_session(user=viewer)
    Session.objects.filter(pk=open_session(user=viewer).pk).update(revoked_at=timezone.now())
    Session.objects.filter(pk=open_session(user=viewer).pk).update(expires_at=timezone.now())
    assert len(listed(access)) == 2


def test_the_list_has_pages_and_takes_the_same_queries_however_long(
    viewer: Client, django_assert_num_queries: Any
) -> None:
    for number in range(30):
        open_session(user=viewer.user, device=f"Device {number}")
    for per_page in (1, 30):
        with django_assert_num_queries(3):  # who asks, the count, the page
            page = viewer.get(SESSIONS, per_page=per_page)
        assert len(page.json()["data"]) == per_page
    assert page.json()["pagination"]["total"] == 31
    assert viewer.get(SESSIONS, per_page=101).status_code == 422
    assert page["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("", ""), ("x" * 500, "x" * 200), ("A\x00\x1b[31mB", "A[31mB"), ("Kinó", "Kinó")],
)  # fmt: skip
def test_whatever_a_client_calls_itself_it_can_sign_in(sent: str, kept: str) -> None:
    sign_in(make_user(password=PASSWORD), sent)
    assert Session.objects.get().device == kept


# --- ending them


def test_a_viewer_ends_a_session_once(viewer: Client) -> None:
    other = access_token(viewer.user)
    session = Session.objects.latest("pk")
    assert viewer.delete(f"{SESSIONS}/{session.pk}").status_code == 204
    assert status_of(other) == 401
    assert viewer.delete(f"{SESSIONS}/{session.pk}").status_code == 404
    assert viewer.get("/users/me").status_code == 200


def test_a_viewer_ends_the_session_that_asks(viewer: Client) -> None:
    assert viewer.delete(f"{SESSIONS}/{Session.objects.get().pk}").status_code == 204
    assert viewer.get("/users/me").status_code == 401


def test_anothers_session_is_not_found_and_goes_on(viewer: Client, staff: Client) -> None:
    theirs = Session.objects.get(user=staff.user)
    mine = Session.objects.get(user=viewer.user)
    assert viewer.delete(f"{SESSIONS}/{theirs.pk}").status_code == 404
    assert staff.delete(f"{SESSIONS}/{mine.pk}").status_code == 404
    assert (viewer.get("/users/me").status_code, staff.get("/users/me").status_code) == (200, 200)


@pytest.mark.parametrize(
    ("session_id", "status"), [("0", 404), ("-1", 404), ("9" * 30, 404), ("x", 422), ("1.5", 422)]
)
def test_ids_of_nothing_are_refused(viewer: Client, session_id: str, status: int) -> None:
    assert viewer.delete(f"{SESSIONS}/{session_id}").status_code == status


def test_all_other_sessions_end_at_once(viewer: Client, staff: Client) -> None:
    others = [access_token(viewer.user) for _ in range(3)]
    for _ in range(2):  # repeated, it finds nothing to do
        assert viewer.delete(SESSIONS).status_code == 204
    assert {status_of(access) for access in others} == {401}
    assert viewer.get("/users/me").status_code == 200
    assert staff.get("/users/me").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", SESSIONS), ("DELETE", SESSIONS), ("DELETE", f"{SESSIONS}/1")]
)
def test_nobody_sees_or_ends_sessions_without_signing_in(
    anonymous: Client, method: str, path: str
) -> None:
    assert anonymous.send(method, path).status_code == 401


# --- how many there may be


def test_beyond_the_limit_the_session_ends_that_was_used_longest_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 3)
    viewer, stranger = make_user(password=PASSWORD), access_token(make_user())
    first, second, third = (sign_in(viewer) for _ in range(3))
    refresh(first["refresh"])
    fourth = sign_in(viewer)
    assert status_of(second["access"]) == 401
    assert {status_of(pair["access"]) for pair in (first, third, fourth)} == {200}
    assert status_of(stranger) == 200


@pytest.mark.django_db(transaction=True)
def test_the_limit_holds_when_many_sign_in_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 2)
    viewer = make_user()
    at_once([partial(open_session, user=viewer)] * 6)
    assert Session.objects.filter(revoked_at=None).count() == 2


# --- what can happen while somebody signs in


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something done between the check of the password and the session."""

    def between(call: Callable[[], object]) -> None:
        verify = Argon2PasswordHasher.verify

        def verify_and_call(self: Argon2PasswordHasher, password: str, encoded: str) -> bool:
            fits = verify(self, password, encoded)
            monkeypatch.undo()
            call()
            return fits

        monkeypatch.setattr(Argon2PasswordHasher, "verify", verify_and_call)

    return between


@pytest.mark.parametrize(
    "change",
    [
        lambda: make_password_another(),
        lambda: User.objects.update(is_active=False),
        lambda: User.objects.all().delete(),
    ],
    ids=["another password", "closed", "deleted"],
)
def test_a_change_during_the_password_check_counts(
    meanwhile: Callable[[Callable[[], object]], None], change: Callable[[], object]
) -> None:
    viewer = make_user(password=PASSWORD)
    meanwhile(change)
    answer = Client().post("/auth/login", {"email": viewer.email, "password": PASSWORD})
    assert answer.status_code == 401
    assert not Session.objects.exists()


def make_password_another() -> None:
    user = User.objects.get()
    user.set_password("something else")
    user.save()


def test_a_sign_in_leaves_one_session_with_one_token() -> None:
    before = timezone.now()
    viewer = make_user(password=PASSWORD)
    sign_in(viewer)
    session = Session.objects.get()
    assert (session.user, session.revoked_at) == (viewer, None)
    assert session.created_at >= before
    assert session.expires_at - session.created_at > timedelta(days=13)
    assert RefreshToken.objects.get().session == session
    viewer.refresh_from_db()
    assert viewer.last_login
