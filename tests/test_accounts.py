"""Registration, sign-in, tokens, and the viewer's own record."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.utils import timezone

from tests.builders import Client, make_user
from users.models import RefreshToken, User
from users.sessions import tokens
from users.sessions.services import open_session

pytestmark = pytest.mark.django_db

PASSWORD = "cleo from 5 to 7"


def register(client: Client, **fields: Any) -> Any:
    return client.post(
        "/auth/register", {"email": "agnes@example.org", "password": PASSWORD, **fields}
    )


def sign_in(client: Client, email: str = "agnes@example.org", password: str = PASSWORD) -> Any:
    return client.post("/auth/login", {"email": email, "password": password})


def me(access: str) -> Any:
    return Client().send("GET", "/users/me", headers={"Authorization": f"Bearer {access}"})


def test_a_viewer_registers_signs_in_and_is_known(anonymous: Client) -> None:
    registered = register(anonymous, name="  Agnès\tV.  ")
    assert registered.status_code == 201
    assert registered["Location"] == "/api/v1/users/me"
    assert registered.json() | {"id": 0, "date_joined": ""} == {
        "id": 0,
        "email": "agnes@example.org",
        "name": "Agnès V.",
        "is_staff": False,
        "date_joined": "",
    }
    pair = sign_in(anonymous).json()
    assert pair["token_type"] == "Bearer"
    assert pair["expires_in"] == settings.ACCESS_TOKEN_LIFETIME_S == 900
    assert me(pair["access"]).json()["email"] == "agnes@example.org"


def test_the_password_is_stored_with_argon2(anonymous: Client) -> None:
    register(anonymous)
    assert User.objects.get().password.startswith("argon2$argon2id$")


@pytest.mark.parametrize("email", ["agnes@example.org", "AGNES@Example.ORG"])
def test_a_taken_address_is_refused_in_whatever_case(anonymous: Client, email: str) -> None:
    register(anonymous)
    again = register(anonymous, email=email)
    assert again.status_code == 422
    assert again.json()["errors"][0]["field"] == "body.email"
    assert sign_in(anonymous, email=email).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "not an address"},
        {"email": "a" * 250 + "@example.org"},
        {"email": "agnes\x00@example.org"},
        {"password": ""},
        {"password": "short"},
        {"password": "12345678901"},
        {"password": "password1234"},
        {"password": "agnes@example.org"},
        {"password": "x" * 257},
        {"name": "x" * 501},
        {"name": None},
    ],
)
def test_bad_registrations_are_422_and_make_no_account(
    anonymous: Client, fields: dict[str, Any]
) -> None:
    assert register(anonymous, **fields).status_code == 422
    assert not User.objects.exists()


def test_nobody_registers_as_staff(anonymous: Client) -> None:
    register(anonymous, is_staff=True, is_superuser=True)
    assert not User.objects.filter(is_staff=True).exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_registrations_at_once_with_one_address_one_wins() -> None:
    def attempt(number: int) -> int:
        try:
            return int(register(Client(), name=str(number)).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as pool:
        statuses = sorted(pool.map(attempt, range(5)))
    assert statuses == [201, 422, 422, 422, 422]


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("agnes@example.org", "wrong"),
        ("nobody@example.org", PASSWORD),
        ("agnes\x00@example.org\x00", PASSWORD + "\x00"),
        ("' OR 1=1 --", PASSWORD),
    ],
)
def test_wrong_credentials_are_401_and_tell_nothing(
    anonymous: Client, email: str, password: str
) -> None:
    register(anonymous)
    answer = sign_in(anonymous, email, password)
    assert answer.status_code == 401
    assert answer.json()["detail"] == "The e-mail address or the password is wrong."


def test_a_closed_account_can_neither_sign_in_nor_use_its_tokens(anonymous: Client) -> None:
    register(anonymous)
    pair = sign_in(anonymous).json()
    User.objects.update(is_active=False)
    assert sign_in(anonymous).status_code == 401
    assert me(pair["access"]).status_code == 401
    refreshed = anonymous.post("/auth/refresh", {"refresh": pair["refresh"]})
    assert refreshed.status_code == 401


def claims(user: User, **changes: Any) -> dict[str, Any]:
    now = timezone.now()
    return {
        "iss": tokens.ISSUER,
        "aud": tokens.AUDIENCE,
        "sub": str(user.pk),
        "sid": open_session(user=user).pk,
        "kind": "access",
        "iat": now,
        "nbf": now,
        "exp": now + timedelta(minutes=5),
        "jti": "1",
    } | changes


def test_a_well_made_token_counts() -> None:
    token = jwt.encode(claims(make_user()), tokens._signing_key(), "HS256")
    assert me(token).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": timezone.now() - timedelta(minutes=1)},
        {"nbf": timezone.now() + timedelta(hours=1)},
        {"kind": "refresh"},
        {"kind": None},
        {"iss": "somebody"},
        {"aud": "something"},
        {"sub": "0"},
        {"sub": "me"},
        {"sub": "9" * 30},
    ],
)
def test_tokens_with_other_claims_are_refused(changes: dict[str, Any]) -> None:
    token = jwt.encode(claims(make_user(), **changes), tokens._signing_key(), "HS256")
    assert me(token).status_code == 401


def test_tokens_without_a_claim_are_refused() -> None:
    for missing in ("exp", "iat", "nbf", "sub", "jti", "kind", "iss", "aud"):
        some = claims(make_user())
        del some[missing]
        assert me(jwt.encode(some, tokens._signing_key(), "HS256")).status_code == 401, missing


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_forged_tokens_are_refused() -> None:
    user = make_user()
    good = jwt.encode(claims(user), tokens._signing_key(), "HS256")
    forged = [
        jwt.encode(claims(user), b"another key that is long enough for it", "HS256"),
        jwt.encode(claims(user), tokens._signing_key(), "HS512"),
        jwt.encode(claims(user), None, "none"),
        good[:-3],
        good.rpartition(".")[0] + ".",
        "a.b.c",
        "\xff",
        "x" * 10_000,
    ]
    assert [me(token).status_code for token in forged] == [401] * len(forged)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token x"])
def test_other_authorization_headers_are_401(anonymous: Client, header: str) -> None:
    answer = anonymous.send("GET", "/users/me", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_an_access_token_ends_after_fifteen_minutes(anonymous: Client) -> None:
    register(anonymous)
    start = timezone.now()
    access = sign_in(anonymous).json()["access"]
    with time_machine.travel(start + timedelta(minutes=14), tick=False):
        assert me(access).status_code == 200
    with time_machine.travel(start + timedelta(minutes=16), tick=False):
        assert me(access).status_code == 401


def test_a_refresh_token_is_spent_for_a_new_pair(anonymous: Client) -> None:
    register(anonymous)
    first = sign_in(anonymous).json()
    second = anonymous.post("/auth/refresh", {"refresh": first["refresh"]})
    assert second.status_code == 200
    assert me(second.json()["access"]).status_code == 200
    third = anonymous.post("/auth/refresh", {"refresh": second.json()["refresh"]})
    assert third.status_code == 200


def test_using_a_spent_refresh_token_ends_its_whole_family(anonymous: Client) -> None:
    register(anonymous)
    other_device = sign_in(anonymous).json()
    first = sign_in(anonymous).json()
    second = anonymous.post("/auth/refresh", {"refresh": first["refresh"]}).json()
    assert anonymous.post("/auth/refresh", {"refresh": first["refresh"]}).status_code == 401
    assert anonymous.post("/auth/refresh", {"refresh": second["refresh"]}).status_code == 401
    still = anonymous.post("/auth/refresh", {"refresh": other_device["refresh"]})
    assert still.status_code == 200


def test_an_expired_or_unknown_refresh_token_is_refused(anonymous: Client) -> None:
    register(anonymous)
    pair = sign_in(anonymous).json()
    RefreshToken.objects.update(expires_at=timezone.now())
    assert anonymous.post("/auth/refresh", {"refresh": pair["refresh"]}).status_code == 401
    assert anonymous.post("/auth/refresh", {"refresh": "\x00nonsense"}).status_code == 401
    assert anonymous.post("/auth/refresh", {"refresh": pair["access"]}).status_code in (401, 422)


def test_refresh_tokens_are_not_stored_in_the_clear(anonymous: Client) -> None:
    register(anonymous)
    refresh = sign_in(anonymous).json()["refresh"]
    stored = bytes(RefreshToken.objects.get().token_hash)
    assert refresh.encode() not in stored
    assert stored == tokens.hash_refresh_token(refresh)
