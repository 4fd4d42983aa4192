"""Registration, sign-in, tokens, and the viewer's own record."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from tests.builders import Client
from users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.every_python]

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
        "email_verified": False,
    }
    pair = sign_in(anonymous).json()
    assert pair["token_type"] == "Bearer"
    assert pair["expires_in"] == settings.ACCESS_TOKEN_LIFETIME_S == 900
    assert me(pair["access"]).json()["email"] == "agnes@example.org"


@pytest.mark.usefixtures("product_hasher")
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
def test_one_of_many_simultaneous_registrations_of_an_address_succeeds() -> None:
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
