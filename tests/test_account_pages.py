"""The pages that mailed links open: for people, on telephones, with the token kept from logs."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib.auth.password_validation import (
    MinimumLengthValidator,
    get_default_password_validators,
)
from django.contrib.staticfiles import finders
from django.test import Client as Browser

from tests.api_document import document
from tests.builders import Client

pytestmark = pytest.mark.django_db

PAGES = ["/account/verify-email", "/account/reset-password"]


class Elements(HTMLParser):
    """All elements with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inline_scripts = 0
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        self._in_script = tag == "script"

    def handle_data(self, data: str) -> None:
        self.inline_scripts += self._in_script and bool(data.strip())

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def elements(client: Client, path: str) -> Elements:
    answer = client.get(path)
    assert answer.status_code == 200
    return Elements(answer.content.decode())


@pytest.mark.parametrize("path", PAGES)
def test_a_page_runs_our_script_alone_and_tells_nobody_where_it_was(
    anonymous: Client, path: str
) -> None:
    answer = anonymous.get(path)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer["Referrer-Policy"] == "no-referrer"
    assert answer["Cache-Control"] == "no-store"
    found = elements(anonymous, path)
    assert found.inline_scripts == 0
    assert not [name for _, attributes in found.found for name in attributes if name[:2] == "on"]
    loaded = [a.get("src") for a in found.all("script")] + [a["href"] for a in found.all("link")]
    for address in loaded:
        assert address
        assert address.startswith("/static/")
        assert finders.find(address.removeprefix("/static/"))


@pytest.mark.parametrize("path", PAGES)
def test_forms_of_a_page_send_to_existing_operations(anonymous: Client, path: str) -> None:
    schema = document()
    for form in elements(anonymous, path).all("form"):
        operation = schema["paths"][form["data-action"]]["post"]
        name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        asked = set(schema["components"]["schemas"][name.rpartition("/")[2]]["properties"])
        fields = {a["name"] for a in elements(anonymous, path).all("input") if "name" in a}
        with_token = {"token"} if form["data-token"] == "needed" else set()
        assert asked <= fields | with_token


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible_and_fits_a_telephone(anonymous: Client, path: str) -> None:
    found = elements(anonymous, path)
    assert found.all("html")[0]["lang"] == "en"
    assert any(a.get("name") == "viewport" for a in found.all("meta"))
    assert [a["role"] for a in found.all("p") if a.get("id") == "outcome"] == ["status"]
    labelled = {a.get("for") for a in found.all("label")}
    known = {a["id"] for _, a in found.found if "id" in a}
    for field in found.all("input"):
        if field["type"] != "checkbox":
            assert field["id"] in labelled
            assert field["autocomplete"] in ("new-password", "email")
        assert set((field.get("aria-describedby") or "").split()) <= known


def test_the_token_is_taken_out_of_the_address_and_sent_in_a_body() -> None:
    script = Path(str(finders.find("cinema/account.js"))).read_text()
    assert "history.replaceState" in script
    assert "location.search" not in script
    for storage in ("localStorage", "sessionStorage", "document.cookie", "innerHTML", "eval"):
        assert storage not in script


def test_the_rules_that_the_page_names_are_those_that_hold(anonymous: Client) -> None:
    page = anonymous.get(PAGES[1]).content.decode()
    validators = get_default_password_validators()
    [length] = [v.min_length for v in validators if isinstance(v, MinimumLengthValidator)]
    assert re.findall(r'minlength="(\d+)"', page) == [str(length)]
    assert f"At least {length} characters" in page


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_read_only(path: str) -> None:
    assert Browser().post(path).status_code == 405
