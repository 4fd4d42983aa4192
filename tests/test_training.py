"""From a request to a published release, and what goes wrong on the way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from celery.contrib.testing.worker import start_worker
from django.db import connection
from django.utils import timezone
from kombu import Connection, pools
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from cinema.celery import app
from cinema.locks import single_run
from movies.models import Movie
from recommendations import releases, selectors, services, tasks, training
from recommendations.engine import artifacts
from recommendations.models import Interaction, Release, TrainingRun
from recommendations.training import MAX_ATTEMPTS, run_training
from tests.audience import make_audience, train, train_release
from tests.builders import Client, interact, make_movie, make_user
from tests.concurrency import at_once

pytestmark = pytest.mark.django_db
over_connections = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parent.parent
State = TrainingRun.State


@pytest.fixture(autouse=True)
def home(settings: Settings, tmp_path: Path) -> Path:
    """Releases of this test alone."""
    settings.CINEMA_HOME = tmp_path
    return tmp_path


def directories(home: Path) -> set[str]:
    root = home / "releases"
    return {path.name for path in root.iterdir()} if root.exists() else set()


def current() -> Release:
    return Release.objects.get(is_current=True)


def change_something() -> None:
    interact(make_user(), Movie.objects.all()[0])


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
    assert manifest["algorithms"] == ["popularity", "als"]
    assert manifest["metrics"] == release.metrics
    assert manifest["users"] == release.users
    assert manifest["left_out"] == {}
    arrays, _ = artifacts.load(directory)
    assert {path.stem for path in directory.glob("*.npy")} == arrays.keys()
    assert arrays["item_ids"].tolist() == [movie.pk for movie in audience.all_movies]


def test_als_beats_popularity_where_viewers_have_tastes() -> None:
    make_audience()
    metrics = train_release().metrics
    assert metrics["als"]["users"] >= training.ENOUGH_USERS
    assert metrics["als"]["ndcg"] > 1.5 * metrics["popularity"]["ndcg"]


def test_an_algorithm_that_is_worse_than_popularity_is_left_out(home: Path) -> None:
    """Where there are no tastes, only films that more and more people see, a taste is noise."""
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
        for movie in set(luck.choices(movies, chances, k=12))
    )
    release = train_release()
    _, manifest = artifacts.load(home / "releases" / release.directory)
    assert manifest["algorithms"] == ["popularity"]
    assert "below popularity" in manifest["left_out"]["als"]
    assert release.metrics["als"]["ndcg"] < release.metrics["popularity"]["ndcg"]


def test_a_cinema_without_viewers_or_movies_can_train(staff: Client, home: Path) -> None:
    release = train_release()
    assert (release.items, release.interactions) == (0, 0)
    [shown] = staff.get("/releases").json()["data"]
    assert shown["metrics"]["als"] == {
        "users": 0, "k": 10, "ndcg": None, "recall": None, "hit_rate": None, "coverage": None,
    }  # fmt: skip
    make_movie()
    assert train().state == State.PUBLISHED


def test_one_like_is_enough_to_publish() -> None:
    interact(make_user(), make_movie())
    assert train().state == State.PUBLISHED


def test_nothing_new_is_unchanged_and_writes_no_files(home: Path) -> None:
    make_audience()
    release = train_release()
    before = directories(home)
    run = train()
    assert (run.state, run.percent) == (State.UNCHANGED, 100)
    assert str(release) in run.message
    assert directories(home) == before
    assert Release.objects.count() == 1


def test_beat_does_not_try_again_what_was_rejected_until_the_data_change() -> None:
    user, movie = make_user(), make_movie()
    interact(user, movie)
    TrainingRun.objects.create(state=State.REJECTED, fingerprint=selectors.fingerprint())
    tasks.train()
    assert TrainingRun.objects.count() == 1
    interact(user, movie, "seen")
    tasks.train()
    assert TrainingRun.objects.count() == 2


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


# --- the gate


def test_a_release_that_is_worse_than_the_standing_one_is_rejected(
    home: Path, settings: Settings
) -> None:
    make_audience()
    standing = train_release()
    before = directories(home)
    settings.TRAINING_FACTORS = 1  # with one direction alone three camps are not told apart
    change_something()
    run = train()
    assert run.state == State.REJECTED
    assert f"that {standing} reaches for the same viewers" in run.message
    assert run.phase == f"comparing with {standing}"
    assert (run.release, run.percent) == (None, 95)
    assert current() == standing
    assert directories(home) == before

    settings.TRAINING_GATE_MARGIN = 1
    assert train().state == State.PUBLISHED


def test_data_that_have_become_harder_reject_no_release() -> None:
    """Half a year of tastes, then an evening of everybody and one film: nobody foresees that."""
    audience = make_audience()
    standing = train_release()
    film = make_movie()
    for user in audience.viewers[0]:
        interact(user, film, "superlike")
    release = train_release()
    best_before, best_after = (r.metrics["als"]["ndcg"] for r in (standing, release))
    assert best_after < 0.7 * best_before
    assert current() == release


def test_a_standing_release_that_is_damaged_is_replaced(home: Path, settings: Settings) -> None:
    make_audience()
    standing = train_release()
    (home / "releases" / standing.directory / "als.gram.npy").unlink()
    settings.TRAINING_FACTORS = 1
    assert train(force=True).state == State.PUBLISHED


def test_with_too_few_viewers_to_judge_nothing_is_rejected(settings: Settings) -> None:
    make_audience(viewers_each=5)
    train()
    settings.TRAINING_FACTORS = 1
    assert train(force=True).state == State.PUBLISHED


# --- old files


def test_the_last_three_are_kept(home: Path) -> None:
    make_audience(viewers_each=4, movies_each=5)
    published = [train_release(force=True) for _ in range(5)]
    kept = {release.directory for release in published[-3:]}
    assert directories(home) == kept
    stored = dict(Release.objects.values_list("pk", "directory"))
    assert [stored[release.pk] for release in published[:2]] == ["", ""]
    assert {stored[release.pk] for release in published[2:]} == kept


def test_the_current_release_is_kept_though_it_is_old(home: Path, settings: Settings) -> None:
    make_audience(viewers_each=4, movies_each=5)
    oldest, middle, newest = (train_release(force=True) for _ in range(3))
    releases.activate_release(release_id=oldest.pk)
    settings.RELEASES_KEPT = 1
    releases.remove_old_releases()
    assert directories(home) == {oldest.directory, newest.directory}
    assert current() == oldest
    assert Release.objects.get(pk=middle.pk).directory == ""


def test_what_no_release_knows_is_cleaned_away(home: Path) -> None:
    make_audience(viewers_each=4, movies_each=5)
    for name in (".20250101T000000-0badcafe.unfinished", "20250101T000000-0badcafe"):
        (home / "releases" / name).mkdir(parents=True)
        (home / "releases" / name / "als.gram.npy").write_bytes(b"half of it")
    release = train_release()
    assert directories(home) == {release.directory}


# --- progress and failure


def test_progress_can_be_read_while_it_lasts() -> None:
    make_audience(viewers_each=4, movies_each=5)
    seen: list[tuple[str, int]] = []
    run = TrainingRun.objects.create()

    def watch(phase: str, percent: int) -> None:
        seen.append((phase, percent))

    class Reading(training.Progress):
        """Looks into the table each time that something was reported."""

        def report(self, phase: str, percent: float) -> None:
            super().report(phase, percent)
            row = TrainingRun.objects.get(pk=run.pk)
            assert (row.state, row.phase) == (State.RUNNING, phase)
            assert row.percent <= int(percent)
            assert row.started_at is not None
            assert row.finished_at is None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "Progress", Reading)
        run_training(run, watch=watch)
    percents = [percent for _, percent in seen]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 98)
    phases = list(dict.fromkeys(phase for phase, _ in seen))
    assert phases == [
        "loading",
        "fitting popularity",
        "evaluating popularity",
        "updating popularity",
        "fitting als",
        "evaluating als",
        "updating als",
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
    train(force=True)
    assert len(directories(home) - before) == 1


def test_a_run_that_takes_the_trainer_down_each_time_is_given_up() -> None:
    run = TrainingRun.objects.create(state=State.RUNNING, attempts=MAX_ATTEMPTS)
    assert run_training(run).state == State.FAILED
    assert str(MAX_ATTEMPTS) in run.message
    assert not Release.objects.exists()


# --- the task


def test_beat_makes_a_run_only_if_something_has_changed() -> None:
    make_audience(viewers_each=4, movies_each=5)
    tasks.train()
    tasks.train()
    assert list(TrainingRun.objects.values_list("state", flat=True)) == [State.PUBLISHED]
    change_something()
    tasks.train()
    assert Release.objects.count() == 2


def test_beat_carries_out_the_run_that_waits() -> None:
    make_audience(viewers_each=4, movies_each=5)
    waiting = TrainingRun.objects.create()
    tasks.train()
    waiting.refresh_from_db()
    assert waiting.state == State.PUBLISHED
    assert TrainingRun.objects.count() == 1


def test_a_message_delivered_twice_trains_once() -> None:
    make_audience(viewers_each=4, movies_each=5)
    run = TrainingRun.objects.create()
    tasks.train(run.pk)
    tasks.train(run.pk)
    tasks.train(run.pk + 1000)
    assert Release.objects.count() == 1
    run.refresh_from_db()
    assert run.attempts == 1


@over_connections
def test_two_deliveries_at_once_train_once() -> None:
    make_audience(viewers_each=4, movies_each=5)
    run = TrainingRun.objects.create()
    at_once([partial(tasks.train, run.pk)] * 2)
    assert Release.objects.count() == 1
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.PUBLISHED, 1)


def test_while_another_trains_a_run_waits() -> None:
    run = TrainingRun.objects.create()
    with single_run(tasks.LOCK) as acquired:
        assert acquired
        tasks.train(run.pk)
        tasks.resume_training()
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.QUEUED, 0)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The runs that a message to the trainer went out for."""
    ids: list[int] = []
    monkeypatch.setattr(services, "send_to_trainer", ids.append)
    return ids


def test_only_what_is_dead_or_lost_is_sent_again(sent: list[int]) -> None:
    long_ago = timezone.now() - 2 * tasks.MESSAGE_LOST_AFTER
    dead = TrainingRun.objects.create(state=State.RUNNING, attempts=1)
    lost = TrainingRun.objects.create(created_at=long_ago)
    just_asked = TrainingRun.objects.create()
    for state in (State.PUBLISHED, State.UNCHANGED, State.REJECTED, State.FAILED):
        TrainingRun.objects.create(state=state, created_at=long_ago)
    tasks.resume_training()
    assert sorted(sent) == [dead.pk, lost.pk]
    for run in (dead, lost, just_asked):
        run.refresh_from_db()
        assert run.state == State.QUEUED


@over_connections
def test_a_training_asked_for_by_many_at_once_is_one(staff: Client, sent: list[int]) -> None:
    answers = at_once([partial(staff.post, "/releases/train")] * 8)
    assert [answer.status_code for answer in answers] == [202] * 8
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sent == [answers[0].json()["id"]]


@over_connections
def test_a_broker_that_is_away_loses_no_request(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody_listens = Connection("redis://127.0.0.1:1")
    with monkeypatch.context() as patch:
        patch.setattr(app.amqp, "_producer_pool", pools.producers[nobody_listens])
        answer = staff.post("/releases/train")
    assert answer.status_code == 202
    assert staff.get(f"/releases/runs/{answer.json()['id']}").json()["state"] == "queued"


# --- killed


#: Trains as the task does, and stops for good where the test wants it to.
KILLABLE = """
import sys, time
import django
from django.conf import settings

database, settings.CINEMA_HOME, where, run_id = sys.argv[1:]
settings.DATABASES["default"]["NAME"] = database
django.setup()
from recommendations import tasks, training

def stop(*args, **kwargs):
    print("here", flush=True)
    time.sleep(60)

setattr(training, where, stop)
tasks.train(int(run_id))
"""


@over_connections
@pytest.mark.parametrize("where", ["evaluate", "make_current"])
def test_a_training_that_is_killed_is_carried_out_again(
    home: Path, sent: list[int], where: str
) -> None:
    make_audience(viewers_each=4, movies_each=5)
    standing = train_release()
    change_something()
    run = TrainingRun.objects.create()
    database = str(connection.settings_dict["NAME"])
    child = subprocess.Popen(
        [sys.executable, "-c", KILLABLE, database, str(home), where, str(run.pk)],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "cinema.settings"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout
        assert child.stdout.readline() == "here\n"
        child.send_signal(signal.SIGKILL)
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.RUNNING, 1)
    assert current() == standing
    artifacts.load(home / "releases" / standing.directory)

    wait_until(lambda: sent == [run.pk], doing=tasks.resume_training)
    tasks.train(run.pk)
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.PUBLISHED, 2)
    assert run.release == current() != standing
    assert directories(home) == {standing.directory, current().directory}


def wait_until(
    holds: Callable[[], bool], *, doing: Callable[[], object] = lambda: None, timeout_s: float = 10
) -> None:
    """Do something again and again until the condition holds."""
    give_up_at = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < give_up_at
        doing()
        time.sleep(0.02)


# --- with a real worker


@contextmanager
def working_trainer() -> Iterator[None]:
    """A Celery worker in a thread, fed by the broker. What earlier tests have sent is gone."""
    with app.connection_for_write() as broker, broker.SimpleQueue("training") as queue:
        queue.clear()
    of_any_task: Any = app  # celery-types knows of no task class but its own
    with start_worker(
        of_any_task, pool="solo", queues=["training"], perform_ping_check=False, shutdown_timeout=10
    ):
        yield


@over_connections
def test_a_worker_carries_out_what_staff_ask_for_over_http(staff: Client) -> None:
    make_audience(viewers_each=4, movies_each=5)
    with working_trainer():
        asked = staff.post("/releases/train")
        assert asked.status_code == 202
        path = asked["Location"]
        assert path == f"/api/v1/releases/runs/{asked.json()['id']}"
        wait_until(lambda: staff.get(path).json()["state"] == "published")
        run = staff.get(path).json()
        assert (run["percent"], run["release_id"]) == (100, current().pk)
        [release] = staff.get("/releases").json()["data"]
        assert (release["id"], release["is_current"]) == (run["release_id"], True)
        # What was killed is sent again, and carried out by the same worker.
        change_something()
        dead = TrainingRun.objects.create(state=State.RUNNING, attempts=1)
        tasks.resume_training()
        wait_until(
            lambda: staff.get(f"/releases/runs/{dead.pk}").json()["state"] == "published",
            timeout_s=60,  # a solo worker on RabbitMQ takes its next message after 10 s
        )


# --- releases through HTTP


def test_staff_go_back_and_forth_between_releases(staff: Client) -> None:
    make_audience(viewers_each=4, movies_each=5)
    old, new = train_release(), train_release(force=True)
    for wanted in (old, new, new):
        answer = staff.post(f"/releases/{wanted.pk}/activate")
        assert answer.status_code == 200
        assert (answer.json()["id"], answer.json()["is_current"]) == (wanted.pk, True)
        assert current() == wanted


def test_a_release_whose_files_are_deleted_cannot_be_activated(
    staff: Client, settings: Settings
) -> None:
    settings.RELEASES_KEPT = 1
    make_audience(viewers_each=4, movies_each=5)
    old, new = train_release(), train_release(force=True)
    answer = staff.post(f"/releases/{old.pk}/activate")
    assert answer.status_code == 409
    assert "deleted" in answer.json()["detail"]
    assert current() == new
    shown = {row["id"]: row["can_be_activated"] for row in staff.get("/releases").json()["data"]}
    assert shown == {old.pk: False, new.pk: True}


def test_a_damaged_release_cannot_be_activated(staff: Client, home: Path) -> None:
    make_audience(viewers_each=4, movies_each=5)
    old, new = train_release(), train_release(force=True)
    with (home / "releases" / old.directory / "als.gram.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x5a")
    assert staff.post(f"/releases/{old.pk}/activate").status_code == 409
    assert current() == new


@over_connections
def test_releases_activated_at_once_leave_one_current(staff: Client) -> None:
    make_audience(viewers_each=4, movies_each=5)
    published = [train_release(force=True) for _ in range(3)]
    for _ in range(3):
        calls = [partial(staff.post, f"/releases/{release.pk}/activate") for release in published]
        assert {answer.status_code for answer in at_once(calls * 3)} == {200}
        assert current() in published


def test_what_is_not_there_is_404(staff: Client) -> None:
    for number in (999_999_999, 10**30):
        assert staff.post(f"/releases/{number}/activate").status_code == 404
        assert staff.get(f"/releases/runs/{number}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/releases"),
        ("POST", "/releases/train"),
        ("GET", "/releases/runs/1"),
        ("POST", "/releases/1/activate"),
    ],
)
def test_releases_are_for_staff(anonymous: Client, viewer: Client, method: str, path: str) -> None:
    assert anonymous.send(method, path).status_code == 401
    assert viewer.send(method, path).status_code == 403
    assert not TrainingRun.objects.exists()


def test_releases_are_listed_with_a_fixed_number_of_queries(
    staff: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    make_audience(viewers_each=4, movies_each=5)
    for _ in range(4):
        train_release(force=True)
    with django_assert_num_queries(3):  # who asks, how many, which
        body = staff.get("/releases", per_page=3).json()
    assert body["pagination"] == {"page": 1, "per_page": 3, "total": 4, "pages": 2}
    ids = [row["id"] for row in body["data"]]
    assert ids == sorted(ids, reverse=True)
    assert [row["is_current"] for row in body["data"]] == [True, False, False]


def test_the_fingerprint_costs_no_look_at_the_interactions(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(2) as queries:
        selectors.fingerprint()
    assert not any("interaction" in query["sql"] for query in queries.captured_queries)
