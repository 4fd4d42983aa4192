"""Viewers of similar taste: found at night, and again at once for who has just acted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_django.fixtures import Settings

from cinema.locks import single_run
from movies.models import Movie
from recommendations.dataset import load_dataset
from recommendations.engine.viewer_pairs import matching_pairs
from recommendations.matches import services
from recommendations.matches.services import match_all
from recommendations.models import Interaction, Neighbour
from recommendations.tasks import MATCHING_LOCK, match_viewers, renew_matches
from tests.builders import Client, interact, make_user
from tests.matching import (
    like,
    make_films,
    make_viewer,
    matches,
    neighbours,
    quadratic,
    similarity,
)
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


def say(user: User, film: Movie, kind: str = "like", **fields: Any) -> dict[str, Any]:
    answer = Client(user).post("/interactions", {"movie_id": film.pk, "kind": kind, **fields})
    assert answer.status_code in {200, 201}
    found: dict[str, Any] = answer.json()
    return found


# --- at night


def test_viewers_who_like_the_same_match_after_the_night(
    films: list[Movie], agnes: User, jacques: User
) -> None:
    like(agnes, films[3:4])
    assert matches(agnes) == {}
    match_viewers()
    [match] = Client(agnes).get("/matches").json()["data"]
    assert match["user"] == {"id": jacques.pk, "name": "Jacques"}
    assert match["similarity"] == 0.8
    assert {film["id"] for film in match["shared"]} < {film.pk for film in films[:4]}
    assert len(match["shared"]) == 3
    assert match["since"] is not None
    assert matches(jacques) == {agnes.pk: 0.8}


def test_the_night_has_the_figures_of_the_quadratic_computation(films: list[Movie]) -> None:
    luck = np.random.default_rng(5)
    for _ in range(12):
        user = make_user()
        for film in films:
            if luck.random() < 0.8:
                interact(user, film, str(luck.choice(["like", "superlike", "dislike"])))
    match_all()
    dataset = load_dataset()
    ids = dataset.users.ids.tolist()
    rows = {(row.user_id, row.other_id): row for row in Neighbour.objects.all()}
    for (one, two), figures in quadratic(dataset.interactions.toarray()).items():
        expected = similarity(figures, 1)
        if one == two or abs(expected - 0.7) < 1e-5:
            continue
        row = rows.get((ids[one], ids[two]))
        assert (row is not None) == (expected >= 0.7 and figures[0] >= 3)
        if row is not None:
            sums = row.shared, row.product_sum, row.own_square_sum, row.other_square_sum
            assert sums == pytest.approx(figures, abs=1e-4)
            assert row.similarity == pytest.approx(expected, abs=1e-5)
            assert (row.matched_since is not None) == (expected >= 0.8)
    assert len(rows) >= 4


def test_a_pair_that_goes_on_matching_matches_since_the_first_night(
    films: list[Movie], agnes: User, jacques: User
) -> None:
    like(agnes, films[3:4])
    match_all()
    since = neighbours(agnes)[jacques.pk].matched_since
    like(agnes, films[4:5])
    match_all()
    row = neighbours(agnes)[jacques.pk]
    assert (row.shared, row.matched_since) == (5, since)
    Interaction.objects.filter(user=agnes, movie__in=films[:2]).delete()
    match_all()
    assert neighbours(agnes)[jacques.pk].matched_since is None
    Interaction.objects.filter(user=agnes).delete()
    match_all()
    assert not Neighbour.objects.exists()


def test_new_matches_during_the_nightly_task_are_kept(
    films: list[Movie], agnes: User, jacques: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    match_all()
    publish_release()

    def busy(*args: Any, **limits: Any) -> Any:
        found = matching_pairs(*args, **limits)
        assert say(agnes, films[3])["new_matches"]
        return found

    monkeypatch.setattr(services, "matching_pairs", busy)
    match_all()
    assert matches(agnes) == {jacques.pk: 0.8}
    assert matches(jacques) == {agnes.pk: 0.8}


def test_erased_and_inactive_viewers_do_not_return_with_the_nightly_task(
    films: list[Movie], agnes: User, jacques: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    third, fourth = make_viewer("Chris"), make_viewer("Alain")
    for user in (agnes, third, fourth):
        like(user, films[3:5])
    like(third, films[:3])
    like(fourth, films[:3])

    def busy(*args: Any, **limits: Any) -> Any:
        found = matching_pairs(*args, **limits)
        erase(user_id=jacques.pk)
        User.objects.filter(pk=fourth.pk).update(is_active=False)
        return found

    monkeypatch.setattr(services, "matching_pairs", busy)
    match_all()
    assert matches(agnes).keys() == {third.pk}
    assert neighbours(agnes).keys() == {third.pk}
    assert not neighbours(fourth)


def test_matching_in_portions_gives_the_same_neighbours(
    films: list[Movie], agnes: User, jacques: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    like(agnes, films[3:4])
    match_all()
    whole = list(Neighbour.objects.order_by("user", "other").values_list("user", "other"))
    monkeypatch.setattr(services, "PORTION", 1)
    match_all()
    assert list(Neighbour.objects.order_by("user", "other").values_list("user", "other")) == whole
    User.objects.all().update(is_active=False)
    match_all()
    assert not Neighbour.objects.exists()


def test_an_empty_cinema_has_no_matches(viewer: Client) -> None:
    match_all()
    assert viewer.get("/matches").json() == {"data": []}


def test_one_run_at_a_time(films: list[Movie], agnes: User, jacques: User) -> None:
    like(agnes, films[3:4])
    with single_run(MATCHING_LOCK):
        match_viewers()
    assert not Neighbour.objects.exists()


# --- at once


def test_the_interaction_that_makes_a_match_reports_it_once(
    films: list[Movie], agnes: User, jacques: User
) -> None:
    publish_release()
    assert say(agnes, films[5])["new_matches"] == []
    match = {"id": jacques.pk, "name": "Jacques", "similarity": 0.8}
    said = say(agnes, films[3])
    assert said["new_matches"] == [match]
    assert say(agnes, films[3])["new_matches"] == []
    assert say(agnes, films[4])["new_matches"] == []
    assert matches(agnes) == {jacques.pk: 0.8}
    assert matches(jacques) == {agnes.pk: 0.8}
    one, other = neighbours(agnes)[jacques.pk], neighbours(jacques)[agnes.pk]
    assert one.own_square_sum == other.other_square_sum
    assert one.matched_since == other.matched_since


def test_changed_stars_can_make_a_match(films: list[Movie], jacques: User) -> None:
    agnes = make_user()
    for film in films[:4]:
        interact(agnes, film, "rating", half_stars=8)
    publish_release()
    assert say(agnes, films[3], "rating", stars=1)["new_matches"] == []
    services.renew_matches(user_id=agnes.pk)
    assert matches(agnes) == {}
    assert [match["id"] for match in say(agnes, films[3], "rating", stars=4)["new_matches"]] == [
        jacques.pk
    ]


def test_likes_of_others_since_the_training_count(films: list[Movie], agnes: User) -> None:
    publish_release()
    late = make_viewer("Late")
    like(late, films[:4])
    assert [match["id"] for match in say(agnes, films[3])["new_matches"]] == [late.pk]


def test_withdrawn_likes_of_others_since_the_training_count(
    films: list[Movie], agnes: User, jacques: User
) -> None:
    publish_release()
    Interaction.objects.filter(user=jacques, movie=films[0]).delete()
    assert say(agnes, films[3])["new_matches"] == []


def test_without_a_release_nobody_matches_before_the_night(
    films: list[Movie], agnes: User, jacques: User
) -> None:
    assert say(agnes, films[3])["new_matches"] == []
    services.renew_matches(user_id=agnes.pk)
    assert matches(agnes) == {}
    match_all()
    assert matches(agnes) == {jacques.pk: 0.8}


def test_matches_found_at_once_and_by_night_are_equal(
    films: list[Movie], agnes: User, jacques: User
) -> None:
    publish_release()
    say(agnes, films[3])
    services.renew_matches(user_id=agnes.pk)
    at_once = {user.pk: dict(matches(user)) for user in (agnes, jacques)}
    match_all()
    assert {user.pk: matches(user) for user in (agnes, jacques)} == at_once


def test_renewing_removes_ended_matches_of_both_viewers(
    films: list[Movie], agnes: User, jacques: User
) -> None:
    like(agnes, films[3:4])
    publish_release()
    services.renew_matches(user_id=agnes.pk)
    assert matches(agnes) == {jacques.pk: 0.8}
    rows = list(Neighbour.objects.order_by("pk").values())
    services.renew_matches(user_id=agnes.pk)
    assert list(Neighbour.objects.order_by("pk").values()) == rows
    Interaction.objects.filter(user=agnes, movie=films[3]).delete()
    services.renew_matches(user_id=agnes.pk)
    assert matches(agnes) == matches(jacques) == {}
    assert neighbours(agnes)[jacques.pk].similarity == 0.75
    Interaction.objects.filter(user=agnes, movie=films[0]).delete()
    services.renew_matches(user_id=agnes.pk)
    assert not Neighbour.objects.exists()


def test_renewing_an_unknown_viewer_does_nothing(agnes: User, jacques: User) -> None:
    publish_release()
    services.renew_matches(user_id=0)
    User.objects.filter(pk=agnes.pk).update(is_active=False)
    services.renew_matches(user_id=agnes.pk)
    assert not Neighbour.objects.exists()


# --- in the background


def test_a_list_of_a_viewer_who_has_acted_has_the_matches_renewed(
    films: list[Movie], agnes: User, jacques: User
) -> None:
    publish_release()
    client = Client(agnes)
    client.get("/recommendations")
    renew_matches()
    assert services.renew_waiting() == 0
    like(agnes, films[3:4])
    for _ in range(3):
        client.get("/recommendations")
    client.get("/recommendations", refresh=True)
    assert matches(agnes) == {}
    assert services.renew_waiting() == 1
    assert matches(agnes) == {jacques.pk: 0.8}
    Interaction.objects.filter(user=agnes, movie=films[3]).delete()
    Client(agnes).get("/recommendations")
    renew_matches()
    assert matches(agnes) == matches(jacques) == {}


def test_a_run_without_time_leaves_the_rest_to_the_next(
    films: list[Movie], agnes: User, jacques: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for user in (agnes, jacques):
        Client(user).get("/recommendations")
    monkeypatch.setattr(services, "RUN_AT_MOST_S", 0.0)
    assert services.renew_waiting() == 0
    monkeypatch.undo()
    assert services.renew_waiting() == 2
    assert services.renew_waiting() == 0


@pytest.mark.usefixtures("without_cache")
def test_without_valkey_nobody_waits(agnes: User) -> None:
    Client(agnes).get("/recommendations")
    assert services.renew_waiting() == 0
