"""Two algorithms in one list: whose lists, how sticky, and when it does not happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from pytest_django.fixtures import Settings

from movies import catalogue
from recommendations.lists.campaigns import experiment_for, experiment_key
from recommendations.lists.list_builder import ListItem, ListQuery, build_items, build_lists
from recommendations.models import Experiment
from recommendations.releases import loaded_release
from tests.audience import Audience, ids, listed, make_audience, rate, train_release
from tests.builders import Client, make_movie, make_screening, make_user
from tests.experimenting import make_experiment

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


@pytest.fixture
def audience(db: None) -> Audience:
    audience = make_audience(n_camps=3, viewers_each=10, movies_each=16)
    train_release()
    return audience


@pytest.fixture
def fan(audience: Audience) -> Client:
    client = Client(make_user())
    for movie in audience.movies[0][:3]:
        rate(client, movie, 5)
    return client


def chosen(fan: Client, algorithm: str = "hybrid", scope: Any = "catalogue") -> list[ListItem]:
    return list(build_items(fan.user.pk, ListQuery(scope, algorithm, 7), loaded_release()))


def films(items: Sequence[ListItem], team: str | None = None) -> list[int]:
    return [item.movie_id for item in items if team is None or item.team == team]


def test_a_list_is_drafted_from_the_lists_of_both_algorithms(fan: Client) -> None:
    alone = {name: films(chosen(fan, name)) for name in ("als", "popularity")}
    assert alone["als"] != alone["popularity"]
    experiment = make_experiment()
    items = chosen(fan)
    assert len(items) == len(set(films(items))) == 40
    assert [item.rank for item in items] == list(range(1, 41))
    assert Counter(item.team for item in items) == {"a": 20, "b": 20}
    for start in range(0, 40, 2):
        assert {item.team for item in items[start : start + 2]} == {"a", "b"}
    for team, algorithm in (("a", "als"), ("b", "popularity")):
        picked = films(items, team)
        assert [pk for pk in alone[algorithm] if pk in picked] == picked
        assert {item.algorithm for item in items if item.team == team} == {algorithm}
    assert {item.experiment for item in items} == {experiment.pk}
    assert all(item.reasons for item in items[:5])


def test_the_list_says_what_was_asked_for(fan: Client) -> None:
    make_experiment()
    answer = listed(fan, limit=40)
    assert answer["algorithm"] == "hybrid"
    assert ids(answer) == films(chosen(fan))
    assert {"als", "popularity"} <= {item["source"] for item in answer["items"]}


def test_a_named_algorithm_ignores_the_experiment(fan: Client) -> None:
    before = {name: chosen(fan, name) for name in ("als", "content", "popularity")}
    make_experiment()
    for name, items in before.items():
        assert chosen(fan, name) == items
        assert {item.team for item in items} == {""}
        assert {item.experiment for item in items} == {None}


def test_new_films_and_pins_keep_their_places_and_belong_to_no_team(
    fan: Client, settings: Settings
) -> None:
    settings.EXPLORATION_SHARE = 0.1
    for _ in range(8):
        make_movie()
    explored = [item for item in chosen(fan) if item.source == "exploration"]
    assert len(explored) == 4
    make_experiment()
    items = chosen(fan)
    assert [item for item in items if item.source == "exploration"] == explored
    assert {item.team for item in explored} == {""}
    assert {item.experiment for item in explored} == {None}
    assert Counter(item.team for item in items) == {"a": 18, "b": 18, "": 4}


def test_the_default_can_be_a_team(fan: Client) -> None:
    default = films(chosen(fan))
    make_experiment(algorithm_a="popularity", algorithm_b="hybrid")
    items = chosen(fan)
    own = films(items, "b")
    assert [pk for pk in default if pk in own] == own
    assert {item.algorithm for item in items} == {"popularity", "hybrid"}


def test_the_programmes_lists_take_part(fan: Client, audience: Audience) -> None:
    showing = [make_screening(film).movie_id for film in audience.movies[1][:4]]
    make_experiment()
    items = chosen(fan, scope="programme")
    assert set(films(items)) == set(showing)
    assert Counter(item.team for item in items) == {"a": 2, "b": 2}


def test_lists_for_many_are_the_ones_that_each_is_given(audience: Audience, fan: Client) -> None:
    make_experiment(share=0.5)
    users = [*audience.viewers[0][:6], fan.user]
    question = ListQuery("catalogue", "hybrid", 7)
    for given in build_lists([user.pk for user in users], question):
        own = build_items(given.user_id, question, loaded_release())
        assert [(item.movie_id, item.team) for item in given.items] == [
            (item.movie_id, item.team) for item in own
        ]


def test_the_order_of_the_teams_is_fixed_for_a_viewer(fan: Client, audience: Audience) -> None:
    make_experiment()
    before = [item.team for item in chosen(fan)]
    rate(fan, audience.movies[1][0], 1)
    assert [item.team for item in chosen(fan)] == before
    others = [
        tuple(item.team for item in given.items)
        for given in build_lists(
            [user.pk for user in audience.viewers[0]], ListQuery("catalogue", "hybrid", 7)
        )
    ]
    assert len(set(others)) == len(others)


def test_the_share_is_of_viewers_and_sticks() -> None:
    from scipy.stats import binomtest  # takes more than a second

    now, known = timezone.now(), {"als", "popularity"}
    assert not experiment_for(catalogue.current().snapshot, 1, now, known)

    def taking_part(experiment: Experiment) -> set[int]:
        snapshot = catalogue.current().snapshot
        viewers = range(1, 2001)
        return {pk for pk in viewers if experiment_for(snapshot, pk, now, known)}

    # The ids decide who takes part: with others the test would fail once in a thousand runs.
    experiment = make_experiment(pk=1_000_000, share=0.3)
    first = taking_part(experiment)
    assert binomtest(len(first), 2000, 0.3).pvalue > 0.001
    assert taking_part(experiment) == first
    Experiment.objects.update(share=0.6)
    assert first < taking_part(experiment)
    Experiment.objects.all().delete()
    another = taking_part(make_experiment(pk=1_000_001, share=0.3))
    assert binomtest(len(another & first), len(first), 0.3).pvalue > 0.001


def test_an_experiment_starts_and_ends_by_the_clock_without_a_query(
    fan: Client, django_assert_num_queries: Any
) -> None:
    now = timezone.now()
    experiment = make_experiment(
        starts_at=now + timedelta(hours=1), ends_at=now + timedelta(hours=2)
    )
    snapshot = catalogue.current().snapshot
    keys = [experiment_key(snapshot, fan.user.pk, now)]
    with django_assert_num_queries(0):
        for minutes in (59, 60, 119, 120):
            at = now + timedelta(minutes=minutes)
            keys.append(experiment_key(snapshot, 1, at))
            is_on = experiment_for(snapshot, 1, at, {"als", "popularity"}) is not None
            assert is_on == (60 <= minutes < 120)
    assert keys == [
        "",
        "",
        f"{experiment.pk}:als:popularity",
        f"{experiment.pk}:als:popularity",
        "",
    ]


def test_a_change_shows_at_the_next_list(fan: Client) -> None:
    default = listed(fan, limit=40)
    experiment = make_experiment(starts_at=timezone.now() + timedelta(minutes=10))
    assert listed(fan, limit=40) == default
    with time_machine.travel(timezone.now() + timedelta(minutes=11), tick=False):
        drafted = listed(fan, limit=40)
        assert ids(drafted) != ids(default)
        Experiment.objects.update(algorithm_b="content")
        assert "content" in {item["source"] for item in listed(fan, limit=40)["items"]}
        experiment.delete()
        assert ids(listed(fan, limit=40)) == ids(default)


def test_an_algorithm_that_the_release_lacks_is_not_tried(fan: Client) -> None:
    default = chosen(fan)
    make_experiment(algorithm_b="sequence")
    assert chosen(fan) == default


def test_without_a_release_no_experiment_is_made() -> None:
    make_movie()
    newcomer = Client(make_user())
    make_experiment()
    assert [item["source"] for item in listed(newcomer)["items"]] == ["programme"]


def test_a_list_of_a_viewer_without_history_is_drafted_too(audience: Audience) -> None:
    """Als knows nothing of somebody who has said nothing, and its team has what stands in."""
    make_experiment()
    items = chosen(Client(make_user()))
    assert len(set(films(items))) == 40
    assert {item.is_fallback for item in items if item.team == "a"} == {True}
    assert {item.is_fallback for item in items if item.team == "b"} == {False}


def test_films_that_the_viewer_has_acted_on_are_in_no_team(fan: Client, audience: Audience) -> None:
    make_experiment()
    gone = films(chosen(fan))[:20]
    for movie in audience.all_movies:
        if movie.pk in gone:
            rate(fan, movie, 1)
    assert not set(gone) & set(films(chosen(fan)))
