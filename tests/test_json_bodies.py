"""A JSON body is read once: limits count the account that the operation signs in."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from pytest_django.fixtures import Settings

from cinema.throttling.counters import Rate
from tests.api_document import document
from tests.builders import Client, make_user

pytestmark = pytest.mark.django_db

PASSWORD = "cleo from 5 to 7"
OTHER_TYPES = [
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/jsonp",
    "text/json",
    "application/xml",
    "application/json; charset=utf-16",
    "application/json; charset=latin-1",
    "multipart/form-data; boundary=x",
    "application/merge-patch+json",
]


def sign_in(email: str, content_type: str = "application/json", address: str = "192.0.2.1") -> int:
    body = {"email": email, "password": PASSWORD}
    return (
        Client()
        .send(
            "POST",
            "/auth/login",
            body,
            content_type=content_type,
            headers={"X-Forwarded-For": address},
        )
        .status_code
    )


@pytest.mark.parametrize("content_type", OTHER_TYPES)
def test_another_content_type_signs_nobody_in(content_type: str) -> None:
    make_user(email="agnes@example.org", password=PASSWORD)
    assert sign_in("agnes@example.org", content_type) == 415


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json; charset=UTF-8",
     'application/json;charset="utf-8"', "application/json; x=y"],
)  # fmt: skip
def test_json_is_read_however_its_type_is_spelled(content_type: str) -> None:
    make_user(email="agnes@example.org", password=PASSWORD)
    assert sign_in("agnes@example.org", content_type) == 200


def test_every_operation_with_a_json_body_refuses_other_types(staff: Client) -> None:
    asked = 0
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            if "application/json" not in operation.get("requestBody", {}).get("content", {}):
                continue
            address = path.replace("{list_id}", str(uuid4()))
            address = re.sub(r"{\w+}", "1", address)
            answer = staff.send(method.upper(), address, b"name=x", content_type="text/plain")
            assert answer.status_code == 415, (method, path, answer.content)
            assert "415" in map(str, operation["responses"])
            asked += 1
    assert asked > 30


def test_a_patch_may_say_that_it_is_one(viewer: Client) -> None:
    merge_patch = "application/merge-patch+json"
    answer = viewer.send("PATCH", "/users/me", {"name": "A"}, content_type=merge_patch)
    assert (answer.status_code, answer.json()["name"]) == (200, "A")


@pytest.mark.parametrize("content_type", OTHER_TYPES)
def test_graphql_is_json_too(anonymous: Client, content_type: str) -> None:
    query = {"query": "{ __typename }"}
    answer = anonymous.send("POST", "/graphql", query, content_type=content_type)
    assert answer.status_code == 415


SPELLINGS = ["agnes@example.org", "AGNES@example.org", "agnes@EXAMPLE.org",
             "  agnes@example.org\t",
             "a\x01gnes@example.org", "agnes@example.org\x7f",
             "\ufeffagnes@example.org", "Agnes@Example.Org\n"]  # fmt: skip
IDN = ["agnes@müller.example", "agnes@xn--mller-kva.example", "AGNES@MÜLLER.example",
       "agnes@mu\u0308ller.example"]  # fmt: skip


@pytest.mark.parametrize("spellings", [SPELLINGS, IDN], ids=["ascii", "idn"])
def test_all_spellings_that_sign_in_to_an_account_count_as_one(
    settings: Settings, spellings: list[str]
) -> None:
    make_user(email=spellings[0], password=PASSWORD)
    settings.NUM_PROXIES = 1
    answered = [sign_in(spelling) for spelling in spellings]
    finding = [s for s, status in zip(spellings, answered, strict=True) if status == 200]
    assert len(finding) >= 4
    settings.THROTTLE_LOGIN = Rate(len(finding), 3600)
    again = [sign_in(s, address=f"198.51.100.{n}") for n, s in enumerate(finding)]
    assert set(again) == {200}
    assert sign_in(finding[0], address="203.0.113.1") == 429  # the viewer was never there


@pytest.mark.parametrize(
    "body",
    [
        b'{"email": "a@example.org", "email": "b@example.org", "password": "x"}',
        b'{"\\u0065mail": "a@example.org", "email": "b@example.org", "password": "x"}',
    ],
)
def test_a_name_that_is_given_twice_is_refused(anonymous: Client, body: bytes) -> None:
    answer = anonymous.send("POST", "/auth/login", body)
    assert answer.status_code == 422
    assert "twice" in answer.content.decode()
