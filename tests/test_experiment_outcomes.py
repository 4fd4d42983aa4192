"""The outcome of an experiment: credits, wins, the interval, and when it is open."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from movies.models import Movie
from recommendations.impressions.storage import store_waiting
from recommendations.lists.list_builder import ListItem, ListQuery, build_items
from recommendations.models import Experiment
from recommendations.releases import loaded_release
from tests.admin_pages import page
from tests.audience import Audience, listed, make_audience, train_release
from tests.builders import Client, interact, make_movie, make_user
from tests.experimenting import make_experiment, show
from users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]

COUNTS = (
    "viewers", "impressions_a", "impressions_b", "clicks_a", "clicks_b", "likes_after_a",
    "likes_after_b", "wins_a", "wins_b", "ties",
)  # fmt: skip


def outcomes(staff: Client, **query: Any) -> list[dict[str, Any]]:
    answer = staff.get("/analytics/recommendations", **query)
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["experiments"]
    return found


def counts(outcome: dict[str, Any]) -> tuple[int, ...]:
    return tuple(outcome[name] for name in COUNTS)


@pytest.fixture
def films(db: None) -> list[Movie]:
    return [make_movie() for _ in range(4)]


def test_clicks_and_likes_make_a_viewer_choose_a_team(staff: Client, films: list[Movie]) -> None:
    experiment = make_experiment()

    def shown(*opened: int, teams: str = "abba") -> User:
        user = make_user()
        own = [films[number] for number in opened]
        show(user, films, opened=own, teams=teams, experiment=experiment)
        return user

    shown(0)  # A
    shown(0, 1, 2)  # B
    shown(0, 1)  # neither
    shown()  # nothing
    liker = shown(0, teams="baab")  # B by the click, and A twice by likes
    for number in (1, 2):
        interact(liker, films[number], "like")
    interact(shown(), films[3], "dislike")
    [outcome] = outcomes(staff)
    assert counts(outcome) == (6, 12, 12, 3, 4, 2, 0, 2, 1, 3)
    assert outcome["experiment"]["id"] == experiment.pk
    assert outcome["experiment"]["state"] == "running"
    assert outcome["preference"] == 2 / 3
    assert 0 < outcome["preference_low"] < 0.5 < outcome["preference_high"] < 1
    assert outcome["winner"] is None


def test_impressions_without_a_team_count_for_neither_algorithm(
    staff: Client, films: list[Movie]
) -> None:
    experiment, user = make_experiment(), make_user()
    show(user, films[:2], teams="ab", experiment=experiment)
    show(user, films[2:], opened=films[2:], algorithm="als")
    for film in films[2:]:
        interact(user, film)
    [outcome] = outcomes(staff)
    assert counts(outcome) == (1, 1, 1, 0, 0, 0, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("wins_a", "wins_b", "winner"), [(6, 0, "a"), (0, 6, "b"), (5, 0, None), (7, 4, None)]
)
def test_the_winner_is_open_while_the_interval_contains_one_half(
    staff: Client, films: list[Movie], wins_a: int, wins_b: int, winner: str | None
) -> None:
    experiment = make_experiment()
    for number in range(wins_a + wins_b):
        opened = films[:1] if number < wins_a else films[1:2]
        show(make_user(), films[:2], opened=opened, teams="ab", experiment=experiment)
    [outcome] = outcomes(staff)
    assert (outcome["wins_a"], outcome["wins_b"], outcome["winner"]) == (wins_a, wins_b, winner)


def test_an_experiment_without_clicks_has_no_winner(staff: Client) -> None:
    make_experiment()
    [outcome] = outcomes(staff)
    assert counts(outcome) == (0,) * 10
    known = (outcome["preference"], outcome["preference_low"], outcome["preference_high"])
    assert known == (None, 0, 1)
    assert outcome["winner"] is None
    assert outcome["missing"] == ["als", "popularity"]
    Experiment.objects.update(ends_at=timezone.now())
    assert outcomes(staff)[0]["missing"] == []


def test_each_experiment_of_the_time_is_told_whole(staff: Client, films: list[Movie]) -> None:
    now = timezone.now()
    long_ago, of_late = now - timedelta(days=60), now - timedelta(days=10)
    first = make_experiment(starts_at=long_ago, ends_at=now - timedelta(days=12))
    second = make_experiment(starts_at=now - timedelta(days=12), ends_at=now)
    user = make_user()
    for experiment, at in ((first, long_ago), (first, of_late), (second, of_late)):
        show(user, films[:2], at=at, opened=films[:1], teams="ab", experiment=experiment)
    interact(user, films[1], "like", updated_at=of_late + timedelta(hours=1))
    found = outcomes(staff)
    assert [one["experiment"]["id"] for one in found] == [second.pk, first.pk]
    # The like is of both lists that showed the film within the week before.
    assert counts(found[0]) == (1, 1, 1, 1, 0, 0, 1, 0, 0, 1)
    assert counts(found[1]) == (1, 2, 2, 2, 0, 0, 1, 1, 0, 0)
    earlier = timezone.localdate(now - timedelta(days=40))
    assert [one["experiment"]["id"] for one in outcomes(staff, to=earlier)] == [first.pk]
    assert outcomes(staff, to=timezone.localdate(now - timedelta(days=80))) == []


# --- from viewers' own lists to the answer


@pytest.fixture
def audience(db: None) -> Audience:
    found = make_audience(n_camps=3, viewers_each=12, movies_each=10)
    train_release()
    return found


FIRST_ID = 1_000_000


def simulate(audience: Audience, likes: Callable[[int, Movie], bool], n_viewers: int = 45) -> None:
    """Newcomers of each camp look at the first places of their lists, and open what they like."""
    luck = random.Random(1)
    films = {film.pk: film for film in audience.all_movies}
    for number in range(n_viewers):
        # The teams are drawn from the ids: at random one draw in twenty has a winner.
        user, camp = make_user(pk=FIRST_ID + number), number % 3
        for film in luck.sample(audience.movies[camp], 3):
            interact(user, film, "rating", half_stars=10)
        items = build_items(user.pk, ListQuery("catalogue", "hybrid", 7), loaded_release())[:8]
        shown = [films[item.movie_id] for item in items]
        opened = [film for film in shown if likes(camp, film) and luck.random() < 0.5]
        teams, [experiment] = "".join(item.team for item in items), {*map(experiment_of, items)}
        show(user, shown, opened=opened, teams=teams, experiment_id=experiment)
        if opened:
            interact(user, opened[0], "like")


def experiment_of(item: ListItem) -> int | None:
    return item.experiment


def test_viewers_who_truly_prefer_one_make_it_win(staff: Client, audience: Audience) -> None:
    """They like films of their own camp, which als finds and popularity does not."""
    make_experiment(pk=FIRST_ID, algorithm_a="als", algorithm_b="popularity")
    simulate(audience, lambda camp, film: audience.camp_of(film.pk) == camp)
    [outcome] = outcomes(staff)
    assert (outcome["viewers"], outcome["missing"]) == (45, [])
    assert outcome["winner"] == "a"
    assert outcome["preference_low"] > 0.5


def test_indifferent_viewers_leave_the_experiment_open(staff: Client, audience: Audience) -> None:
    make_experiment(pk=FIRST_ID, algorithm_a="als", algorithm_b="popularity")
    simulate(audience, lambda camp, film: True)
    [outcome] = outcomes(staff)
    assert outcome["wins_a"] > 5
    assert outcome["wins_b"] > 5
    assert outcome["winner"] is None


def test_an_experiment_is_not_deleted_while_its_impressions_wait_in_valkey(
    staff: Client, audience: Audience
) -> None:
    experiment = make_experiment(algorithm_a="als", algorithm_b="popularity")
    assert listed(Client(audience.viewers[0][0]), limit=10)["items"]
    assert staff.delete(f"/experiments/{experiment.pk}").status_code == 409
    [outcome] = outcomes(staff)
    assert (outcome["viewers"], outcome["impressions_a"] + outcome["impressions_b"]) == (1, 10)


@pytest.mark.django_db(transaction=True)
def test_the_admin_loses_no_impressions_of_an_experiment_that_it_does_not_delete(
    staff: Client, admin_client: Browser, audience: Audience
) -> None:
    experiment = make_experiment(algorithm_a="als", algorithm_b="popularity")
    assert listed(Client(audience.viewers[0][0]), limit=10)["items"]
    path = page(Experiment, "delete", experiment.pk)
    admin_client.post(path, {"post": "yes"})
    [outcome] = outcomes(staff)
    assert outcome["impressions_a"] + outcome["impressions_b"] == 10


def test_an_experiment_reports_lists_and_clicks_of_viewers(
    staff: Client, audience: Audience
) -> None:
    """Through the API, and by way of Valkey."""
    make_experiment(algorithm_a="als", algorithm_b="popularity")
    viewer = Client(audience.viewers[0][0])
    answer = listed(viewer, limit=10)
    opened = answer["items"][0]["movie"]["id"]
    clicked = viewer.post(f"/recommendations/{answer['list_id']}/clicks", {"movie_id": opened})
    assert clicked.status_code == 204
    store_waiting()
    [outcome] = outcomes(staff)
    assert (outcome["viewers"], outcome["impressions_a"], outcome["impressions_b"]) == (1, 5, 5)
    assert outcome["clicks_a"] + outcome["clicks_b"] == 1
    assert outcome["wins_a"] + outcome["wins_b"] == 1
    told = staff.get("/analytics/recommendations").json()
    by_algorithm = {each["algorithm"]: each["impressions"] for each in told["algorithms"]}
    assert by_algorithm == {"als": 5, "popularity": 5}
    assert (told["total"]["lists"], told["total"]["viewers"]) == (1, 1)
