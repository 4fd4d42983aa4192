"""Matches while several act at the same moment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from movies.models import Movie
from recommendations.matches import services
from recommendations.matches.services import match_all
from recommendations.models import Interaction, Neighbour
from tests.builders import Client
from tests.concurrency import at_once
from tests.matching import like, make_films, make_viewer, matches
from tests.tastes import publish_release
from users.erasure import erase
from users.models import User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("fresh_and_alone")]


@pytest.fixture(autouse=True)
def _few_films_suffice(settings: Settings) -> None:
    settings.MATCH_SHRINKAGE = 1


def make_camp(count: int) -> tuple[list[Movie], list[User]]:
    """Viewers who lack one and the same film to match each other."""
    films = make_films(4)
    viewers = [make_viewer(f"Viewer {number}") for number in range(count)]
    for viewer in viewers:
        like(viewer, films[:3])
    return films, viewers


def likes(client: Client, film: Movie) -> list[int]:
    answer = client.post("/interactions", {"movie_id": film.pk, "kind": "like"})
    assert answer.status_code in {200, 201}
    found: list[dict[str, Any]] = answer.json()["new_matches"]
    return [match["id"] for match in found]


def test_one_of_simultaneous_requests_reports_the_match() -> None:
    films, (one, two) = make_camp(2)
    like(two, films[3:])
    publish_release()
    Interaction.objects.create(user=one, movie=films[3], kind=Interaction.Kind.LIKE)
    find = partial(services.find_new_matches, user_id=one.pk, movie_id=films[3].pk)
    told = at_once([find] * 4)
    assert [match.id for found in told for match in found] == [two.pk]


def test_viewers_who_come_to_match_each_other_at_once_all_do() -> None:
    films, viewers = make_camp(5)
    publish_release()
    clients = [Client(viewer) for viewer in viewers]
    at_once([partial(likes, client, films[3]) for client in clients])
    at_once([partial(services.renew_matches, user_id=viewer.pk) for viewer in viewers])
    everybody = {viewer.pk for viewer in viewers}
    for viewer in viewers:
        assert matches(viewer).keys() == everybody - {viewer.pk}


def test_night_renewing_and_erasure_at_once() -> None:
    films, viewers = make_camp(5)
    for viewer in viewers:
        like(viewer, films[3:])
    publish_release()
    match_all()
    gone, *others = viewers
    renewals = [partial(services.renew_matches, user_id=viewer.pk) for viewer in viewers]
    calls: list[Callable[[], object]] = [match_all, partial(erase, user_id=gone.pk), *renewals]
    at_once(calls)
    assert not Neighbour.objects.filter(other_id=gone.pk).exists()
    for viewer in others:
        assert matches(viewer).keys() == {each.pk for each in others} - {viewer.pk}
