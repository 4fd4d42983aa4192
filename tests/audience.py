"""A small cinema whose viewers have tastes: there is something to learn, in a moment."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from movies.models import Movie
from recommendations.models import Interaction, Release, TrainingRun
from recommendations.training import run_training
from tests.builders import make_movie, make_user
from users.models import User

Kind = Interaction.Kind


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
