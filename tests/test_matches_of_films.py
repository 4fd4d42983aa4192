"""Beside a recommended film: who of the matches liked it, and who would come to match by it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client as Browser
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks
from pytest_django.fixtures import Settings

from cinema.cache import shared
from movies.models import Movie
from recommendations.lists import list_cache
from recommendations.matches import selectors as company
from recommendations.matches.selectors import MovieMatches, matches_for_movies
from recommendations.matches.services import match_all
from recommendations.models import Interaction
from tests.admin_pages import fill_in, page
from tests.builders import Client, interact, make_user
from tests.matching import like, make_films, make_viewer, make_visible
from tests.tastes import publish_release
from users.erasure import erase
from users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


@pytest.fixture(autouse=True)
def _few_films_suffice(settings: Settings) -> None:
    """Four, if they agree on all of them."""
    settings.MATCH_SHRINKAGE = 1


@pytest.fixture
def films(db: None) -> list[Movie]:
    return make_films(7)


@pytest.fixture
def viewer(films: list[Movie]) -> User:
    """Likes the first four films."""
    viewer = make_viewer("Viewer")
    like(viewer, films[:4])
    return viewer


@pytest.fixture
def match(films: list[Movie], viewer: User) -> User:
    match = make_viewer("Match")
    like(match, films[:5])
    return match


@pytest.fixture
def near(films: list[Movie]) -> User:
    """Lacks one film to match."""
    near = make_viewer("Near")
    like(near, [*films[:3], films[5]])
    return near


def learn() -> None:
    match_all()
    publish_release()


def shown(viewer: User) -> dict[int, dict[str, Any]]:
    """The items by the film's id."""
    items = Client(viewer).get("/recommendations").json()["items"]
    return {item["movie"]["id"]: item for item in items}


def test_matches_who_liked_a_film_are_shown_beside_it(
    films: list[Movie], viewer: User, match: User
) -> None:
    interact(match, films[5], "dislike")
    interact(match, films[6], "seen")
    learn()
    items = shown(viewer)
    assert items[films[4].pk]["matched_users"] == [
        {"id": match.pk, "name": "Match", "similarity": 0.8}
    ]
    assert items[films[5].pk]["matched_users"] == items[films[6].pk]["matched_users"] == []


def test_a_new_verdict_of_a_match_counts_within_a_minute(
    films: list[Movie], viewer: User, match: User
) -> None:
    learn()
    assert shown(viewer)[films[4].pk]["matched_users"]
    interact(match, films[4], "dislike")
    key = list_cache.response_key(viewer.pk)
    name = shared().make_and_validate_key(key)
    lifetime_s = shared().ask(lambda server: int(str(server.ttl(name))))
    assert 0 < (lifetime_s or 0) <= 60
    shared().delete(key)  # as after that time
    assert not shown(viewer)[films[4].pk]["matched_users"]


def test_a_potential_match_stands_beside_its_film(
    films: list[Movie], viewer: User, near: User
) -> None:
    learn()
    items = shown(viewer)
    assert not any(item["matched_users"] for item in items.values())
    foretold = {pk: item["potential_matches"] for pk, item in items.items()}
    assert foretold == {
        films[4].pk: [],
        films[5].pk: [{"user_id": near.pk, "condition": "if you like it", "confidence": 0.8}],
        films[6].pk: [],
    }
    payload = {"movie_id": films[5].pk, "kind": "like"}
    [new] = Client(viewer).post("/interactions", payload).json()["new_matches"]
    assert (new["id"], new["similarity"]) == (near.pk, 0.8)


def test_a_predicted_match_with_other_weights_comes_true(
    films: list[Movie], viewer: User, settings: Settings
) -> None:
    """The figures are of one release: another one would change the films' means a little."""
    settings.MATCH_THRESHOLD, settings.MATCH_SHRINKAGE = 0.62, 2
    for name, kinds in {"One": ["like", "superlike", "like"], "Two": ["superlike"] * 3}.items():
        other = make_viewer(name)
        for film, kind in zip(films, kinds, strict=False):
            interact(other, film, kind)
        like(other, films[3:4], Interaction.Kind.LIKE)
        like(other, films[5:6], Interaction.Kind.SUPERLIKE)
    Interaction.objects.filter(user=viewer, movie=films[3]).delete()
    learn()
    foretold = shown(viewer)[films[5].pk]["potential_matches"]
    assert foretold
    payload = {"movie_id": films[5].pk, "kind": "like"}
    new = Client(viewer).post("/interactions", payload).json()["new_matches"]
    found = {match["id"]: match["similarity"] for match in new}
    assert found == pytest.approx(
        {each["user_id"]: each["confidence"] for each in foretold}, abs=1e-4
    )


@pytest.mark.usefixtures("committing")
def test_a_viewer_who_withdraws_consent_disappears_from_cached_answers(
    films: list[Movie],
    viewer: User,
    match: User,
    near: User,
    admin_client: Browser,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    learn()
    before = Client(viewer).get("/recommendations").json()
    assert Client(viewer).get("/recommendations").json() == before
    assert any(item["matched_users"] for item in before["items"])
    assert any(item["potential_matches"] for item in before["items"])
    Client(match).put("/users/me/preferences", {"match_visible": False})
    after = Client(viewer).get("/recommendations").json()
    assert not any(item["matched_users"] for item in after["items"])
    assert any(item["potential_matches"] for item in after["items"])
    with django_capture_on_commit_callbacks(execute=True):
        assert fill_in(admin_client, page(User, "change", near.pk), is_active="false") == ""
    closed = Client(viewer).get("/recommendations").json()
    assert closed["list_id"] == after["list_id"] == before["list_id"]
    for item in closed["items"]:
        assert item["matched_users"] == item["potential_matches"] == []


@pytest.mark.usefixtures("committing")
def test_consent_a_new_name_and_an_erasure_change_cached_answers(
    films: list[Movie],
    viewer: User,
    match: User,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    learn()
    make_visible(match, visible=False)

    def names() -> list[str]:
        return [each["name"] for each in shown(viewer)[films[4].pk]["matched_users"]]

    assert names() == []
    Client(match).put("/users/me/preferences", {"match_visible": True})
    assert names() == ["Match"]
    Client(match).patch("/users/me", {"name": "Renamed"})
    assert names() == ["Renamed"]
    with django_capture_on_commit_callbacks(execute=True):
        erase(user_id=match.pk)
    assert names() == []


def test_the_nearest_few_matches_are_named(
    films: list[Movie], viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(company, "NAMED", 2)
    for number in range(3):
        like(make_viewer(f"Match {number}"), films[: 4 + number])
        like(make_viewer(f"Near {number}"), [*films[:3], films[6]])
    like(viewer, films[4:5])
    learn()
    item = shown(viewer)[films[5].pk]
    assert [match["name"] for match in item["matched_users"]] == ["Match 2"]
    near = shown(viewer)[films[6].pk]["potential_matches"]
    assert len(near) == 2


def test_matches_of_films_take_at_most_two_queries(
    films: list[Movie],
    viewer: User,
    match: User,
    near: User,
    settings: Settings,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    learn()
    settings.RELEASE_CHECK_INTERVAL_S = 3600
    ids = [film.pk for film in films]
    matches_for_movies(viewer.pk, ids)  # the release is read once
    with django_assert_num_queries(2):
        found = matches_for_movies(viewer.pk, ids)
    assert found.matched
    assert found.potential
    nobody = make_user()
    with django_assert_num_queries(1):
        assert matches_for_movies(nobody.pk, ids) == MovieMatches()
    with django_assert_num_queries(0):
        assert matches_for_movies(viewer.pk, []) == MovieMatches()


def test_without_a_release_there_are_no_potential_matches(
    films: list[Movie], viewer: User, match: User, near: User
) -> None:
    match_all()
    found = matches_for_movies(viewer.pk, [film.pk for film in films])
    assert found.matched
    assert not found.potential
