"""Forged access tokens: other algorithms, foreign keys, broken signatures, nonsense."""

from __future__ import annotations

import base64
from typing import Any

import jwt
import pytest
from django.conf import settings

from tests.builders import Client, access_token, make_user
from tests.tokens import claims, forge, status_of
from users.tokens import newest_key

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "algorithm",
    ["none", "None", "NONE", "nOnE", "", " none", "none ", "hs256", "HS256 ", "HS384", "HS512",
     "RS256", "RS512", "PS256", "ES256", "ES256K", "EdDSA", "dir", 7, True, ["HS256"], {}],
    ids=repr,
)  # fmt: skip
def test_the_algorithm_in_the_header_is_ignored(algorithm: Any) -> None:
    """The signature is the right HMAC by our own key, so nothing else is wrong with the token."""
    assert status_of(forge(claims(make_user()), header={"alg": algorithm})) == 401


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256"])
def test_a_token_without_a_signature_is_refused(algorithm: str) -> None:
    signed = forge(claims(make_user()), header={"alg": algorithm})
    head_and_body, _, _ = signed.rpartition(".")
    for token in (head_and_body, head_and_body + ".", head_and_body + "..", head_and_body + ".e30"):
        assert status_of(token) == 401


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_right_signatures_by_other_algorithms_are_refused() -> None:
    some, kid = claims(make_user()), newest_key().id
    for algorithm in ("HS384", "HS512"):
        token = jwt.encode(some, newest_key().signing, algorithm, headers={"kid": kid})
        assert status_of(token) == 401
    assert status_of(jwt.encode(some, None, "none", headers={"kid": kid})) == 401


@pytest.mark.parametrize(
    "key", [b"another", b"x", settings.SECRET_KEY.encode(), newest_key().succession]
)
def test_foreign_keys_are_refused_and_so_are_our_keys_for_other_things(key: bytes) -> None:
    assert status_of(forge(claims(make_user()), key=key)) == 401


@pytest.mark.parametrize(
    "kid", [None, "", "0", "0" * 16, 7, ["x"], {}, "../../dev/null", "' OR 1=1 --"], ids=repr
)
def test_a_token_that_names_no_key_of_ours_is_refused(kid: Any) -> None:
    assert status_of(forge(claims(make_user()), header={"kid": kid})) == 401


def test_keys_in_the_header_are_ignored() -> None:
    own = {"jwk": {"kty": "oct", "k": "AAAA"}, "jku": "http://127.0.0.1/k", "x5u": "http://x/"}
    forged = forge(claims(make_user()), key=b"\0\0\0", header=own)
    assert status_of(forged) == 401


def test_a_token_with_critical_extensions_is_refused() -> None:
    """RFC 7515, 4.1.11."""
    assert status_of(forge(claims(make_user()), header={"crit": ["b64"], "b64": False})) == 401


def test_a_token_is_refused_however_it_is_cut() -> None:
    good = access_token(make_user())
    assert status_of(good) == 200
    cut = {good[:length] for length in range(1, len(good))} | {good[1:], good.replace(".", "")}
    with_more = {good + "A", good + ".", f"{good}.{good}", f".{good}", good.replace(".", "..")}
    assert {status_of(token) for token in cut | with_more} == {401}


def test_a_token_is_refused_whichever_bit_is_flipped() -> None:
    good = access_token(make_user())
    parts = [base64.urlsafe_b64decode(part + "==") for part in good.split(".")]
    for place, part in enumerate(parts):
        for bit in range(0, len(part) * 8, 7):
            flipped = bytearray(part)
            flipped[bit // 8] ^= 1 << bit % 8
            some = [*parts[:place], bytes(flipped), *parts[place + 1 :]]
            token = b".".join(base64.urlsafe_b64encode(each).rstrip(b"=") for each in some)
            assert status_of(token.decode()) == 401, (place, bit)


@pytest.mark.parametrize(
    "token",
    ["a.b.c", "..", ".", "\xff", "x" * 10_000, "a b", "e30.e30.e30", "W10.W10.W10", "=.=.=",
     base64.urlsafe_b64encode(b'{"a":' + b"[" * 50_000).decode() + ".e30.e30",
     base64.urlsafe_b64encode(b"[" * 440).decode() + "..",
     base64.urlsafe_b64encode(b'{"kid":' + b"9" * 400 + b"}").decode() + ".e30.e30"],
    ids=lambda token: token[:12],
)  # fmt: skip
def test_nonsense_is_refused_and_does_no_harm(token: str) -> None:
    assert status_of(token) == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token x"])
def test_other_authorization_headers_are_401(anonymous: Client, header: str) -> None:
    answer = anonymous.send("GET", "/users/me", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
