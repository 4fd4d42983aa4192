"""A training run: what makes one, what it publishes, and how it reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from movies.models import Movie
from recommendations import selectors, tasks
from recommendations.engine import artifacts
from recommendations.models import Interaction, Release, TrainingRun
from recommendations.training import runs
from recommendations.training.runs import run_training
from tests.audience import (
    change_something,
    current,
    directories,
    make_audience,
    train,
    train_release,
)
from tests.builders import Client, change_movie, interact, make_movie, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("home"), pytest.mark.every_python]
State = TrainingRun.State


# --- publishing


def test_training_publishes_a_release(home: Path) -> None:
    audience = make_audience()
    run = train()
    assert (run.state, run.percent, run.message) == (State.PUBLISHED, 100, "")
    assert run.attempts == 1
    release = current()
    assert run.release == release
    viewers = sum(len(camp) for camp in audience.viewers)
    assert (release.users, release.items) == (viewers, len(audience.all_movies))
    assert release.interactions == Interaction.objects.count()

    assert directories(home) == {release.directory}
    directory = home / "releases" / release.directory
    manifest = orjson.loads((directory / "manifest.json").read_bytes())
    assert manifest["algorithms"] == ["popularity", "als", "content", "ease", "hybrid"]
    assert manifest["metrics"] == release.metrics
    assert manifest["users"] == release.users
    assert manifest["left_out"] == release.left_out
    assert release.left_out["user_knn"] == "TRAINING_ALGORITHMS does not name it."
    arrays, _ = artifacts.load(directory)
    assert {path.stem for path in directory.glob("*.npy")} < arrays.keys()
    assert arrays["item_ids"].tolist() == [movie.pk for movie in audience.all_movies]


def test_a_cinema_without_viewers_or_movies_can_train(staff: Client, home: Path) -> None:
    release = train_release()
    assert (release.items, release.interactions) == (0, 0)
    [shown] = staff.get("/releases").json()["data"]
    assert (shown["metrics"]["als"]["users"], shown["metrics"]["als"]["ndcg"]) == (0, None)
    make_movie()
    assert train().state == State.PUBLISHED


def test_one_like_is_enough_to_publish() -> None:
    interact(make_user(), make_movie())
    assert train().state == State.PUBLISHED


def test_a_training_without_new_data_writes_no_files(home: Path) -> None:
    make_audience()
    release = train_release()
    before = directories(home)
    run = train()
    assert (run.state, run.percent) == (State.UNCHANGED, 100)
    assert str(release) in run.message
    assert directories(home) == before
    assert Release.objects.count() == 1


def test_force_trains_all_the_same() -> None:
    make_audience()
    first = train_release()
    assert train_release(force=True) == current() != first


def rate(user_id: int) -> None:
    interact(make_user(), Movie.objects.all()[0], "rating", half_stars=8)


def take_back(user_id: int) -> None:
    Interaction.objects.filter(user_id=user_id)[0].delete()


def correct(user_id: int) -> None:
    mine = Interaction.objects.filter(user_id=user_id, kind=Interaction.Kind.RATING)
    assert mine.update(half_stars=1)


def post(user_id: int) -> None:
    make_movie()


def withdraw(user_id: int) -> None:
    Movie.objects.filter(pk=Movie.objects.all()[0].pk).update(withdrawn_at=timezone.now())


def close(user_id: int) -> None:
    from users.models import User

    User.objects.filter(pk=user_id).update(is_active=False)


@pytest.mark.parametrize("change", [rate, take_back, correct, post, withdraw, close])
def test_any_change_of_the_data_is_trained_on(change: Callable[[int], None]) -> None:
    audience = make_audience(viewers_each=4, movies_each=5)
    train()
    change(audience.viewers[0][0].pk)
    assert train().state == State.PUBLISHED


def test_signing_up_is_no_reason_to_fail() -> None:
    make_audience(viewers_each=4, movies_each=5)
    train()
    make_user()
    assert train().state in (State.PUBLISHED, State.UNCHANGED)


# --- the run that beat makes


def test_beat_makes_a_run_only_if_something_has_changed() -> None:
    make_audience(viewers_each=4, movies_each=5)
    tasks.train()
    tasks.train()
    assert list(TrainingRun.objects.values_list("state", flat=True)) == [State.PUBLISHED]
    change_something()
    tasks.train()
    assert Release.objects.count() == 2


def test_beat_asks_for_a_run_that_shows_while_it_waits(staff: Client) -> None:
    make_audience(viewers_each=4, movies_each=5)
    tasks.request_training()
    tasks.request_training()
    [run] = TrainingRun.objects.all()
    assert staff.get(f"/releases/runs/{run.pk}").json()["state"] == "queued"
    tasks.train(run.pk)
    tasks.request_training()
    assert TrainingRun.objects.count() == 1
    change_something()
    tasks.request_training()
    assert TrainingRun.objects.count() == 2


def test_beat_carries_out_the_run_that_waits() -> None:
    make_audience(viewers_each=4, movies_each=5)
    waiting = TrainingRun.objects.create()
    tasks.train()
    waiting.refresh_from_db()
    assert waiting.state == State.PUBLISHED
    assert TrainingRun.objects.count() == 1


def test_the_fingerprint_costs_no_look_at_the_interactions(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(3) as queries:
        selectors.fingerprint()
    assert not any("interaction" in query["sql"] for query in queries.captured_queries)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HYBRID_WEIGHTS", {"collaborative": 1.0, "content": 0.0, "popularity": 0.0}),
        ("TRAINING_ALGORITHMS", ("als",)),
        ("TMDB_USE_FOR_TRAINING", True),
        ("INTERACTION_WEIGHTS", {"like": 1}),
    ],
)
def test_the_fingerprint_changes_with_the_training_settings(
    settings: Settings, name: str, value: object
) -> None:
    before = selectors.fingerprint()
    assert selectors.fingerprint() == before
    setattr(settings, name, value)
    assert selectors.fingerprint() != before


def test_the_fingerprint_changes_with_the_features() -> None:
    movie = make_movie(overview="Paris.")
    before = selectors.fingerprint()
    change_movie(movie, overview="London.")
    assert selectors.fingerprint() != before
    assert len(before) <= 64  # as its column


# --- progress and failure


def test_progress_can_be_read_while_it_lasts() -> None:
    make_audience(viewers_each=4, movies_each=5)
    seen: list[tuple[str, int]] = []
    run = TrainingRun.objects.create()

    def watch(phase: str, percent: int) -> None:
        seen.append((phase, percent))

    class Reading(runs.Progress):
        """Looks into the table each time that something was reported."""

        def report(self, phase: str, percent: float) -> None:
            super().report(phase, percent)
            row = TrainingRun.objects.get(pk=run.pk)
            assert (row.state, row.phase) == (State.RUNNING, phase)
            assert row.percent <= int(percent)
            assert row.started_at is not None
            assert row.finished_at is None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "Progress", Reading)
        run_training(run, watch=watch)
    percents = [percent for _, percent in seen]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 98)
    phases = list(dict.fromkeys(phase for phase, _ in seen))
    names = ("popularity", "als", "content", "ease", "hybrid")
    assert phases == [
        "loading",
        *(f"{doing} {name}" for name in names for doing in ("fitting", "evaluating")),
        *(f"updating {name}" for name in names),
        "publishing",
    ]
    run.refresh_from_db()
    assert (run.state, run.percent) == (State.PUBLISHED, 100)
    assert run.started_at
    assert run.finished_at
    assert run.started_at <= run.finished_at


def test_a_training_that_fails_says_why_and_leaves_the_standing_release(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audience(viewers_each=4, movies_each=5)
    standing = train_release()
    before = directories(home)

    def full(*args: Any) -> None:
        raise OSError("No space left on device")

    run = TrainingRun.objects.create()
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "_checksum", full)
        with pytest.raises(OSError, match="No space"):
            run_training(run, force=True)
    run.refresh_from_db()
    assert (run.state, run.message) == (State.FAILED, "OSError: No space left on device")
    assert current() == standing
    assert directories(home) == before
    train(force=True)
    assert len(directories(home) - before) == 1


def test_a_training_that_is_interrupted_is_not_carried_out_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C at `manage.py train`."""
    interact(make_user(), make_movie())

    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "_checksum", interrupt)
        with pytest.raises(CommandError, match=r"^Interrupted\.$"):
            call_command("train", verbosity=0)
    run = TrainingRun.objects.get()
    assert (run.state, run.message) == (State.FAILED, "Interrupted.")
    assert run.finished_at
    tasks.resume_training()
    assert TrainingRun.objects.get().state == State.FAILED
