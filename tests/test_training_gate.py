"""A training measures the models, and leaves out or rejects some."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from recommendations import selectors, tasks
from recommendations.engine import artifacts
from recommendations.models import Interaction, TrainingRun
from recommendations.training import fitting
from recommendations.training.runs import GATE_MARGIN, run_training
from tests.audience import (
    change_something,
    current,
    directories,
    make_audience,
    set_options,
    train,
    train_release,
)
from tests.builders import interact, make_movie, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("home")]
State = TrainingRun.State


# --- against popularity


def test_als_beats_popularity_where_viewers_have_tastes() -> None:
    make_audience()
    metrics = train_release().metrics
    assert metrics["als"]["users"] >= fitting.ENOUGH_USERS
    assert metrics["als"]["ndcg"] > 1.5 * metrics["popularity"]["ndcg"]


def test_an_algorithm_that_is_worse_than_popularity_is_left_out(home: Path) -> None:
    """The data have no tastes, only films of growing popularity, so a learned taste is noise."""
    luck = random.Random(1)
    movies, users = [make_movie() for _ in range(40)], [make_user() for _ in range(80)]
    chances = [1 / (place + 1) for place in range(len(movies))]
    Interaction.objects.bulk_create(
        Interaction(
            user=user,
            movie=movie,
            kind=Interaction.Kind.LIKE,
            updated_at=timezone.now() - timedelta(seconds=luck.randint(0, 10**6)),
        )
        for user in users
        for movie in dict.fromkeys(luck.choices(movies, chances, k=12))
    )
    release = train_release()
    directory = home / "releases" / release.directory
    _, manifest = artifacts.load(directory)
    ndcg = {name: quality["ndcg"] for name, quality in release.metrics.items()}
    assert ndcg["als"] < ndcg["popularity"]
    assert (
        manifest["left_out"]["als"]
        == release.left_out["als"]
        == (f"NDCG@10 {ndcg['als']:.4f}, below {ndcg['popularity']:.4f} of popularity.")
    )
    # An algorithm for films without interactions stays, and the default does without als.
    assert manifest["algorithms"] == ["popularity", "content", "ease", "hybrid"]
    assert not any("hybrid.als" in name for name in artifacts.load(directory)[0])


# --- against the standing release


def test_a_release_that_is_worse_than_the_standing_one_is_rejected(
    home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audience()
    standing = train_release()
    before = directories(home)
    # One factor cannot tell three camps apart.
    set_options(monkeypatch, "als", factors=1)
    change_something()
    run = train()
    assert run.state == State.REJECTED
    assert f"that {standing} reaches for the same viewers" in run.message
    assert run.phase == f"comparing with {standing}"
    assert (run.release, run.percent) == (None, 95)
    assert current() == standing
    assert directories(home) == before

    assert run_training(TrainingRun.objects.create(), accept_worse=True).state == State.PUBLISHED


def test_a_release_is_published_although_the_data_have_become_harder_to_predict() -> None:
    """Half a year of tastes, then an evening of everybody and one film: nobody foresees that."""
    audience = make_audience()
    standing = train_release()
    film = make_movie()
    for user in (user for camp in audience.viewers for user in camp):
        interact(user, film, "superlike")
    release = train_release()
    before, after = (r.metrics["hybrid"]["ndcg"] for r in (standing, release))
    assert after < (1 - GATE_MARGIN) * before
    assert current() == release


def test_a_standing_release_that_is_damaged_is_replaced(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audience()
    standing = train_release()
    (home / "releases" / standing.directory / "als.gram.npy").unlink()
    set_options(monkeypatch, "als", factors=1)
    assert train(force=True).state == State.PUBLISHED


def test_with_too_few_viewers_to_judge_nothing_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    make_audience(viewers_each=5)
    train()
    set_options(monkeypatch, "als", factors=1)
    assert train(force=True).state == State.PUBLISHED


def test_beat_does_not_try_again_what_was_rejected_until_the_data_change() -> None:
    user, movie = make_user(), make_movie()
    interact(user, movie)
    TrainingRun.objects.create(state=State.REJECTED, fingerprint=selectors.fingerprint())
    tasks.train()
    assert TrainingRun.objects.count() == 1
    interact(user, movie, "seen")
    tasks.train()
    assert TrainingRun.objects.count() == 2
