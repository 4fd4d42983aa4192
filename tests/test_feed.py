"""The feed of newly announced movies: Atom as RFC 4287 wants it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.utils import timezone

from movies.models import Genre, Movie
from movies.tmdb.schemas import ATTRIBUTION
from tests.builders import Client, make_movie

pytestmark = pytest.mark.django_db

FEED = "/movies/feed.atom"
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture(autouse=True)
def _cinema(settings: Any) -> None:
    settings.PUBLIC_URL = "https://kino.example"


def feed(client: Client) -> ET.Element:
    answer = client.get(FEED)
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "application/atom+xml; charset=utf-8"
    return ET.fromstring(answer.content)  # noqa: S314 - our own server's


def entries(client: Client) -> list[ET.Element]:
    return feed(client).findall(f"{ATOM}entry")


def text(element: ET.Element, name: str) -> str:
    found = element.findtext(ATOM + name)
    assert found is not None, f"no {name}"
    return found


def moment(element: ET.Element, name: str) -> datetime:
    found = datetime.fromisoformat(text(element, name))
    assert found.tzinfo is not None
    return found


def titles(client: Client) -> list[str]:
    return [text(entry, "title") for entry in entries(client)]


def announced(days_ago: int, **fields: Any) -> Movie:
    movie = make_movie(**fields)
    moment = timezone.now() - timedelta(days=days_ago)
    Movie.objects.filter(pk=movie.pk).update(created_at=moment, updated_at=moment)
    return Movie.objects.get(pk=movie.pk)


def test_the_feed_has_its_title_and_address(anonymous: Client, settings: Any) -> None:
    settings.CINEMA_NAME = "Kino <Babylon>"
    movie = announced(3)
    announced(5)
    root = feed(anonymous)
    assert root.tag == f"{ATOM}feed"
    assert text(root, "title") == "Kino <Babylon>: new films"
    assert text(root, "id") == "https://kino.example/api/v1/movies/feed.atom"
    assert root.findtext(f"{ATOM}author/{ATOM}name") == "Kino <Babylon>"
    assert moment(root, "updated") == movie.updated_at
    links = {link.get("rel"): link.get("href") for link in root.findall(f"{ATOM}link")}
    assert links == {
        "self": "https://kino.example/api/v1/movies/feed.atom",
        "alternate": "https://kino.example/",
    }


def test_an_entry_describes_a_movie(anonymous: Client) -> None:
    movie = announced(
        2,
        name="Cléo <5> & 7",
        protagonists=["Corinne Marchand", "Antoine Bourseiller"],
        overview="A <b>bold</b> walk & talk.\n\nIn Paris.",
        genres=["drama", "music"],
        start_date=date(2026, 12, 3),
    )
    [entry] = entries(anonymous)
    assert text(entry, "title") == "Cléo <5> & 7"
    assert text(entry, "id").startswith("urn:uuid:")
    assert moment(entry, "published") == movie.created_at
    assert moment(entry, "updated") == movie.updated_at
    [link] = entry.findall(f"{ATOM}link")
    assert link.get("href") == f"https://kino.example/api/v1/movies/{movie.pk}"
    assert [c.get("term") for c in entry.findall(f"{ATOM}category")] == ["Drama", "Music"]
    summary = entry.find(f"{ATOM}summary")
    assert summary is not None
    assert summary.get("type") == "html"
    assert summary.text == (
        "<p>From Thursday, 3 December 2026. With Corinne Marchand, Antoine Bourseiller.</p>\n\n"
        "<p>A &lt;b&gt;bold&lt;/b&gt; walk &amp; talk.</p>\n\n<p>In Paris.</p>"
    )


def test_the_newest_come_first_and_fifty_at_the_most(anonymous: Client) -> None:
    names = [f"Film {number:02}" for number in range(52)]
    for number, name in enumerate(names):
        announced(number, name=name)
    assert titles(anonymous) == names[:50]


def test_finished_and_withdrawn_films_are_not_in_the_feed(staff: Client) -> None:
    announced(1, name="kept", status="running")
    announced(1, name="over", status="finished")
    gone = announced(1, name="gone")
    assert staff.delete(f"/movies/{gone.pk}").status_code == 204
    assert titles(staff) == ["kept"]


def test_an_entry_keeps_its_id_for_good(staff: Client, settings: Any) -> None:
    movie, other = announced(1), announced(2)
    before = {text(entry, "title"): text(entry, "id") for entry in entries(staff)}
    assert before[movie.name] != before[other.name]
    settings.PUBLIC_URL = "https://elsewhere.example"
    assert staff.patch(f"/movies/{movie.pk}", {"name": "Renamed"}).status_code == 200
    [entry] = [entry for entry in entries(staff) if text(entry, "title") == "Renamed"]
    assert text(entry, "id") == before[movie.name]
    assert moment(entry, "published") == movie.created_at
    assert moment(entry, "updated") > movie.updated_at


def test_an_empty_feed_does_not_change(anonymous: Client) -> None:
    first = anonymous.get(FEED)
    assert moment(feed(anonymous), "updated") == datetime(1970, 1, 1, tzinfo=UTC)
    Genre.objects.create(slug="drama", name="Drama")
    Genre.objects.update(name="Comedy")
    assert anonymous.get(FEED).content == first.content


def test_rankings_change_no_byte(anonymous: Client) -> None:
    announced(1)
    before = anonymous.get(FEED).content
    Movie.objects.update(ranking=10)
    assert anonymous.get(FEED).content == before


@pytest.mark.parametrize("code", [0x01, 0x08, 0x0B, 0x1B, 0x7F, 0x85, 0x2028, 0xFFFE, 0xFFFF])
def test_characters_that_xml_cannot_hold_do_not_break_it(anonymous: Client, code: int) -> None:
    """Written past the API, which lets most of these in nowhere."""
    announced(1, genres=["drama"])
    for model in (Movie, Genre):
        model.objects.update(name=f"a{chr(code)}b")
    Movie.objects.update(overview=f"c{chr(code)}d", protagonists=[f"e{chr(code)}f"])
    [entry] = entries(anonymous)
    assert text(entry, "title") in ("ab", "a\nb")
    assert "c" in text(entry, "summary")


@pytest.mark.parametrize("name", ["]]> <!-- &amp; </feed>", "👩‍👩‍👧 \u202eשלום", "x" * 300])
def test_any_name_comes_back_as_it_was(anonymous: Client, name: str) -> None:
    announced(1, name=name)
    assert titles(anonymous) == [name]


def test_an_entry_with_data_from_tmdb_has_the_attribution(anonymous: Client) -> None:
    theirs, _ = announced(1, name="theirs"), announced(2, name="ours")
    Movie.objects.filter(pk=theirs.pk).update(tmdb_fields=["overview"])
    assert [ATTRIBUTION in text(entry, "summary") for entry in entries(anonymous)] == [True, False]
