"""Compressed responses: which, how they are revalidated, and what is left as it is."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import brotli
import pytest
from django.test import Client as Browser

from cinema import compression
from tests.builders import Client, make_movie, make_user

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

pytestmark = pytest.mark.django_db

UNPACK = {"br": brotli.decompress, "gzip": gzip.decompress, "": bytes}
LONG = "/api/v1/openapi.json"
ASSET = "/static/cinema/admin.css"


def got(path: str, accepted: str = "", client: Browser | None = None, known: str = "") -> Response:
    headers = {"Accept-Encoding": accepted} | ({"If-None-Match": known} if known else {})
    return (client or Browser()).get(path, headers=headers)


def body(answer: Response) -> bytes:
    return answer.getvalue() if answer.streaming else answer.content


@pytest.mark.parametrize("path", [LONG, "/", "/api/v1/docs", "/static/cinema/welcome.css"])
@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_a_long_response_is_compressed(path: str, encoding: str) -> None:
    plain, packed = got(path), got(path, encoding)
    whole = body(plain)
    assert packed["Content-Encoding"] == encoding
    assert "Content-Encoding" not in plain
    assert "Accept-Encoding" in plain["Vary"]
    assert "Accept-Encoding" in packed["Vary"]
    assert UNPACK[encoding](body(packed)) == whole
    assert int(packed["Content-Length"]) == len(body(packed)) < len(whole)


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=0.5, gzip", "gzip"),
        ("gzip;q=0", ""),
        ("*", "br"),
        ("*;q=0.1, br;q=0", "gzip"),
        ("identity", ""),
        ("GZIP", "gzip"),
        ("br;q=nonsense", ""),
        (",;,=", ""),
        ("", ""),
    ],
)
def test_the_client_chooses_the_encoding(accepted: str, encoding: str) -> None:
    assert got(LONG, accepted).headers.get("Content-Encoding", "") == encoding


def test_each_encoding_has_an_etag_of_its_own() -> None:
    tags = {encoding: got(LONG, encoding)["ETag"] for encoding in UNPACK}
    assert len(set(tags.values())) == 3
    assert all(tag.startswith('"') for tag in tags.values())  # strong
    for encoding, tag in tags.items():
        answer = got(LONG, encoding, known=f'"other", {tag}')
        assert (answer.status_code, answer["ETag"], answer.content) == (304, tag, b"")
        assert "Accept-Encoding" in answer["Vary"]
    assert got(LONG, "br", known=tags["gzip"]).status_code == 200
    assert got(LONG, "", known=tags["br"]).status_code == 200


def test_an_edit_by_the_etag_of_a_compressed_answer_is_taken() -> None:
    movie = make_movie(overview="long " * 300)
    client = Client(make_user(is_staff=True))
    read = client.send("GET", f"/movies/{movie.pk}", headers={"Accept-Encoding": "br"})
    assert read["Content-Encoding"] == "br"
    change = {"runtime_minutes": 99}
    path, tag = f"/movies/{movie.pk}", {"If-Match": read["ETag"]}
    assert client.send("PATCH", path, change, headers=tag).status_code == 200
    assert client.send("PATCH", path, change, headers=tag).status_code == 412


def test_a_document_is_compressed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = got("/api/v1/openapi.json", "br").content

    def fail(body: bytes, encoding: str) -> bytes:
        raise AssertionError("compressed again")

    monkeypatch.setattr(compression, "compressed", fail)
    assert got("/api/v1/openapi.json", "br").content == first


def test_a_response_to_a_request_with_cookies_is_not_compressed() -> None:
    """BREACH: cinema.compression says why these and no others."""
    with_cookie = Browser()
    with_cookie.cookies["sessionid"] = "x"
    for path in (LONG, "/", "/admin/login/"):
        answer = got(path, "br, gzip", with_cookie)
        assert "Content-Encoding" not in answer, path
    assert "Content-Encoding" not in got("/admin/login/", "br, gzip")
    asset = got("/static/cinema/welcome.css", "br", with_cookie)
    assert (asset["Content-Encoding"], bool(asset.content)) == ("br", True)


def test_new_tokens_are_not_compressed() -> None:
    make_user(email="a@example.com", password="cleo from 5 to 7")
    given = {"email": "a@example.com", "password": "cleo from 5 to 7"}
    answer = Client().send("POST", "/auth/login", given, headers={"Accept-Encoding": "br"})
    assert (answer.status_code, "Content-Encoding" in answer) == (200, False)


def test_answers_of_graphql_are_compressed() -> None:
    query = {"query": "{ __schema { types { name description } } }"}
    answer = Browser().post(
        "/graphql", query, content_type="application/json", headers={"Accept-Encoding": "gzip"}
    )
    assert answer["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.content))["data"]


def test_a_short_response_is_not_compressed() -> None:
    assert "Content-Encoding" not in got("/health/live", "br")


def test_head_says_what_get_would() -> None:
    headers = {"Accept-Encoding": "br"}
    get, head = Browser().get(LONG, headers=headers), Browser().head(LONG, headers=headers)
    for name in ("Content-Encoding", "Content-Length", "ETag", "Vary"):
        assert head[name] == get[name]
