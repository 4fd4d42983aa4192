"""A viewer changes the name, the address and the password of the account."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from tests.builders import Client, access_token, make_user
from tests.concurrency import at_once
from tests.mails import delivered, delivered_to, token_in
from users.models import Session, User

pytestmark = pytest.mark.django_db

OLD, NEW = "cleo from 5 to 7", "vagabond in winter"
ADDRESS, OTHER = "agnes@example.org", "varda@example.org"


@pytest.fixture
def agnes(db: None) -> Client:
    return Client(
        make_user(email=ADDRESS, password=OLD, name="Agnès", email_verified_at=timezone.now())
    )


def change_password(client: Client, current: str = OLD, new: str = NEW) -> Any:
    return client.post("/users/me/password", {"current": current, "new": new})


def sign_in(password: str, email: str = ADDRESS) -> int:
    answer = Client().post("/auth/login", {"email": email, "password": password})
    return int(answer.status_code)


def refused_field(answer: Any) -> str:
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    return str(error["field"])


def test_the_record_is_what_the_contract_says(agnes: Client) -> None:
    user = agnes.user
    assert agnes.get("/users/me").json() == {
        "id": user.pk,
        "email": ADDRESS,
        "name": "Agnès",
        "is_staff": False,
        "date_joined": user.date_joined.isoformat(),
        "email_verified": True,
    }


def test_a_name_is_changed_and_cleaned(agnes: Client) -> None:
    changed = agnes.patch("/users/me", {"name": "  Agnès\nV. "})
    assert (changed.status_code, changed.json()["name"]) == (200, "Agnès V.")
    assert agnes.patch("/users/me", {}).json()["name"] == "Agnès V."
    assert agnes.patch("/users/me", {"name": ""}).json()["name"] == ""
    assert agnes.get("/users/me").json()["email_verified"]
    assert delivered() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"name": None},
        {"name": "x" * 101},
        {"name": 7},
        {"email": None},
        {"email": "nonsense"},
        {"is_staff": True},
        {"email_verified": True},
        {"id": 1},
        {"date_joined": "2020-01-01T00:00:00Z"},
    ],
)
def test_an_unchangeable_field_is_422(agnes: Client, fields: dict[str, Any]) -> None:
    before = agnes.get("/users/me").json()
    assert refused_field(agnes.patch("/users/me", fields)) == f"body.{next(iter(fields))}"
    assert agnes.get("/users/me").json() == before


def test_a_new_address_is_unverified_and_both_are_told(agnes: Client) -> None:
    changed = agnes.patch("/users/me", {"email": "VARDA@example.org", "password": OLD})
    assert changed.status_code == 200
    assert (changed.json()["email"], changed.json()["email_verified"]) == (OTHER, False)
    to_old, to_new = delivered()
    assert (to_old.to, to_new.to) == ([ADDRESS], [OTHER])
    assert OTHER not in f"{to_old.subject} {to_old.body}"
    verify = {"token": token_in(to_new)}
    assert Client().post("/auth/email/verify", verify).status_code == 204
    assert agnes.get("/users/me").json()["email_verified"]
    assert (sign_in(OLD, OTHER), sign_in(OLD)) == (200, 401)


@pytest.mark.parametrize("password", [{}, {"password": "wrong"}, {"password": NEW}])
def test_a_new_address_needs_the_password(agnes: Client, password: dict[str, str]) -> None:
    answer = agnes.patch("/users/me", {"email": OTHER, "name": "Cléo", **password})
    assert refused_field(answer) == "body.password"
    assert (agnes.user.email, agnes.user.name) == (ADDRESS, "Agnès")
    assert delivered() == []


def test_the_same_address_is_no_change(agnes: Client) -> None:
    same = agnes.patch("/users/me", {"email": "AGNES@example.org"})
    assert (same.status_code, same.json()["email_verified"]) == (200, True)
    assert delivered() == []


def test_a_taken_address_is_refused(agnes: Client) -> None:
    make_user(email=OTHER)
    taken = agnes.patch("/users/me", {"email": OTHER, "password": OLD, "name": "Cléo"})
    assert refused_field(taken) == "body.email"
    assert (agnes.user.email, agnes.user.name) == (ADDRESS, "Agnès")


@pytest.mark.django_db(transaction=True)
def test_one_of_many_simultaneous_changes_to_one_address_succeeds() -> None:
    clients = [Client(make_user(password=OLD)) for _ in range(3)]
    taking = {"email": OTHER, "password": OLD}
    answers = at_once([partial(client.patch, "/users/me", taking) for client in clients])
    assert sorted(answer.status_code for answer in answers) == [200, 422, 422]


def test_a_link_to_the_old_address_counts_no_more(agnes: Client) -> None:
    Client().post("/auth/password/forgot", {"email": ADDRESS})
    token = token_in(delivered_to(ADDRESS))
    agnes.patch("/users/me", {"email": OTHER, "password": OLD})
    used = Client().post("/auth/password/reset", {"token": token, "password": NEW})
    assert refused_field(used) == "body.token"


def test_an_address_that_is_changed_past_the_service_is_unverified_too(agnes: Client) -> None:
    User.objects.update(email=OTHER)
    assert agnes.user.email_verified_at is None


def test_a_change_of_the_profile_has_a_fixed_number_of_queries(
    agnes: Client, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(6):  # the session, the lock, the row, two of the transaction
        agnes.patch("/users/me", {"name": "Cléo"})


# --- the password


def test_a_new_password_ends_every_other_session_and_this_one_stays(agnes: Client) -> None:
    other = Client(agnes.user)
    changed = change_password(agnes)
    assert (changed.status_code, changed.content) == (204, b"")
    assert agnes.get("/users/me").status_code == 200
    assert other.get("/users/me").status_code == 401
    assert Session.objects.filter(revoked_at=None).count() == 1
    assert (sign_in(NEW), sign_in(OLD)) == (200, 401)
    assert "password was changed" in delivered_to(ADDRESS).subject


def test_the_next_password_ends_the_session_that_stayed_before(agnes: Client) -> None:
    """In one transaction, too: what the first change has said of sessions is forgotten."""
    change_password(agnes)
    user = agnes.user
    user.set_password("another password")
    user.save()
    assert agnes.get("/users/me").status_code == 401


def test_a_new_password_ends_the_mailed_links(agnes: Client) -> None:
    Client().post("/auth/password/forgot", {"email": ADDRESS})
    token = token_in(delivered_to(ADDRESS))
    change_password(agnes)
    used = Client().post("/auth/password/reset", {"token": token, "password": "another password"})
    assert refused_field(used) == "body.token"


def test_the_current_password_must_be_right_and_the_new_one_good(agnes: Client) -> None:
    assert refused_field(change_password(agnes, current="wrong")) == "body.current"
    for weak in ("short", "password1234", ADDRESS):
        assert refused_field(change_password(agnes, new=weak)) == "body.new"
    assert sign_in(OLD) == 200
    assert delivered() == []


def test_an_account_without_a_password_cannot_change_it(viewer: Client) -> None:
    assert refused_field(change_password(viewer, current="!")) == "body.current"


def test_the_old_password_that_is_only_hashed_anew_ends_nothing(
    agnes: Client, settings: Any
) -> None:
    settings.PASSWORD_HASHERS = settings.PASSWORD_HASHERS[::-1]
    assert agnes.patch("/users/me", {"email": OTHER, "password": OLD}).status_code == 200
    assert agnes.get("/users/me").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_one_of_two_simultaneous_password_changes_succeeds() -> None:
    user = make_user(email=ADDRESS, password=OLD)
    clients = [Client(user) for _ in range(2)]
    new = ["vagabond in winter", "vagabond in summer"]
    answers = at_once(
        [
            partial(change_password, client, OLD, each)
            for client, each in zip(clients, new, strict=True)
        ]
    )
    statuses = [answer.status_code for answer in answers]
    # The loser's session may have ended before its own check of the token.
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 401, 422}
    winner = statuses.index(204)
    assert clients[winner].get("/users/me").status_code == 200
    assert sign_in(new[winner]) == 200


def test_without_a_token_nothing_is_changed(anonymous: Client) -> None:
    assert anonymous.patch("/users/me", {"name": "Cléo"}).status_code == 401
    assert change_password(anonymous).status_code == 401
    assert anonymous.post("/auth/email/verification").status_code == 401


def test_a_token_of_a_closed_account_changes_nothing() -> None:
    user = make_user(password=OLD)
    client = Client(user)
    User.objects.update(is_active=False)
    assert client.headers["Authorization"] != access_token(user)
    assert change_password(client).status_code == 401
