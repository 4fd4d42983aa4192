"""The page for people: what it leads to, and what it tells search engines."""

from __future__ import annotations

from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest
from django.utils import timezone

from movies.models import Movie
from movies.tmdb.schemas import ATTRIBUTION
from tests.builders import Client, make_movie, make_screening

pytestmark = pytest.mark.django_db


class Page(HTMLParser):
    """The links of a page with the type that each has, if any, and its scripts with theirs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: set[tuple[str, str | None]] = set()
        self.scripts: list[tuple[str | None, str]] = []
        self._script_type: str | None = None
        self._in_script = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self._in_script, self._script_type = tag == "script", attributes.get("type")
        if address := attributes.get("href"):
            self.links.add((address, attributes.get("type")))

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append((self._script_type, data))


def page(client: Client) -> Page:
    answer = client.get("/")
    assert answer.status_code == 200
    return Page(answer.content.decode())


def test_the_page_links_to_the_calendar_and_the_feed(anonymous: Client, settings: Any) -> None:
    settings.PUBLIC_URL = "https://kino.example"
    calendar, feed = "/api/v1/programme.ics?days=28", "/api/v1/movies/feed.atom"
    google = "webcal%3A%2F%2Fkino.example%2Fapi%2Fv1%2Fprogramme.ics%3Fdays%3D28"
    assert page(anonymous).links >= {
        (calendar, "text/calendar"),
        (feed, "application/atom+xml"),
        (feed, None),
        ("webcal://kino.example/api/v1/programme.ics?days=28", None),
        (f"https://calendar.google.com/calendar/r?cid={google}", None),
    }
    for address in (calendar, feed):
        assert anonymous.send("GET", address).status_code == 200


@pytest.mark.parametrize(
    "name", ["Cléo", "</script><script>alert(1)</script>", "<!--<script>", "a & b"]
)
def test_search_engines_find_the_same_as_at_the_address_for_them(
    anonymous: Client, name: str
) -> None:
    make_screening(make_movie(name=name, overview=name))
    [(kind, script)] = page(anonymous).scripts
    assert kind == "application/ld+json"
    assert script.encode() == anonymous.get("/programme.jsonld").content
    assert name in {node.get("name") for node in orjson.loads(script)["@graph"]}


@pytest.mark.parametrize("coming_up", [True, False])
def test_the_page_credits_tmdb_where_it_shows_their_data(
    anonymous: Client, coming_up: bool
) -> None:
    tomorrow = timezone.localdate() + timedelta(days=1)
    movie = make_movie(start_date=tomorrow) if coming_up else make_screening().movie
    assert ATTRIBUTION not in anonymous.get("/").content.decode()
    Movie.objects.filter(pk=movie.pk).update(tmdb_fields=["overview"], overview="Theirs.")
    assert ATTRIBUTION in anonymous.get("/").content.decode()


def test_a_movie_that_is_not_shown_needs_no_credit(anonymous: Client) -> None:
    make_screening()
    Movie.objects.filter(pk=make_movie().pk).update(tmdb_fields=["overview"], overview="Theirs.")
    assert ATTRIBUTION not in anonymous.get("/").content.decode()
