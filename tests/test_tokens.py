"""Access tokens: what counts, and that nothing else does."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import jwt
import pytest
import time_machine
from django.conf import settings
from django.utils import timezone

from tests.builders import Client, access_token, make_user
from tests.tokens import PASSWORD, bearer, claims, forge, sign_in, status_of
from users.models import Session
from users.sessions import open_session
from users.tokens import issue_access_token, newest_key

pytestmark = pytest.mark.django_db

MINUTE = 60


def now() -> int:
    return int(timezone.now().timestamp())


# --- what it says


def test_a_token_names_its_key_its_session_and_itself() -> None:
    session = open_session(user=make_user())
    token, other = issue_access_token(session), issue_access_token(session)
    assert jwt.get_unverified_header(token) == {
        "alg": "HS256", "typ": "JWT", "kid": newest_key().id,
    }  # fmt: skip
    said = jwt.decode(token, options={"verify_signature": False})
    assert said.keys() == {"iss", "aud", "sub", "sid", "kind", "iat", "nbf", "exp", "jti"}
    assert (said["iss"], said["aud"], said["kind"]) == ("cinema", "cinema-api", "access")
    assert (said["sub"], said["sid"]) == (str(session.user_id), session.pk)
    assert said["exp"] - said["iat"] == settings.ACCESS_TOKEN_LIFETIME_S == 15 * MINUTE
    assert said["jti"] != jwt.decode(other, options={"verify_signature": False})["jti"]


def test_neither_the_signing_key_nor_its_id_reveals_the_secret() -> None:
    key = newest_key()
    assert len({key.signing, key.succession, settings.SECRET_KEY.encode()}) == 3
    assert bytes.fromhex(key.id) not in key.signing + key.succession


def test_a_token_made_by_hand_of_good_parts_counts() -> None:
    """Or the tests below would show nothing."""
    assert status_of(forge(claims(make_user()))) == 200


# --- time


def test_an_access_token_expires_after_fifteen_minutes_and_a_leeway() -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=False):
        access = access_token(make_user())
    for seconds, status in ((14 * MINUTE, 200), (15 * MINUTE + 4, 200), (15 * MINUTE + 6, 401)):
        with time_machine.travel(start + timedelta(seconds=seconds), tick=False):
            assert status_of(access) == status


def test_a_token_from_the_future_is_accepted_within_the_leeway() -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=False):
        access = access_token(make_user())
    for seconds, status in ((4, 200), (10, 401)):
        with time_machine.travel(start - timedelta(seconds=seconds), tick=False):
            assert status_of(access) == status


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": -MINUTE},
        {"nbf": MINUTE},
        {"iat": MINUTE},
        {"exp": -MINUTE, "nbf": -2 * MINUTE, "iat": -2 * MINUTE},
    ],
)
def test_expired_and_not_yet_valid_ones_are_refused(changes: dict[str, int]) -> None:
    times = {name: now() + offset for name, offset in changes.items()}
    assert status_of(forge(claims(make_user(), **times))) == 401


# --- claims


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "refresh"},
        {"kind": "Access"},
        {"kind": ["access"]},
        {"iss": "somebody"},
        {"iss": ["cinema"]},
        {"aud": "something"},
        {"aud": ["cinema-api", "something"]},
        {"aud": ["cinema-api"]},
        {"aud": {"cinema-api": 1}},
        {"sub": 7},
        {"sub": ["7"]},
        {"sub": {"id": 7}},
        {"sub": "0"},
        {"sub": "-1"},
        {"sub": "me"},
        {"sub": " 7"},
        {"sub": "٧"},
        {"sub": "1_0"},
        {"sub": "9" * 30},
        {"sub": "1 OR 1=1"},
        {"sid": "1"},
        {"sid": [1]},
        {"sid": True},
        {"sid": 1.5},
        {"sid": 0},
        {"sid": -1},
        {"sid": 2**63},
        {"sid": 2**64 - 1},
        {"exp": "soon"},
        {"exp": [1]},
        {"exp": {}},
        {"exp": True},
        {"nbf": "then"},
        {"nbf": [1]},
        {"iat": {}},
        {"jti": 7},
        {"jti": []},
    ],
    ids=str,
)
def test_claims_of_other_values_and_types_are_refused(changes: dict[str, Any]) -> None:
    assert status_of(forge(claims(make_user(), **changes))) == 401


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"Infinity", b"NaN", b"9" * 200])
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat", "sid"])
def test_numbers_that_no_clock_and_no_table_has_are_refused(claim: str, number: bytes) -> None:
    """Python reads such numbers, although they are not JSON."""
    some = claims(make_user())
    text = jwt.encode(some, newest_key().signing, "HS256", headers={"kid": newest_key().id})
    body = text.split(".")[1]
    payload = base64.urlsafe_b64decode(body + "==")
    payload = payload.replace(f'"{claim}":{some[claim]}'.encode(), f'"{claim}":'.encode() + number)
    assert number in payload
    token = jwt.api_jws.PyJWS().encode(
        payload, newest_key().signing, "HS256", headers={"kid": newest_key().id}
    )
    lasts_forever = (claim, number) == ("exp", b"9" * 200)
    assert status_of(token) == (200 if lasts_forever else 401)


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "sid", "kind", "iat", "nbf", "exp", "jti"])
def test_every_claim_must_be_there(claim: str) -> None:
    some = claims(make_user())
    assert status_of(forge({**some, claim: None})) == 401
    del some[claim]
    assert status_of(forge(some)) == 401


@pytest.mark.parametrize("payload", [[], "x", 7, None, {}, [{"sub": "1"}]])
def test_a_payload_that_is_no_claims_is_refused(payload: Any) -> None:
    assert status_of(forge(payload)) == 401


def test_the_session_must_be_the_viewers_own() -> None:
    viewer, other = make_user(), make_user(is_staff=True)
    assert status_of(forge(claims(viewer, sid=open_session(user=other).pk))) == 401
    assert status_of(forge(claims(viewer, sub=str(other.pk)))) == 401


def test_a_session_that_never_was_is_refused() -> None:
    assert status_of(forge(claims(make_user(), sid=2**63 - 1))) == 401


# --- kinds, and rotation of keys


def test_tokens_of_one_kind_do_not_count_as_the_other(anonymous: Client) -> None:
    pair = sign_in(make_user(password=PASSWORD))
    assert status_of(pair["refresh"]) == 401
    assert anonymous.post("/auth/refresh", {"refresh": pair["access"]}).status_code == 401
    assert status_of(pair["access"]) == 200


def test_a_token_counts_while_its_key_is_among_the_fallbacks(settings: Any) -> None:
    old = access_token(make_user())
    first, settings.SECRET_KEY = settings.SECRET_KEY, "the second secret of this test"
    assert status_of(old) == 401
    settings.SECRET_KEY_FALLBACKS = [first]
    assert status_of(old) == 200
    settings.SECRET_KEY_FALLBACKS = ["one that has nothing to do with it"]
    assert status_of(old) == 401


def test_the_newest_key_signs_and_older_ones_only_verify(settings: Any) -> None:
    first = newest_key()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the second", [settings.SECRET_KEY]
    new = access_token(make_user())
    assert jwt.get_unverified_header(new)["kid"] == newest_key().id != first.id
    assert status_of(new) == 200
    # The token is signed with the older key, and names the newer one.
    assert status_of(forge(claims(make_user()), key=first.signing)) == 401


def test_a_check_is_one_query(django_assert_num_queries: Any) -> None:
    access = access_token(make_user())
    with django_assert_num_queries(1):
        assert status_of(access) == 200


def test_a_token_with_a_wrong_signature_causes_no_query(django_assert_num_queries: Any) -> None:
    forged = forge(claims(make_user()), key=b"another")
    with django_assert_num_queries(0):
        assert status_of(forged) == 401


def test_answers_to_bad_tokens_tell_nothing_of_why() -> None:
    user = make_user()
    bad = [forge(claims(user), key=b"x"), forge(claims(user, exp=1)), forge(claims(user, sid=9**9))]
    ended = access_token(user)
    Session.objects.update(revoked_at=timezone.now())
    assert len({bearer(token).content for token in (*bad, ended)}) == 1
