"""A forgotten password: who asks learns nothing, who reads the mail gets in, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.builders import Client, make_user
from tests.concurrency import at_once
from tests.mails import delivered, delivered_to, token_in
from users.models import MailedToken, MailRequest, Session, User
from users.tasks import prune_mailed_tokens

pytestmark = pytest.mark.django_db

ADDRESS = "agnes@example.org"
OLD, NEW = "cleo from 5 to 7", "vagabond in winter"


@pytest.fixture
def agnes(db: None) -> User:
    return make_user(email=ADDRESS, password=OLD)


def forgot(client: Client, email: str = ADDRESS) -> Any:
    return client.post("/auth/password/forgot", {"email": email})


def reset(client: Client, token: str, password: str = NEW) -> Any:
    return client.post("/auth/password/reset", {"token": token, "password": password})


def sign_in(client: Client, password: str = NEW, email: str = ADDRESS) -> Any:
    return client.post("/auth/login", {"email": email, "password": password})


def mailed_token(client: Client) -> str:
    assert forgot(client).status_code == 202
    return token_in(delivered_to(ADDRESS))


def refused_field(answer: Any) -> str:
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    return str(error["field"])


def test_a_viewer_chooses_a_new_password_by_the_mailed_link(
    anonymous: Client, agnes: User, settings: Any
) -> None:
    settings.RESET_PASSWORD_URL = "https://films.example/reset"
    forgot(anonymous)
    message = delivered_to(ADDRESS)
    assert f"https://films.example/reset#token={token_in(message)}" in message.body
    done = reset(anonymous, token_in(message))
    assert (done.status_code, done.content) == (204, b"")
    assert sign_in(anonymous, NEW).status_code == 200
    assert sign_in(anonymous, OLD).status_code == 401
    agnes.refresh_from_db()
    assert agnes.email_verified_at
    assert "password was changed" in delivered_to(ADDRESS).subject


def test_all_sessions_end(anonymous: Client, agnes: User) -> None:
    devices = [sign_in(anonymous, OLD).json() for _ in range(2)]
    reset(anonymous, mailed_token(anonymous))
    for tokens in devices:
        headers = {"Authorization": f"Bearer {tokens['access']}"}
        assert anonymous.send("GET", "/users/me", headers=headers).status_code == 401
        refreshed = anonymous.post("/auth/refresh", {"refresh": tokens["refresh"]})
        assert refreshed.status_code == 401
    assert not Session.objects.filter(revoked_at=None).exists()


def test_a_link_works_once(anonymous: Client, agnes: User) -> None:
    token = mailed_token(anonymous)
    assert reset(anonymous, token).status_code == 204
    assert refused_field(reset(anonymous, token, "another password")) == "body.token"
    assert sign_in(anonymous, NEW).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_one_of_many_simultaneous_uses_of_a_link_counts() -> None:
    make_user(email=ADDRESS, password=OLD)
    token = mailed_token(Client())
    passwords = [f"vagabond in winter {number}" for number in range(4)]
    answers = at_once([partial(reset, Client(), token, password) for password in passwords])
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [204, 422, 422, 422]
    assert sign_in(Client(), passwords[statuses.index(204)]).status_code == 200


def test_a_link_works_for_an_hour(anonymous: Client, agnes: User) -> None:
    token = mailed_token(anonymous)
    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        assert refused_field(reset(anonymous, token)) == "body.token"
        prune_mailed_tokens()
    assert not MailedToken.objects.exists()
    assert sign_in(anonymous, OLD).status_code == 200


def test_a_new_link_replaces_the_one_before(anonymous: Client, agnes: User) -> None:
    first, second = mailed_token(anonymous), mailed_token(anonymous)
    assert refused_field(reset(anonymous, first)) == "body.token"
    assert reset(anonymous, second).status_code == 204


def test_a_weak_password_is_refused_and_the_link_still_works(
    anonymous: Client, agnes: User
) -> None:
    token = mailed_token(anonymous)
    for weak in ("short", "password1234", "agnes@example.org"):
        assert refused_field(reset(anonymous, token, weak)) == "body.password"
    assert reset(anonymous, token).status_code == 204


def test_a_link_is_for_the_address_that_it_was_sent_to(anonymous: Client, agnes: User) -> None:
    token = mailed_token(anonymous)
    User.objects.update(email="cleo@example.org")
    assert refused_field(reset(anonymous, token)) == "body.token"


def test_a_link_is_for_the_account_that_asked(anonymous: Client, agnes: User) -> None:
    other = make_user(email="cleo@example.org", password=OLD)
    reset(anonymous, mailed_token(anonymous))
    assert sign_in(anonymous, OLD, other.email).status_code == 200


def test_a_closed_account_gets_no_link_and_cannot_use_an_older_one(
    anonymous: Client, agnes: User
) -> None:
    token = mailed_token(anonymous)
    User.objects.update(is_active=False)
    assert refused_field(reset(anonymous, token)) == "body.token"
    forgot(anonymous)
    assert delivered() == []


def test_any_new_password_ends_the_links(anonymous: Client, agnes: User) -> None:
    """Staff write it."""
    token = mailed_token(anonymous)
    agnes.set_password(NEW)
    agnes.save()
    assert refused_field(reset(anonymous, token, "another password")) == "body.token"


def test_a_rehash_at_sign_in_keeps_the_link(anonymous: Client, agnes: User, settings: Any) -> None:
    token = mailed_token(anonymous)
    settings.PASSWORD_HASHERS = settings.PASSWORD_HASHERS[::-1]
    assert sign_in(anonymous, OLD).status_code == 200
    agnes.refresh_from_db()
    assert agnes.password.startswith("pbkdf2")
    assert reset(anonymous, token).status_code == 204


def test_an_account_without_a_password_gets_one_by_mail(anonymous: Client) -> None:
    make_user(email=ADDRESS)
    assert reset(anonymous, mailed_token(anonymous)).status_code == 204
    assert sign_in(anonymous, NEW).status_code == 200


@pytest.mark.parametrize("token", ["x", "\x00", "é" * 200, "-" * 43])
def test_a_token_that_nobody_was_sent_is_refused(
    anonymous: Client, agnes: User, token: str
) -> None:
    mailed_token(anonymous)
    assert refused_field(reset(anonymous, token)) == "body.token"


# --- who asks learns nothing


def test_forgetting_does_the_same_for_every_address(anonymous: Client, agnes: User) -> None:
    """The same answer and the same queries; nothing is looked up before the worker's turn."""
    make_user(email="closed@example.org", password=OLD, is_active=False)
    asked = {}
    for email in (ADDRESS, "nobody@example.org", "closed@example.org"):
        with CaptureQueriesContext(connection) as queries:
            answer = forgot(anonymous, email)
        statements = [query["sql"].partition(" VALUES")[0] for query in queries]
        [insert] = [each for each in statements if "SAVEPOINT" not in each]
        assert not any("users_user" in query["sql"] for query in queries)
        asked[email] = (answer.status_code, answer.content, insert)
    first, *others = asked.values()
    assert first[0] == 202
    assert others == [first, first]
    assert [message.to for message in delivered()] == [[ADDRESS]]
    assert not MailRequest.objects.exists()


def test_forgetting_an_address_in_another_spelling_finds_the_account(
    anonymous: Client, agnes: User
) -> None:
    assert forgot(anonymous, " AGNES@Example.org").status_code == 202
    assert [message.to for message in delivered()] == [[ADDRESS]]


@pytest.mark.parametrize("email", ["nonsense", "a@b.org\nBcc: c@d.org", "", None])
def test_an_invalid_address_is_422(anonymous: Client, email: Any) -> None:
    assert refused_field(forgot(anonymous, email)) == "body.email"


@contextmanager
def counted_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Each run of Argon2 is what a sign-in's time consists of."""
    runs: list[str] = []
    for name in ("encode", "verify"):
        original = getattr(Argon2PasswordHasher, name)

        def count(self: Any, *args: Any, name: str = name, original: Any = original) -> Any:
            runs.append(name)
            return original(self, *args)

        monkeypatch.setattr(Argon2PasswordHasher, name, count)
    yield runs
    monkeypatch.undo()


def test_every_refused_sign_in_is_the_same_answer_and_one_hash(
    anonymous: Client, agnes: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_user(email="closed@example.org", password=OLD, is_active=False)
    make_user(email="unusable@example.org")
    attempts = [
        (ADDRESS, "wrong"),
        ("nobody@example.org", OLD),
        ("closed@example.org", OLD),
        ("closed@example.org", "wrong"),
        ("unusable@example.org", OLD),
        ("no address at all", OLD),
    ]
    answers = set()
    for email, password in attempts:
        with counted_hashes(monkeypatch) as runs:
            answer = sign_in(anonymous, password, email)
        assert len(runs) == 1, email
        answers.add((answer.status_code, answer.content))
    assert len(answers) == 1
    assert answers.pop()[0] == 401


def test_a_taken_address_costs_a_hash_as_a_free_one_does(
    anonymous: Client, agnes: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for email in (ADDRESS, "nobody@example.org"):
        with counted_hashes(monkeypatch) as runs:
            anonymous.post("/auth/register", {"email": email, "password": NEW})
        assert runs == ["encode"]


def test_no_mail_is_sent_by_the_request_itself(anonymous: Client, agnes: User) -> None:
    forgot(anonymous)
    assert mail.outbox == []
