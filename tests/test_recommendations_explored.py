"""The share of a list that new films have."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from movies.models import Movie
from tests.audience import Audience, ids, listed, make_audience, rate, say, train_release
from tests.builders import Client, make_movie, make_screening, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


@pytest.fixture
def audience(db: None) -> Audience:
    """64 films that many know, and a release of them."""
    audience = make_audience(n_camps=4, movies_each=16)
    train_release()
    return audience


@pytest.fixture
def fan(audience: Audience) -> Client:
    client = Client(make_user())
    for movie in audience.movies[0][:3]:
        rate(client, movie, 5)
    return client


def new_films(count: int, **fields: object) -> set[int]:
    return {make_movie(**fields).pk for _ in range(count)}


def explored(client: Client, **query: object) -> dict[int, int]:
    """The places of explored films, by film."""
    items = listed(client, **{"limit": 40, **query})["items"]
    return {item["movie"]["id"]: item["rank"] for item in items if item["source"] == "exploration"}


def test_new_films_have_evenly_spaced_places(fan: Client) -> None:
    new = new_films(8)
    answer = listed(fan, limit=40)
    found = explored(fan)
    assert sorted(found.values()) == [6, 16, 26, 36]
    assert set(found) <= new
    assert len(set(ids(answer))) == len(ids(answer)) == 40
    [item, *_] = [item for item in answer["items"] if item["source"] == "exploration"]
    assert item["reasons"][0] == {"kind": "new", "text": "New here", "movie_id": None}
    assert listed(fan, limit=40) == answer


def test_films_that_are_not_new_keep_their_order(fan: Client, settings: Settings) -> None:
    settings.EXPLORATION_SHARE = 0.0
    before = ids(listed(fan, limit=40))
    settings.EXPLORATION_SHARE = 0.1
    new = new_films(3)
    after = [pk for pk in ids(listed(fan, limit=40, refresh=True)) if pk not in new]
    assert after == before[: len(after)]
    assert len(after) == 37


@pytest.mark.parametrize(("share", "places"), [(0.0, []), (0.25, [3, 7]), (1.0, [2, 3, 4, 5])])
def test_the_share_is_a_setting(
    fan: Client, settings: Settings, share: float, places: list[int]
) -> None:
    settings.EXPLORATION_SHARE = share
    new_films(50)
    assert [rank for rank in sorted(explored(fan).values()) if rank <= 10][: len(places)] == places
    assert bool(explored(fan)) == bool(share)


def test_a_named_algorithm_explores_nothing(fan: Client) -> None:
    new_films(8)
    for algorithm in ("als", "popularity", "content"):
        assert not explored(fan, algorithm=algorithm)


def test_newcomers_are_shown_new_films_too(viewer: Client, audience: Audience) -> None:
    new_films(2)
    assert sorted(explored(viewer).values()) == [6, 16]


def test_without_a_release_all_films_are_new_and_none_is_marked(viewer: Client) -> None:
    new_films(20)
    assert not explored(viewer)


def test_known_and_old_films_are_not_new(fan: Client) -> None:
    known = make_movie()
    for _ in range(5):
        rate(Client(make_user()), known, 4)
    old = make_movie(start_date=timezone.localdate() - timedelta(days=400))
    Movie.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=100))
    assert not explored(fan)
    coming = make_movie(start_date=timezone.localdate() + timedelta(days=9))
    Movie.objects.filter(pk=coming.pk).update(created_at=timezone.now() - timedelta(days=100))
    assert list(explored(fan, refresh=True)) == [coming.pk]


def test_acted_on_and_withdrawn_films_are_not_explored_again(fan: Client) -> None:
    acted_on, withdrawn, other = make_movie(), make_movie(), make_movie()
    say(fan, acted_on, "hide")
    Movie.objects.filter(pk=withdrawn.pk).update(withdrawn_at=timezone.now())
    assert list(explored(fan)) == [other.pk]


def test_the_programme_shows_new_films_that_are_showing(fan: Client, audience: Audience) -> None:
    for movie in audience.movies[1][:9]:
        make_screening(movie)
    showing, elsewhere = make_movie(), make_movie()
    make_screening(showing)
    found = explored(fan, scope="programme")
    assert found == {showing.pk: 6}
    assert elsewhere.pk not in found


def test_every_new_film_is_explored_by_some_viewer(audience: Audience) -> None:
    new = new_films(12)
    shown: set[int] = set()
    for camp in audience.viewers:
        for user in camp[:10]:
            shown |= explored(Client(user)).keys()
    assert shown == new


def test_a_new_film_has_a_true_reason(audience: Audience) -> None:
    """A release knows it by what it is made of; the reason names what it shares."""
    liked = make_movie(protagonists=["Jean Seberg"], genres=["crime"], release_year=1960)
    fans = [Client(make_user()) for _ in range(8)]
    for client in fans:
        rate(client, liked, 5)
    alike = make_movie(protagonists=["Jean Seberg"], genres=["crime"], release_year=1960)
    train_release()
    viewer = Client(make_user())
    rate(viewer, liked, 5)
    items = listed(viewer, limit=40)["items"]
    [item] = [item for item in items if item["movie"]["id"] == alike.pk]
    texts = [reason["text"] for reason in item["reasons"]]
    assert any(text.startswith(f"Because you liked {liked.name}") for text in texts)
    if item["source"] == "exploration":
        assert texts[0] == "New here"
