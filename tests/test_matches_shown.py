"""Matches show viewers who agreed to be seen, and no others."""

from __future__ import annotations

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from movies.models import Movie
from recommendations.matches import services
from recommendations.matches.services import match_all
from recommendations.models import Interaction
from tests.builders import Client, make_user
from tests.matching import like, make_films, make_viewer, make_visible, matches, neighbours
from tests.tastes import publish_release
from users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


@pytest.fixture(autouse=True)
def _few_films_suffice(settings: Settings) -> None:
    """Four, if they agree on all of them."""
    settings.MATCH_SHRINKAGE = 1


@pytest.fixture
def films(db: None) -> list[Movie]:
    return make_films(6)


@pytest.fixture
def agnes(films: list[Movie]) -> User:
    """Likes the first three films."""
    agnes = make_viewer("Agnès")
    like(agnes, films[:3])
    return agnes


@pytest.fixture
def jacques(films: list[Movie]) -> User:
    """Likes all films but the last."""
    jacques = make_viewer("Jacques")
    like(jacques, films[:5])
    return jacques


def test_only_visible_viewers_are_named_as_matches(
    films: list[Movie], agnes: User, jacques: User
) -> None:
    make_visible(jacques, visible=False)
    silent = make_user(name="Silent")
    like(silent, films[:5])
    publish_release()
    said = Client(agnes).post("/interactions", {"movie_id": films[3].pk, "kind": "like"})
    assert said.json()["new_matches"] == []
    match_all()
    assert matches(agnes) == {}
    # A viewer who has not agreed sees those who have.
    assert matches(jacques) == matches(silent) == {agnes.pk: 0.8}


def test_consent_counts_at_once_both_ways(films: list[Movie], agnes: User, jacques: User) -> None:
    like(agnes, films[3:4])
    match_all()
    client = Client(jacques)
    said = client.get("/users/me/preferences").json()
    client.put("/users/me/preferences", {**said, "match_visible": False})
    assert matches(agnes) == {}
    assert matches(jacques) == {agnes.pk: 0.8}
    client.put("/users/me/preferences", {**said, "match_visible": True})
    assert matches(agnes) == {jacques.pk: 0.8}
    User.objects.filter(pk=jacques.pk).update(is_active=False)
    assert matches(agnes) == {}


def test_visible_viewers_are_kept_before_nearer_ones(
    films: list[Movie], agnes: User, jacques: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    like(agnes, films[3:])
    nearer = make_user()
    like(nearer, films)
    monkeypatch.setattr(services, "MAX_NEIGHBOURS", 1)
    match_all()
    assert neighbours(agnes).keys() == {jacques.pk}


def test_no_address_is_shown_for_a_name(films: list[Movie], agnes: User) -> None:
    nameless = make_viewer("")
    like(nameless, films[:4])
    like(agnes, films[3:4])
    match_all()
    answer = Client(agnes).get("/matches")
    assert answer.json()["data"][0]["user"] == {"id": nameless.pk, "name": ""}
    assert nameless.email.encode() not in answer.content


def test_a_film_that_was_withdrawn_is_not_shown(
    films: list[Movie], agnes: User, jacques: User
) -> None:
    like(agnes, films[3:4])
    match_all()
    Movie.objects.filter(pk=films[0].pk).update(withdrawn_at=timezone.now())
    [match] = Client(agnes).get("/matches").json()["data"]
    assert {film["id"] for film in match["shared"]} == {film.pk for film in films[1:4]}


def test_shared_dislikes_make_a_match_but_are_not_shown(films: list[Movie]) -> None:
    one, two = make_viewer("One"), make_viewer("Two")
    for user in (one, two):
        like(user, films[:2])
        like(user, films[2:], Interaction.Kind.DISLIKE)
    match_all()
    [match] = Client(one).get("/matches").json()["data"]
    assert {film["id"] for film in match["shared"]} == {film.pk for film in films[:2]}


@pytest.mark.parametrize("limit", [0, 101, -1, "x", ""])
def test_a_limit_out_of_range_is_refused(viewer: Client, limit: object) -> None:
    assert viewer.get("/matches", limit=limit).status_code == 422


def test_the_nearest_come_first_in_a_fixed_number_of_queries(
    films: list[Movie], agnes: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    like(agnes, films[3:])
    for count in (6, 4, 5):
        like(make_viewer(f"Likes {count}"), films[:count])
    match_all()
    client = Client(agnes)
    client.get("/matches")
    with django_assert_num_queries(4):  # session, matches, what they said, catalogue's version
        found = client.get("/matches").json()["data"]
    assert [match["user"]["name"] for match in found] == ["Likes 6", "Likes 5", "Likes 4"]
    with django_assert_num_queries(4):
        assert len(client.get("/matches", limit=1).json()["data"]) == 1
