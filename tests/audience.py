"""A small cinema whose viewers have tastes, what is learnt from them, and what they say and see."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partialmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

from movies.models import Movie
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.models import Interaction, Release, TrainingRun
from recommendations.training.runs import run_training
from tests.builders import Client, interact, make_movie, make_user
from users.models import User

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

Kind = Interaction.Kind
Listed = dict[str, Any]


@dataclass(frozen=True)
class Audience:
    """Movies and viewers by camp: a viewer likes most of the own camp's and few of the others'."""

    movies: Sequence[Sequence[Movie]]
    viewers: Sequence[Sequence[User]]

    @property
    def all_movies(self) -> list[Movie]:
        return [movie for camp in self.movies for movie in camp]

    def camp_of(self, movie_id: int) -> int:
        camps = [{movie.pk for movie in camp} for camp in self.movies]
        return next(number for number, ids in enumerate(camps) if movie_id in ids)


def make_audience(
    *, n_camps: int = 3, viewers_each: int = 24, movies_each: int = 8, seed: int = 1
) -> Audience:
    """Over the last hundred days; every movie is liked by somebody."""
    luck = random.Random(seed)
    movies = [[make_movie() for _ in range(movies_each)] for _ in range(n_camps)]
    viewers = [[make_user() for _ in range(viewers_each)] for _ in range(n_camps)]
    audience = Audience(movies, viewers)
    rows = []
    for camp, users in enumerate(viewers):
        for user in users:
            liked = luck.sample(movies[camp], movies_each - 2)
            others = [m for m in audience.all_movies if m not in movies[camp]]
            strayed = luck.sample(others, min(2, len(others)))
            rows += [_of(user, movie, luck, likes=True) for movie in liked]
            rows += [_of(user, movie, luck, likes=luck.random() < 0.3) for movie in strayed]
    Interaction.objects.bulk_create(rows)
    return audience


def _of(user: User, movie: Movie, luck: random.Random, *, likes: bool) -> Interaction:
    kind = luck.choice([Kind.RATING, Kind.LIKE, Kind.SUPERLIKE] if likes else [Kind.DISLIKE])
    return Interaction(
        user=user,
        movie=movie,
        kind=kind,
        half_stars=luck.randint(8, 10) if kind is Kind.RATING else 0,
        updated_at=timezone.now() - timedelta(seconds=luck.randint(1, 100 * 24 * 3600)),
    )


def train(*, force: bool = False) -> TrainingRun:
    """Carry out a run here and now."""
    return run_training(TrainingRun.objects.create(), force=force)


def train_release(*, force: bool = False) -> Release:
    """The release that a training publishes."""
    run = train(force=force)
    assert run.release is not None, run.message
    return run.release


def current() -> Release:
    return Release.objects.get(is_current=True)


def directories(home: Path) -> set[str]:
    root = home / "releases"
    return {path.name for path in root.iterdir()} if root.exists() else set()


def change_something() -> None:
    interact(make_user(), Movie.objects.all()[0])


def say(client: Client, movie: Movie, kind: str, stars: float | None = None) -> Response:
    payload: dict[str, Any] = {"movie_id": movie.pk, "kind": kind}
    return client.post("/interactions", payload if stars is None else {**payload, "stars": stars})


def rate(client: Client, movie: Movie, stars: float) -> Response:
    return client.put(f"/movies/{movie.pk}/rating", {"stars": stars})


def body(answer: Response) -> Listed:
    assert answer.status_code == 200, answer.content
    listed: Listed = answer.json()
    return listed


def listed(client: Client, **query: Any) -> Listed:
    return body(client.get("/recommendations", **query))


def ids(listed: Listed) -> list[int]:
    return [item["movie"]["id"] for item in listed["items"]]


def sources(listed: Listed) -> list[str]:
    """Each source once, in the order of the list."""
    return list(dict.fromkeys(item["source"] for item in listed["items"]))


def set_options(monkeypatch: pytest.MonkeyPatch, algorithm: str, **options: object) -> None:
    """Give an algorithm other options than those of its constructor."""
    known: Any = ALGORITHMS[algorithm]
    constructor = partialmethod(known.__init__, **options)
    changed = type(known.__name__, (known,), {"__init__": constructor})
    monkeypatch.setitem(ALGORITHMS, algorithm, changed)
