"""Codes of an authenticator app, for the admin and for the API's sign-in."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import pyotp
import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.test import Client as Browser

from cinema.audit.models import AuditEntry
from cinema.throttling import lockout
from tests.admin_pages import choose
from tests.builders import Client, make_user
from tests.concurrency import at_once
from tests.throttling import NOON
from users import second_factor, sessions
from users.models import RecoveryCode, SecondFactor, Session, User

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = pytest.mark.django_db

PAGE = "/admin/second-factor/"
EMAIL, PASSWORD = "boss@example.org", "projector room"
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOON, tick=False) as coordinates:
        yield coordinates


@pytest.fixture
def boss(clock: time_machine.Traveller) -> User:
    return make_user(email=EMAIL, password=PASSWORD, is_staff=True, is_superuser=True)


def enrol(user: User) -> tuple[pyotp.TOTP, list[str]]:
    """A second factor that was set up an hour ago: none of today's codes is used."""
    secret = second_factor.new_secret()
    totp = pyotp.TOTP(secret)
    codes = second_factor.set_up(user=user, secret=secret, code=totp.now())
    assert codes
    SecondFactor.objects.filter(user=user).update(last_step=0)
    return totp, codes


def sign_in(**given: str) -> Response:
    return Client().post("/auth/login", {"email": EMAIL, "password": PASSWORD, **given})


def sign_in_to_admin(**given: str) -> Response:
    browser = Browser()
    values = {"username": EMAIL, "password": PASSWORD, **given}
    return browser.post("/admin/login/?next=/admin/", values)


# --- the sign-in


def test_without_a_second_factor_the_password_signs_in(boss: User) -> None:
    assert sign_in().status_code == 200
    assert sign_in(otp="123456").status_code == 200
    assert sign_in_to_admin().status_code == 302


def test_a_sign_in_without_the_code_says_that_one_is_needed(boss: User) -> None:
    totp, _ = enrol(boss)
    needed = sign_in()
    assert (needed.status_code, needed.json()["second_factor"]) == (401, "needed")
    wrong = sign_in(otp="000000" if totp.now() != "000000" else "000001")
    assert (wrong.status_code, wrong.json()["second_factor"]) == (401, "wrong")
    assert sign_in(otp=totp.now()).status_code == 200


def test_the_admin_asks_for_the_code_too(boss: User) -> None:
    totp, _ = enrol(boss)
    needed = sign_in_to_admin()
    assert needed.status_code == 200
    assert "authenticator app" in needed.content.decode()
    assert "is wrong" in sign_in_to_admin(otp="12").content.decode()
    assert sign_in_to_admin(otp=totp.now()).status_code == 302


def test_a_wrong_password_tells_nothing_of_a_second_factor(boss: User) -> None:
    totp, _ = enrol(boss)
    refused = sign_in(password="guessed", otp=totp.now())
    assert refused.status_code == 401
    assert "second_factor" not in refused.json()
    assert sign_in(otp=totp.now()).status_code == 200  # the code was not spent by it


def test_a_code_counts_once_wherever_it_is_used(boss: User) -> None:
    totp, _ = enrol(boss)
    code = totp.now()
    assert sign_in(otp=code).status_code == 200
    assert sign_in(otp=code).status_code == 401
    assert sign_in_to_admin(otp=code).status_code == 200


def test_clocks_may_differ_by_one_period(boss: User, clock: time_machine.Traveller) -> None:
    totp, _ = enrol(boss)
    now = int(time.time())
    assert sign_in(otp=totp.at(now - 60)).status_code == 401
    assert sign_in(otp=totp.at(now + 60)).status_code == 401
    assert sign_in(otp=totp.at(now - 30)).status_code == 200
    assert sign_in(otp=totp.at(now + 30)).status_code == 200
    assert sign_in(otp=totp.at(now)).status_code == 401  # older than the one used last


@pytest.mark.parametrize("pattern", [r"\1 \2", r" \1\2 ", r"\1-\2"])
def test_a_code_may_have_spaces(boss: User, pattern: str) -> None:
    totp, _ = enrol(boss)
    spelled = re.sub(r"(...)(...)", pattern, totp.now())
    assert sign_in(otp=spelled).status_code == 200


@pytest.mark.parametrize("otp", ["", " ", "٠٠٠٠٠٠", "1234567", "-" * 40, "\0\0\0", "null"])
def test_nonsense_is_refused(boss: User, otp: str) -> None:
    enrol(boss)
    assert sign_in(otp=otp).status_code == 401


@pytest.mark.parametrize("otp", [None, 123456, ["1"], "1" * 41])
def test_a_code_of_another_type_is_malformed(boss: User, otp: object) -> None:
    body = {"email": EMAIL, "password": PASSWORD, "otp": otp}
    assert Client().post("/auth/login", body).status_code == 422


def test_guesses_of_codes_are_slowed_down_as_those_of_passwords(
    boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockout, "ATTEMPTS", 5)
    totp, _ = enrol(boss)
    answered = [sign_in(otp="abc").status_code for _ in range(6)]
    assert answered == [401] * 5 + [429]
    assert sign_in(otp=totp.now()).status_code == 429


def test_a_sign_in_without_a_code_is_no_guess(boss: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockout, "ATTEMPTS", 3)
    totp, _ = enrol(boss)
    assert {sign_in().status_code for _ in range(6)} == {401}
    assert sign_in(otp=totp.now()).status_code == 200


def test_recovery_codes_sign_in_once_each_and_are_stored_as_hashes(boss: User) -> None:
    _, codes = enrol(boss)
    assert len(set(codes)) == 10
    stored = [bytes(row.code_hash) for row in RecoveryCode.objects.all()]
    assert not any(code.encode() in b"".join(stored) for code in codes)
    assert sign_in(otp=codes[0]).status_code == 200
    assert sign_in(otp=codes[0]).status_code == 401
    assert sign_in_to_admin(otp=codes[1].upper().replace("-", " ")).status_code == 302
    assert RecoveryCode.objects.count() == 8


def status_with(code: str) -> int:
    return sign_in(otp=code).status_code


@pytest.mark.django_db(transaction=True)
def test_one_of_many_simultaneous_sign_ins_with_one_code_succeeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lockout, "ATTEMPTS", 100)
    user = make_user(email=EMAIL, password=PASSWORD, is_staff=True)
    totp, codes = enrol(user)
    for code in (totp.now(), codes[0]):
        answered = at_once([partial(status_with, code)] * 6)
        assert sorted(answered) == [200] + [401] * 5


# --- the page


def opened(user: User) -> Browser:
    browser = Browser()
    browser.force_login(user, backend=BACKEND)
    return browser


def secret_of(page: str) -> str:
    found = re.search(r'id="second-factor-secret">([A-Z2-7]{32})<', page)
    assert found
    return found[1]


def post(browser: Browser, code: str, password: str = PASSWORD, action: str = "") -> str:
    values = {"password": password, "code": code, "action": action}
    return browser.post(PAGE, values, follow=True).content.decode()


def shown_codes(page: str) -> list[str]:
    return re.findall(r"<li>((?:[a-z2-7]{4}-){3}[a-z2-7]{4})</li>", page)


def test_staff_set_it_up_with_an_app(boss: User) -> None:
    boss_phone = Client(boss)
    browser = opened(boss)
    page = browser.get(PAGE)
    assert "no-store" in page["Cache-Control"]
    text = page.content.decode()
    secret = secret_of(text)
    assert "<svg" in text
    assert f"otpauth://totp/Cinema:boss%40example.org?secret={secret}&amp;issuer=Cinema" in text
    assert secret_of(browser.get(PAGE).content.decode()) == secret  # the same until it is used
    codes = shown_codes(post(browser, pyotp.TOTP(secret).now()))
    assert len(codes) == 10
    assert boss_phone.get("/users/me").status_code == 401  # it signed in without a code
    again = browser.get(PAGE).content.decode()
    assert "Recovery codes left: 10" in again
    assert secret not in again
    assert codes[0] not in again
    assert sign_in().json()["second_factor"] == "needed"


def test_the_set_up_ends_admin_sessions_that_were_opened_without_a_code(boss: User) -> None:
    other = make_user(is_staff=True)
    thief, browser, colleague = opened(boss), opened(boss), opened(other)
    secret = secret_of(browser.get(PAGE).content.decode())
    assert shown_codes(post(browser, pyotp.TOTP(secret).now()))
    statuses = [each.get("/admin/").status_code for each in (thief, browser, colleague)]
    assert statuses == [302, 200, 200]


def test_a_sign_in_that_began_before_the_set_up_needs_a_code(
    boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = sessions._lock_account

    def set_up_before(user: User) -> User | None:
        enrol(user)
        return lock(user)

    monkeypatch.setattr(sessions, "_lock_account", set_up_before)
    for given in ({}, {"otp": "123456"}):
        answer = sign_in(**given)
        assert (answer.status_code, answer.json()["second_factor"]) == (401, "needed")
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    ("password", "code"), [("wrong", None), ("", None), (PASSWORD, "000"), (PASSWORD, "")]
)
def test_without_the_password_and_a_right_code_nothing_is_set_up(
    boss: User, password: str, code: str | None
) -> None:
    browser = opened(boss)
    secret = secret_of(browser.get(PAGE).content.decode())
    shown = post(browser, pyotp.TOTP(secret).now() if code is None else code, password)
    assert shown_codes(shown) == []
    assert not SecondFactor.objects.exists()


def test_codes_are_renewed_and_the_factor_removed_by_a_code(boss: User) -> None:
    _, codes = enrol(boss)
    browser = opened(boss)
    assert "is wrong" in post(browser, "123", action="remove")
    renewed = shown_codes(post(browser, codes[0], action="renew"))
    assert len(renewed) == 10
    assert not {*renewed} & {*codes}
    assert sign_in(otp=codes[1]).status_code == 401
    assert "is removed" in post(browser, renewed[0], action="remove")
    assert sign_in().status_code == 200


@pytest.mark.parametrize("action", ["renew", "remove"])
def test_a_factor_that_is_removed_meanwhile_is_no_error(
    boss: User, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """A superuser removes it after the check of the code."""
    _, codes = enrol(boss)
    browser = opened(boss)
    spend = second_factor.spend_code

    def spend_and_lose(user: User, code: str) -> bool:
        return spend(user, code) and second_factor.remove(user=user)

    monkeypatch.setattr(second_factor, "spend_code", spend_and_lose)
    page = post(browser, codes[0], action=action)
    assert secret_of(page)
    assert ("was removed meanwhile" in page) == (action == "renew")


def test_the_page_of_a_factor_that_is_removed_meanwhile_offers_a_new_one(
    boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(boss)
    browser = opened(boss)

    def is_needed_and_lost(user: User) -> bool:
        return second_factor.remove(user=user)

    monkeypatch.setattr(second_factor, "is_needed", is_needed_and_lost)
    assert secret_of(browser.get(PAGE, follow=True).content.decode())


def test_guesses_on_the_page_are_slowed_down(boss: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockout, "ATTEMPTS", 3)
    _, codes = enrol(boss)
    browser = opened(boss)
    for _ in range(4):
        post(browser, "123", action="remove")
    assert "Too many" in post(browser, codes[0], action="remove")
    assert SecondFactor.objects.exists()


def test_the_page_is_for_staff() -> None:
    viewer = make_user(email="v@example.org", password=PASSWORD)
    answer = opened(viewer).get(PAGE)
    assert (answer.status_code, "/login/" in answer["Location"]) == (302, True)
    assert Browser().get(PAGE).status_code == 302
    assert Browser(enforce_csrf_checks=True).post(PAGE).status_code == 403


# --- a lost device, the audit log, privacy


def test_a_lost_device_is_taken_away_by_a_command(boss: User) -> None:
    enrol(boss)
    call_command("removesecondfactor", " BOSS@example.org")
    assert sign_in().status_code == 200
    entry = AuditEntry.objects.get(model="second-factor", action="delete")
    assert (entry.via, entry.path) == ("command", "removesecondfactor")
    for email, says in ((EMAIL, "no second factor"), ("x@example.org", "No account")):
        with pytest.raises(CommandError, match=says):
            call_command("removesecondfactor", email)


def test_a_superuser_removes_a_second_factor_in_the_admin(boss: User) -> None:
    other = make_user(email="other@example.org", is_staff=True)
    enrol(other)
    said = choose(opened(boss), "/admin/users/user/", "remove_second_factor", other, boss)
    assert "removed: 1" in said
    assert not SecondFactor.objects.exists()


def test_changes_of_the_second_factor_are_in_the_audit_log_without_secrets(
    boss: User, clock: time_machine.Traveller
) -> None:
    browser = opened(boss)
    secret = secret_of(browser.get(PAGE).content.decode())
    codes = shown_codes(post(browser, pyotp.TOTP(secret).now()))
    clock.shift(1)
    codes = shown_codes(post(browser, codes[0], action="renew"))
    post(browser, codes[0], action="remove")
    entries = AuditEntry.objects.filter(model="second-factor").order_by("id")
    assert [e.action for e in entries] == ["create", "update", "delete"]
    assert {(e.user_id, e.via) for e in entries} == {(boss.pk, "admin")}
    assert secret not in str([(e.before, e.after) for e in entries])


def test_the_export_has_no_secret_and_the_erasure_leaves_nothing(boss: User) -> None:
    totp, codes = enrol(boss)
    make_user(is_staff=True, is_superuser=True)
    phone = Client(boss)
    answer = phone.get("/users/me/export")
    text = b"".join(answer).decode()
    assert "SecondFactor" in text or "second_factor" in text
    assert totp.secret not in text
    assert not any(code.replace("-", "") in text for code in codes)
    assert phone.send("DELETE", "/users/me", {"password": PASSWORD}).status_code == 204
    assert (SecondFactor.objects.count(), RecoveryCode.objects.count()) == (0, 0)
    assert not Session.objects.filter(user_id=boss.pk).exists()
