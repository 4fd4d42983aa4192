"""Opening an account: one for each address, in whatever spelling, and a mail to verify it."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.test import Client as Browser
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from tests.admin_pages import fill_in, page
from tests.builders import Client, make_user
from tests.concurrency import at_once
from tests.mails import delivered, delivered_to, token_in
from users.addresses import email_key, mailbox, normal_email
from users.models import MailedToken, User

pytestmark = pytest.mark.django_db

PASSWORD = "cleo from 5 to 7"
ADDRESS = "agnes@example.org"

#: Each list is one address.
SPELLINGS = [
    ["agnes@example.org", "AGNES@Example.ORG", " agnes@example.org\t", "agnes@ｅｘａｍｐｌｅ.org"],
    ["a@bücher.example", "a@xn--bcher-kva.example", "A@BÜCHER.example", "a@bu\u0308cher.example"],
    ["a@faß.example", "a@xn--fa-hia.example"],
]


def register(client: Client, email: str = ADDRESS, **fields: Any) -> Any:
    return client.post("/auth/register", {"email": email, "password": PASSWORD, **fields})


def sign_in(client: Client, email: str = ADDRESS) -> Any:
    return client.post("/auth/login", {"email": email, "password": PASSWORD})


def is_verified(client: Client) -> bool:
    return bool(client.get("/users/me").json()["email_verified"])


@pytest.mark.parametrize("spellings", SPELLINGS, ids=lambda spellings: spellings[0])
def test_all_spellings_are_one_account(anonymous: Client, spellings: list[str]) -> None:
    first, *others = spellings
    registered = register(anonymous, others[-1])
    assert (registered.status_code, registered.json()["email"]) == (201, first)
    for spelling in spellings:
        taken = register(anonymous, spelling)
        assert taken.status_code == 422, spelling
        assert taken.json()["errors"][0]["field"] == "body.email"
        assert sign_in(anonymous, spelling).status_code == 200, spelling
        assert User.objects.get_by_natural_key(spelling).email == first


def test_the_normal_form_stays_as_it_is() -> None:
    for first, *_ in SPELLINGS:
        assert normal_email(first) == email_key(first) == first


@given(st.text(max_size=80), st.text(max_size=80))
@example("a", "XN--BCHER-KVA.example")
def test_every_address_has_one_normal_form_or_none(local: str, domain: str) -> None:
    for typed in (f"{local}@{domain}", f"a@{domain}.example"):
        assert email_key(email_key(typed)) == email_key(typed)
        try:
            normal = normal_email(typed)
        except ValueError:
            continue
        assert normal_email(normal) == email_key(typed) == normal
        assert mailbox(normal).isascii()


def test_addresses_that_only_look_alike_are_two_accounts(anonymous: Client) -> None:
    """Older rules for domains took ß for ss, but these are two domains."""
    assert register(anonymous, "a@faß.example").status_code == 201
    assert register(anonymous, "a@fass.example").status_code == 201
    assert mailbox("a@faß.example") == "a@xn--fa-hia.example"


@pytest.mark.parametrize(
    "email",
    [
        "agnès@example.org",
        "ag\u0131nes@example.org",
        "agnes@example.org, cleo@example.org",
        "Agnès <agnes@example.org>",
        "agnes@example.org\nBcc: cleo@example.org",
        "agnes@localhost",
        "agnes@[127.0.0.1]",
        '"agnes varda"@example.org',
        "agnes@example..org",
        "agnes@" + "x" * 300 + ".org",
        "\ufdfa" * 250 + "@example.org",
        "@",
        "",
        7,
        None,
    ],
)
def test_an_undeliverable_address_is_refused(anonymous: Client, email: Any) -> None:
    refused = register(anonymous, email)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "body.email"
    assert not User.objects.exists()


@pytest.mark.parametrize("nonsense", ["@", "agnès@example.org", "\ufdfa" * 200, "a" * 254])
def test_signing_in_with_nonsense_finds_nobody(anonymous: Client, nonsense: str) -> None:
    assert sign_in(anonymous, nonsense).status_code == 401


def test_an_account_with_an_older_spelling_of_an_address_can_sign_in(anonymous: Client) -> None:
    make_user(email="agnès@bücher.example", password=PASSWORD)
    assert sign_in(anonymous, "AGNE\u0300S@xn--bcher-kva.example").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_one_of_many_simultaneous_registrations_in_all_spellings_succeeds() -> None:
    spellings = SPELLINGS[1]
    answers = at_once([partial(register, Client(), spelling) for spelling in spellings])
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
    assert User.objects.get().email == spellings[0]
    assert len(delivered()) == 1


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("too short", "too short"),
        ("password1234", "too common"),
        ("12345678901", "numeric"),
        ("agnes@example", "too similar"),
        ("agnes.varda", "too similar"),
    ],
)
def test_weak_passwords_are_refused_with_the_reason(
    anonymous: Client, password: str, why: str
) -> None:
    refused = register(anonymous, password=password, name="Agnes Varda")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "body.password"
    assert why in refused.json()["detail"]
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "password",
    [
        "x y" * 80,
        "пароль от кино",
        "🎬🎞🍿🎥🎦🎫🎟📽📺🎭",
        "  spaces at both ends  ",
        "e\u0301toile du nord",
    ],
)
def test_long_passwords_of_any_characters_count_exactly_as_typed(
    anonymous: Client, password: str
) -> None:
    assert register(anonymous, password=password).status_code == 201
    for typed, status in (
        (password, 200),
        (password.strip()[:-1], 401),
        (password.upper() + "x", 401),
    ):
        answer = anonymous.post("/auth/login", {"email": ADDRESS, "password": typed})
        assert answer.status_code == status, typed


def test_the_cinemas_own_name_is_no_password(anonymous: Client, settings: Any) -> None:
    settings.CINEMA_NAME, settings.PUBLIC_URL = "Cinéma du Panthéon", "https://pantheon.example"
    for password in ("Cinéma du Panthéon!", "pantheon-2026", "PANTHEON 12345"):
        refused = register(anonymous, password=password)
        assert "the name of this cinema" in refused.json()["detail"], password
    assert register(anonymous, password="pantheon at midnight").status_code == 201


def test_fields_that_are_not_asked_for_are_refused(anonymous: Client) -> None:
    for field in ("is_staff", "is_superuser", "is_active", "email_verified", "id"):
        payload = {"email": ADDRESS, "password": PASSWORD, field: True}
        assert anonymous.post("/auth/register", payload).status_code == 422
    assert not User.objects.exists()


def test_a_closed_registration_is_403_with_a_sentence(anonymous: Client, settings: Any) -> None:
    settings.REGISTRATION_OPEN = False
    refused = register(anonymous)
    assert refused.status_code == 403
    assert refused.json()["detail"] == "This cinema does not open accounts at the moment."
    assert not User.objects.exists()


def test_registering_takes_the_same_queries_whoever_comes(
    anonymous: Client, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(6):  # two of them for each of two nested transactions
        register(anonymous)


# --- verification


def test_the_address_is_verified_by_the_mailed_link(anonymous: Client, settings: Any) -> None:
    settings.VERIFY_EMAIL_URL = "https://films.example/verify"
    register(anonymous)
    user = User.objects.get()
    assert not is_verified(Client(user))
    message = delivered_to(ADDRESS)
    assert f"https://films.example/verify#token={token_in(message)}" in message.body
    verified = anonymous.post("/auth/email/verify", {"token": token_in(message)})
    assert (verified.status_code, verified.content) == (204, b"")
    assert is_verified(Client(user))


def test_a_link_works_once_and_for_three_days(anonymous: Client) -> None:
    register(anonymous)
    token = token_in(delivered_to(ADDRESS))
    with time_machine.travel(timezone.now() + timedelta(days=3, minutes=1)):
        assert_refused(anonymous.post("/auth/email/verify", {"token": token}))
    assert anonymous.post("/auth/email/verify", {"token": token}).status_code == 204
    assert_refused(anonymous.post("/auth/email/verify", {"token": token}))


@pytest.mark.parametrize("token", ["x", "\x00", "é" * 200, "-" * 43])
def test_a_token_that_nobody_was_sent_is_refused(anonymous: Client, token: str) -> None:
    register(anonymous)
    delivered()
    assert_refused(anonymous.post("/auth/email/verify", {"token": token}))


@pytest.mark.parametrize("token", ["", "x" * 201, None, 7])
def test_a_token_of_another_form_is_refused(anonymous: Client, token: Any) -> None:
    assert_refused(anonymous.post("/auth/email/verify", {"token": token}))


def test_a_new_link_replaces_the_one_before(anonymous: Client) -> None:
    register(anonymous)
    viewer = Client(User.objects.get())
    first = token_in(delivered_to(ADDRESS))
    assert viewer.post("/auth/email/verification").status_code == 202
    second = token_in(delivered_to(ADDRESS))
    assert_refused(anonymous.post("/auth/email/verify", {"token": first}))
    assert anonymous.post("/auth/email/verify", {"token": second}).status_code == 204
    assert viewer.post("/auth/email/verification").status_code == 202
    assert delivered() == []


def test_a_link_serves_only_its_own_purpose(
    anonymous: Client,
) -> None:
    register(anonymous)
    to_verify = token_in(delivered_to(ADDRESS))
    anonymous.post("/auth/password/forgot", {"email": ADDRESS})
    to_reset = token_in(delivered_to(ADDRESS))
    assert_refused(anonymous.post("/auth/email/verify", {"token": to_reset}))
    swapped = {"token": to_verify, "password": "vagabond in winter"}
    assert_refused(anonymous.post("/auth/password/reset", swapped))


def test_tokens_are_random_and_stored_hashed(anonymous: Client) -> None:
    register(anonymous)
    token = token_in(delivered_to(ADDRESS))
    assert len(token) == 43  # 256 bits
    stored = MailedToken.objects.get()
    assert len(stored.token_hash) == 32
    assert token.encode() not in bytes(stored.token_hash)


def assert_refused(answer: Any) -> None:
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["body.token"]


# --- in the admin site


def test_the_admin_site_keeps_one_spelling_too(admin_client: Browser) -> None:
    password = dict.fromkeys(["password1", "password2"], PASSWORD)
    values = {"email": "A@xn--bcher-kva.example", "usable_password": "true", **password}
    assert fill_in(admin_client, page(User, "add"), **values) == ""
    user = User.objects.get(email="a@bücher.example")
    assert "already exists" in fill_in(admin_client, page(User, "add"), **values)
    values["email"] = "agnes@localhost"
    assert "not an e-mail address" in fill_in(admin_client, page(User, "add"), **values)
    User.objects.filter(pk=user.pk).update(email_verified_at=timezone.now())
    path = page(User, "change", user.pk)
    assert fill_in(admin_client, path, email="A@FASS.example") == ""
    user.refresh_from_db()
    assert (user.email, user.email_verified_at) == ("a@fass.example", None)
