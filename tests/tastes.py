"""Viewers of two tastes, and what one of them is told of films."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from movies.models import Movie
from recommendations.dataset import load_dataset
from recommendations.engine.algorithms.popularity import PopularityRecommender
from recommendations.models import Interaction, Release
from recommendations.training.fitting import TrainedModels
from recommendations.training.runs import publish
from tests.audience import rate
from tests.builders import Client, make_movie, make_user
from users.models import User

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response


@dataclass(frozen=True)
class Camps:
    """Two camps of viewers: each loves one half of the films and hates the other."""

    films: list[Movie]
    viewers: list[User]

    def loved_by(self, viewer: int) -> list[Movie]:
        return self.films[viewer % 2 :: 2]

    def hated_by(self, viewer: int) -> list[Movie]:
        return self.films[(viewer + 1) % 2 :: 2]


def two_camps(*, n_viewers: int = 24, n_films: int = 16) -> Camps:
    """Each viewer has rated all films but two of each half, in the order of the films."""
    luck = random.Random(1)
    camps = Camps([make_movie() for _ in range(n_films)], [make_user() for _ in range(n_viewers)])
    rows = []
    for number, viewer in enumerate(camps.viewers):
        left_out = luck.sample(camps.loved_by(number), 2) + luck.sample(camps.hated_by(number), 2)
        for film in camps.films:
            if film not in left_out:
                half_stars = luck.randint(8, 10) if film in camps.loved_by(number) else 2
                rows.append(Interaction(user=viewer, movie=film, kind=1, half_stars=half_stars))
    Interaction.objects.bulk_create(rows)
    return camps


def publish_release() -> Release:
    """Publish a release of today's ratings, without recommenders, which take long."""
    release = Release(
        users=1, items=1, interactions=1, metrics={}, fingerprint="today", training_s=0
    )
    return publish(release, TrainedModels({}, {}), load_dataset())


def publish_popularity() -> Release:
    """Publish a release of today's ratings that has popularity alone."""
    dataset = load_dataset()
    popularity = PopularityRecommender().fit(dataset.interactions, times=dataset.times)
    release = Release(
        users=1, items=1, interactions=1, metrics={}, fingerprint="today", training_s=0
    )
    return publish(release, TrainedModels({popularity.name: popularity}, {}), dataset)


def rate_as_camp(client: Client, camps: Camps, count: int) -> None:
    """The first films: the even ones are loved."""
    for number, film in enumerate(camps.films[:count]):
        assert rate(client, film, 5 if number % 2 == 0 else 1).status_code == 200


def shown(client: Client, film: Movie) -> dict[str, Any]:
    answer = client.get(f"/movies/{film.pk}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def score(client: Client, film: Movie) -> int | None:
    return shown(client, film).get("similarity_score")


def scores(answer: Response) -> dict[int, int | None]:
    assert answer.status_code == 200, answer.content
    return {film["id"]: film.get("similarity_score") for film in answer.json()["data"]}
