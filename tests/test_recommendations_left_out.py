"""Films that were acted on, are withdrawn, or are not showing are never in a list."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from movies.days import cinema_day, start_of_cinema_day
from movies.models import Movie, Screening
from recommendations.models import Interaction
from tests.audience import ids, listed, make_audience, rate, say, sources, train_release
from tests.builders import Client, at, make_movie, make_screening, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_and_alone")]


def allowed(client: Client, *, scope: str, days: int) -> set[int]:
    """The movies that the viewer may be shown, by the rows of the database."""
    acted_on = Interaction.objects.filter(user=client.user).values("movie_id")
    movies = Movie.objects.filter(withdrawn_at=None).exclude(pk__in=acted_on)
    if scope == "programme":
        now = timezone.now()
        to_come = Screening.objects.filter(
            starts_at__gt=now,
            starts_at__lt=start_of_cinema_day(cinema_day(now) + timedelta(days=days)),
            state__in=["scheduled", "sold-out"],
        )
        movies = movies.filter(pk__in=to_come.values("movie_id"))
    return set(movies.values_list("pk", flat=True))


class Chance:
    """A viewer and a staff who do whatever they please."""

    def __init__(self, seed: int, viewer: Client, movies: list[Movie]) -> None:
        self.luck = random.Random(seed)
        self.viewer = viewer
        self.movies = movies
        self.screenings: list[Screening] = []

    def step(self) -> None:
        act, show = self.act, self.show
        steps = [act, act, act, self.take_back, self.publish_or_withdraw, self.post]
        self.luck.choice([*steps, show, show, self.change_screening])()

    def act(self) -> None:
        movie = self.luck.choice(self.movies)
        kind = self.luck.choice(["like", "superlike", "dislike", "seen", "hide", "rating"])
        if kind == "rating":
            rate(self.viewer, movie, self.luck.randint(1, 10) / 2)
        else:
            say(self.viewer, movie, kind)

    def take_back(self) -> None:
        if mine := list(Interaction.objects.filter(user=self.viewer.user)):
            self.viewer.delete(f"/interactions/{self.luck.choice(mine).pk}")

    def publish_or_withdraw(self) -> None:
        movie = self.luck.choice(self.movies)
        movie.withdrawn_at = None if movie.withdrawn_at else timezone.now()
        movie.save(update_fields=["withdrawn_at"])

    def post(self) -> None:
        self.movies.append(make_movie())

    def show(self) -> None:
        published = [movie for movie in self.movies if movie.withdrawn_at is None]
        moment = timezone.now() + timedelta(hours=self.luck.randint(-48, 24 * 20))
        self.screenings.append(make_screening(self.luck.choice(published), starts_at=moment))

    def change_screening(self) -> None:
        if self.screenings:
            screening = self.luck.choice(self.screenings)
            screening.state = self.luck.choice(Screening.State.values)
            screening.save()

    def question(self) -> dict[str, Any]:
        return {
            "scope": self.luck.choice(["catalogue", "programme"]),
            "days": self.luck.choice([1, 7, 14]),
            "algorithm": self.luck.choice(["hybrid", "als", "popularity"]),
            "limit": self.luck.choice([7, 20, 40]),
        }


@pytest.mark.parametrize("seed", range(3))
def test_nothing_acted_on_withdrawn_or_not_showing_is_ever_listed(seed: int) -> None:
    """After each step, by whomever, the list is right, and what comes next too."""
    audience = make_audience(viewers_each=8, movies_each=16, seed=seed)
    train_release()
    viewer = Client(audience.viewers[0][0] if seed else make_user())
    chance = Chance(seed, viewer, audience.all_movies)
    for _ in range(40):
        chance.step()
        question = chance.question()
        may_be_shown = allowed(viewer, scope=question["scope"], days=question["days"])
        shown = ids(listed(viewer, **question))
        assert len(shown) == len(set(shown)) == min(question["limit"], len(may_be_shown))
        assert set(shown) <= may_be_shown
        chance.step()
        rest = viewer.get("/recommendations/next")
        assert rest.status_code in (200, 404)
        following = set(ids(rest.json())) if rest.status_code == 200 else set()
        assert not following & set(shown)
        assert following <= allowed(viewer, scope=question["scope"], days=question["days"])


def test_the_programme_is_what_still_comes_within_the_days(viewer: Client) -> None:
    today = timezone.localdate()
    soon, later, over, cancelled, hidden, sold_out = (make_movie() for _ in range(6))
    make_screening(soon, starts_at=timezone.now() + timedelta(hours=5))
    make_screening(later, starts_at=at(today + timedelta(days=5), 20))
    make_screening(over, starts_at=timezone.now() - timedelta(minutes=5))
    tomorrow = timezone.now() + timedelta(hours=10)
    make_screening(cancelled, state="cancelled", starts_at=tomorrow)
    make_screening(hidden, state="hidden", starts_at=tomorrow)
    make_screening(sold_out, state="sold-out", starts_at=tomorrow)
    week = listed(viewer, scope="programme")
    assert ids(week) == [soon.pk, sold_out.pk, later.pk]
    assert (week["scope"], sources(week)) == ("programme", ["programme"])
    assert week["items"][0]["reasons"][0]["kind"] == "showing"
    assert ids(listed(viewer, scope="programme", days=2)) == [soon.pk, sold_out.pk]
    assert len(ids(listed(viewer))) == 6


def test_the_programme_is_ranked_by_taste(viewer: Client) -> None:
    audience = make_audience()
    for camp in (0, 1, 2):
        for movie in audience.movies[camp][4:6]:
            make_screening(movie)
    train_release()
    for movie in audience.movies[2][:4]:  # after two ratings popularity does most
        rate(viewer, movie, 5)
    answer = listed(viewer, scope="programme")
    assert len(answer["items"]) == 6
    assert [audience.camp_of(pk) for pk in ids(answer)[:2]] == [2, 2]
    assert "als" in sources(answer)
    assert sources(listed(viewer, scope="programme", algorithm="als")) == ["als"]
