"""A person who guesses passwords is slowed down, and the owner of the account is not locked out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client as DjangoClient
from pytest_django.fixtures import Settings

from cinema.cache import shared
from cinema.throttling import lockout
from cinema.throttling.counters import Rate
from cinema.throttling.lockout import LocalValues, TooManyAttempts
from tests.builders import Client, make_user
from tests.concurrency import at_once
from tests.mails import delivered_to, token_in
from tests.settings import RUN
from users.models import User

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = pytest.mark.django_db

PASSWORD, WRONG = "cleo from 5 to 7", "la pointe courte"
EMAIL = "agnes@example.org"
HOME, CAFE, OUTSIDE = "192.0.2.1", "198.51.100.2", "203.0.113.3"


@pytest.fixture(autouse=True)
def _behind_a_proxy(settings: Settings) -> None:
    """Let tests name the address of the caller, and use a cheap hash for hundreds of attempts."""
    settings.NUM_PROXIES = 1
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(1_795_176_000.0, tick=False) as coordinates:
        yield coordinates


@pytest.fixture
def agnes() -> User:
    return make_user(email=EMAIL, password=PASSWORD)


def sign_in(password: str = WRONG, *, email: str = EMAIL, at: str = OUTSIDE) -> Response:
    return Client().send(
        "POST",
        "/auth/login",
        {"email": email, "password": password},
        headers={"X-Forwarded-For": at},
    )


def fail(times: int, **who: str) -> None:
    assert [sign_in(**who).status_code for _ in range(times)] == [401] * times


def waits(answer: Response) -> int:
    assert answer.status_code == 429, answer.content
    return int(answer["Retry-After"])


@pytest.mark.parametrize("email", [EMAIL, "nobody@example.org"])
@pytest.mark.usefixtures("agnes")
def test_ten_wrong_passwords_slow_an_account_down_whether_or_not_it_is_there(
    clock: time_machine.Traveller, email: str
) -> None:
    for number in range(10):
        fail(1, email=email, at=f"203.0.113.{number}")
    pauses = []
    for number in range(8):
        pauses.append(waits(sign_in(email=email, at=f"198.51.100.{number}")))
        clock.shift(pauses[-1])
        fail(1, email=email, at=f"198.51.100.{number}")
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_answer_is_the_same_for_known_and_unknown_accounts(
    agnes: User, clock: time_machine.Traveller
) -> None:
    bodies = set()
    for email in (EMAIL, "nobody@example.org"):
        for number in range(10):
            fail(1, email=email, at=f"203.0.113.{number}")
        answer = sign_in(email=email, at=CAFE)
        bodies.add((answer.content, answer["Retry-After"]))
        assert answer["Content-Type"] == "application/problem+json"
    assert len(bodies) == 1


@pytest.mark.usefixtures("agnes")
def test_the_right_password_is_not_looked_at_either(clock: time_machine.Traveller) -> None:
    """Or the answers would tell which guess was right."""
    fail(10)
    assert waits(sign_in(PASSWORD)) == 1
    assert waits(sign_in(PASSWORD)) == 1
    clock.shift(1)
    assert sign_in(PASSWORD).status_code == 200


def test_ten_wrong_passwords_slow_an_address_down_whatever_the_account(
    clock: time_machine.Traveller,
) -> None:
    for number in range(10):
        fail(1, email=f"viewer-{number}@example.org")
    assert waits(sign_in(email="another@example.org")) == 1
    fail(1, email="another@example.org", at=CAFE)


def test_successful_sign_ins_do_not_excuse_guesses_of_other_accounts(
    agnes: User, clock: time_machine.Traveller
) -> None:
    for number in range(10):
        fail(1, email=f"viewer-{number}@example.org")
        if number == 4:
            assert sign_in(PASSWORD).status_code == 200
    assert waits(sign_in(email="another@example.org")) == 1


def test_guesses_are_forgotten_after_a_while_without_any(
    agnes: User, clock: time_machine.Traveller
) -> None:
    fail(9)
    clock.shift(899)
    fail(1)
    assert waits(sign_in()) == 1
    clock.shift(901)
    fail(10)
    assert waits(sign_in()) == 1


def test_an_outsider_cannot_lock_a_viewer_out(agnes: User, clock: time_machine.Traveller) -> None:
    assert sign_in(PASSWORD, at=HOME).status_code == 200
    for number in range(30):
        sign_in(at=f"203.0.113.{number}")
        clock.shift(60)
    sign_in(at=OUTSIDE)
    assert waits(sign_in(PASSWORD, at=CAFE)) == 60
    assert sign_in(PASSWORD, at=HOME).status_code == 200


def test_an_outsider_cannot_use_up_a_viewers_limit_of_sign_ins(
    agnes: User, clock: time_machine.Traveller, settings: Settings
) -> None:
    settings.THROTTLE_LOGIN = Rate(3, 60)
    assert sign_in(PASSWORD, at=HOME).status_code == 200
    for number in range(4):
        sign_in(at=f"203.0.113.{number}")
    assert sign_in(PASSWORD, at=CAFE).status_code == 429
    assert [sign_in(PASSWORD, at=HOME).status_code for _ in range(3)] == [200, 200, 429]


def test_a_neighbour_at_the_same_address_cannot_lock_a_viewer_out(
    agnes: User, clock: time_machine.Traveller
) -> None:
    assert sign_in(PASSWORD, at=HOME).status_code == 200
    for number in range(10):
        fail(1, email=f"viewer-{number}@example.org", at=HOME)
    assert waits(sign_in(email="another@example.org", at=HOME)) == 1
    assert sign_in(PASSWORD, at=HOME).status_code == 200


def test_guesses_at_a_known_address_are_slowed_down_too(
    agnes: User, clock: time_machine.Traveller
) -> None:
    assert sign_in(PASSWORD, at=HOME).status_code == 200
    fail(10, at=HOME)
    assert waits(sign_in(PASSWORD, at=HOME)) == 1
    clock.shift(1)
    assert sign_in(PASSWORD, at=HOME).status_code == 200
    fail(10, at=HOME)  # the right one has reset the pair
    assert waits(sign_in(at=HOME)) == 1


def test_a_known_address_is_forgotten_after_a_month(
    agnes: User, clock: time_machine.Traveller
) -> None:
    assert sign_in(PASSWORD, at=HOME).status_code == 200
    server: Any = shared()._cache.get_client()
    [key] = list(server.scan_iter(f"{RUN}:*throttling:known*"))
    assert 29 * 86_400 < server.ttl(key) <= 30 * 86_400
    for found in server.scan_iter(f"{RUN}:*throttling*"):
        shown = found.decode() + repr(server.get(found))
        assert HOME not in shown
        assert EMAIL not in shown


def test_a_link_from_a_mail_makes_the_address_known(
    agnes: User, clock: time_machine.Traveller
) -> None:
    fail(10, at=OUTSIDE)
    lockout.trust_address(account=EMAIL.upper(), address=CAFE)
    assert sign_in(PASSWORD, at=CAFE).status_code == 200


def test_a_viewer_with_a_new_password_by_mail_signs_in_while_others_guess(
    agnes: User, clock: time_machine.Traveller, django_capture_on_commit_callbacks: Any
) -> None:
    fail(10)
    Client().post("/auth/password/forgot", {"email": EMAIL})
    payload = {"token": token_in(delivered_to(EMAIL)), "password": "vagabond in winter"}
    with django_capture_on_commit_callbacks(execute=True):
        answer = Client().send(
            "POST", "/auth/password/reset", payload, headers={"X-Forwarded-For": CAFE}
        )
    assert answer.status_code == 204
    assert waits(sign_in("vagabond in winter", at=HOME)) == 1
    assert sign_in("vagabond in winter", at=CAFE).status_code == 200


def test_spellings_of_an_address_are_one_account(clock: time_machine.Traveller) -> None:
    for number, email in enumerate(["Agnes@example.org", " agnes@EXAMPLE.org", EMAIL] * 4):
        if number < 10:
            fail(1, email=email, at=f"203.0.113.{number}")
    assert waits(sign_in(at=CAFE)) == 1


def test_an_error_during_the_check_is_no_guess(clock: time_machine.Traveller) -> None:
    def away() -> bool:
        raise ConnectionError

    for _ in range(20):
        with pytest.raises(ConnectionError):
            lockout.check_sign_in(away, account=EMAIL, address=HOME)
    fail(10, at=HOME)


@pytest.mark.django_db(transaction=True)
def test_ten_of_a_thousand_simultaneous_guesses_are_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lockout, "FIRST_PAUSE_S", 600)
    monkeypatch.setattr(lockout, "LONGEST_PAUSE_S", 600)
    make_user(email=EMAIL, password=PASSWORD)

    def guess(number: int) -> list[int]:
        return [sign_in(at=f"203.0.113.{number}").status_code for _ in range(4)]

    answered = at_once([partial(guess, number) for number in range(16)])
    found = [status for statuses in answered for status in statuses]
    assert (found.count(401), found.count(429)) == (10, 54)


@pytest.mark.usefixtures("without_cache")
def test_without_a_cache_each_process_slows_down_for_itself(
    agnes: User, clock: time_machine.Traveller
) -> None:
    fail(10)
    assert waits(sign_in(PASSWORD)) == 1
    clock.shift(1)
    assert sign_in(PASSWORD).status_code == 200
    clock.shift(901)
    fail(10)
    assert waits(sign_in()) == 1


def test_many_accounts_take_no_more_memory_than_some() -> None:
    values = LocalValues(capacity=100)
    for number in range(5000):
        writes = {str(number): (b"1", 60)}
        values.compare_and_set(list(writes), lambda _, writes=writes: (writes, None))  # type: ignore[misc]
    assert len(values._values) == 100


def test_an_emptied_cache_begins_again(agnes: User, clock: time_machine.Traveller) -> None:
    fail(10)
    assert sign_in().status_code == 429
    cache.clear()
    fail(1)


# --- who is signed in, and asked for the password again


def test_guesses_with_a_viewers_token_are_slowed_down(
    agnes: User, clock: time_machine.Traveller
) -> None:
    client = Client(agnes)

    def change(current: str) -> Response:
        return client.post("/users/me/password", {"current": current, "new": "a long evening"})

    assert {change(WRONG).status_code for _ in range(10)} == {422}
    assert waits(change(PASSWORD)) == 1
    refused = client.send("DELETE", "/users/me", {"password": PASSWORD})
    assert waits(refused) == 1
    assert sign_in(PASSWORD).status_code == 200
    clock.shift(1)
    assert change(PASSWORD).status_code == 204


def test_outsiders_do_not_keep_a_viewer_from_changing_the_password(
    agnes: User, clock: time_machine.Traveller
) -> None:
    fail(10)
    payload = {"current": PASSWORD, "new": "a long evening"}
    assert Client(agnes).post("/users/me/password", payload).status_code == 204


def test_the_admin_site_is_no_way_around_it(clock: time_machine.Traveller) -> None:
    make_user(email=EMAIL, password=PASSWORD, is_staff=True, is_superuser=True)
    browser = DjangoClient(headers={"X-Forwarded-For": OUTSIDE})

    def enter(password: str) -> Any:
        return browser.post("/admin/login/", {"username": EMAIL, "password": password})

    assert {enter(WRONG).status_code for _ in range(10)} == {200}
    assert "Try again in 1 second" in enter(PASSWORD).content.decode()
    assert waits(sign_in(PASSWORD)) == 1
    clock.shift(1)
    assert enter(PASSWORD).status_code == 302


def test_the_old_password_is_not_to_be_guessed_in_an_open_admin_site(settings: Settings) -> None:
    settings.THROTTLE_LOGIN = Rate(3, 60)
    browser = DjangoClient()
    browser.force_login(make_user(is_staff=True, is_superuser=True))
    guess = {"old_password": WRONG, "new_password1": PASSWORD, "new_password2": PASSWORD}
    tried = [browser.post("/admin/password_change/", guess).status_code for _ in range(4)]
    assert tried == [200, 200, 200, 429]
    assert browser.get("/admin/password_change/").status_code == 200


def test_a_refusal_says_when_to_come_back() -> None:
    assert TooManyAttempts(1.2).detail == "Too many wrong passwords. Try again in 2 seconds."
