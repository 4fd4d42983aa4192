"""Preferences are stored, returned, and refused where they name nothing."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from movies.models import Genre
from tests.builders import Client, make_user
from tests.concurrency import at_once
from users.models import Preferences

pytestmark = pytest.mark.django_db

PATH = "/users/me/preferences"
NOTHING = {"genres": [], "languages": [], "match_visible": False}


def make_genres(*slugs: str) -> None:
    Genre.objects.bulk_create([Genre(slug=slug, name=slug.title()) for slug in slugs])


def refused_fields(client: Client, payload: dict[str, Any]) -> list[str]:
    answer = client.put(PATH, payload)
    assert answer.status_code == 422, answer.content
    return [error["field"] for error in answer.json()["errors"]]


def test_the_default_preferences_are_empty_and_invisible(viewer: Client) -> None:
    answer = viewer.get(PATH)
    assert (answer.status_code, answer.json()) == (200, NOTHING)
    assert answer["Cache-Control"] == "no-store"
    assert not Preferences.objects.exists()


def test_saved_preferences_are_returned(viewer: Client) -> None:
    make_genres("drama", "music", "war")
    said = {"genres": ["music", "drama", "music"], "languages": ["fr", "pt-BR", "fr"]}
    answer = viewer.put(PATH, {**said, "match_visible": True})
    assert answer.status_code == 200
    expected = {
        "genres": ["drama", "music"],
        "languages": ["fr", "pt-BR"],
        "match_visible": True,
    }
    assert answer.json() == expected == viewer.get(PATH).json()
    assert Client(make_user()).get(PATH).json() == NOTHING


def test_a_write_replaces_the_whole_preferences(viewer: Client) -> None:
    """Fields that are left out are reset, the consent to be seen too."""
    make_genres("drama", "music")
    viewer.put(PATH, {"genres": ["drama"], "languages": ["fr"], "match_visible": True})
    viewer.put(PATH, {"genres": ["music"]})
    assert viewer.get(PATH).json() == {**NOTHING, "genres": ["music"]}
    viewer.put(PATH, {})
    assert viewer.get(PATH).json() == NOTHING


def test_a_change_raises_the_taste_version_and_the_same_again_does_not(viewer: Client) -> None:
    make_genres("drama")
    versions = [viewer.user.taste_version]
    for payload in (
        {"genres": ["drama"]},
        {"genres": ["drama"]},
        {"genres": ["drama"], "languages": ["fr"]},
        {"genres": ["drama"], "languages": ["fr"]},
        {},
        {},
    ):
        assert viewer.put(PATH, payload).status_code == 200
        versions.append(viewer.user.taste_version)
    rises = [after > before for before, after in pairwise(versions)]
    assert rises == [True, False] * 3


def test_an_unknown_genre_is_refused_with_its_slug(viewer: Client) -> None:
    make_genres("drama")
    answer = viewer.put(PATH, {"genres": ["drama", "horrror", "Drama"]})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error == {"field": "body.genres", "message": "There is no genre 'Drama', 'horrror'."}
    assert viewer.get(PATH).json() == NOTHING


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"genres": "drama"}, "body.genres"),
        ({"genres": [1]}, "body.genres.0"),
        ({"genres": [None]}, "body.genres.0"),
        ({"genres": ["x" * 61]}, "body.genres.0"),
        ({"genres": ["drama"] * 21}, "body.genres"),
        ({"genres": ["\u0000"]}, "body.genres"),
        ({"genres": ["'; DROP TABLE movies_genre; --"]}, "body.genres"),
        ({"genres": None}, "body.genres"),
        ({"languages": ["french"]}, "body.languages.0"),
        ({"languages": ["qq"]}, "body.languages.0"),
        ({"languages": [""]}, "body.languages.0"),
        ({"languages": ["fr"] * 21}, "body.languages"),
        ({"languages": {"fr": True}}, "body.languages"),
        ({"match_visible": "yes"}, "body.match_visible"),
        ({"match_visible": 1}, "body.match_visible"),
        ({"match_visible": None}, "body.match_visible"),
        ({"user_id": 1}, "body.user_id"),
        ({"user": 1}, "body.user"),
    ],
    ids=str,
)
def test_malformed_preferences_are_refused_by_their_field(
    viewer: Client, payload: dict[str, Any], field: str
) -> None:
    make_genres("drama")
    assert refused_fields(viewer, payload) == [field]
    assert not Preferences.objects.exists()


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_preferences_are_for_those_who_have_signed_in(anonymous: Client, method: str) -> None:
    assert anonymous.send(method, PATH, {}).status_code == 401


def test_preferences_are_read_by_one_query(
    viewer: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    slugs = [f"genre-{number:02}" for number in range(20)]
    make_genres(*slugs)
    for genres in ([], slugs[:1], slugs):
        viewer.put(PATH, {"genres": genres, "languages": ["fr"]})
        with django_assert_num_queries(2):  # who asks, and what they prefer
            assert viewer.get(PATH).json()["genres"] == genres


def test_a_deleted_genre_is_preferred_no_longer(viewer: Client) -> None:
    make_genres("drama", "music")
    viewer.put(PATH, {"genres": ["drama", "music"]})
    before = viewer.user.taste_version
    Genre.objects.filter(slug="drama").delete()
    assert viewer.get(PATH).json()["genres"] == ["music"]
    assert viewer.user.taste_version > before


@pytest.mark.django_db(transaction=True)
def test_simultaneous_writes_leave_one_complete_state() -> None:
    """And whoever reads in between sees one of them whole, too."""
    user = make_user()
    make_genres("drama", "music", "war")
    states = [
        {"genres": ["drama", "music"], "languages": ["fr"], "match_visible": True},
        {"genres": ["war"], "languages": ["de", "en"], "match_visible": False},
    ]

    def put(state: dict[str, Any]) -> dict[str, Any]:
        answer = Client(user).put(PATH, state)
        assert answer.status_code == 200, answer.content
        body: dict[str, Any] = answer.json()
        return body

    def read(_: object) -> dict[str, Any]:
        body: dict[str, Any] = Client(user).get(PATH).json()
        return body

    for _ in range(5):
        steps = [partial(step, state) for state in states * 2 for step in (put, read)]
        seen = at_once(steps)
        assert all(state in [*states, NOTHING] for state in seen)
        assert Client(user).get(PATH).json() in states
