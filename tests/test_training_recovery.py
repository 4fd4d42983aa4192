"""A run that is delivered twice, lost or killed, and one that a real worker carries out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from kombu import Connection, pools

from cinema.celery import app
from cinema.locks import is_held, single_run
from recommendations import tasks
from recommendations.engine import artifacts
from recommendations.models import Release, TrainingRun
from recommendations.training import requests
from recommendations.training.runs import MAX_ATTEMPTS, run_training
from tests.audience import change_something, current, directories, make_audience, train_release
from tests.builders import Client
from tests.concurrency import at_once
from tests.running import database_of_this_test
from tests.shared_servers import training_queue
from tests.workers import working

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("home")]
over_connections = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parent.parent
State = TrainingRun.State


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The runs that a message to the trainer went out for."""
    ids: list[int] = []
    monkeypatch.setattr(requests, "send_to_trainer", lambda run_id, **options: ids.append(run_id))
    return ids


# --- delivered


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
    with single_run(tasks.TRAINING_LOCK) as acquired:
        assert acquired
        tasks.train(run.pk)
        tasks.resume_training()
    run.refresh_from_db()
    assert (run.state, run.attempts) == (State.QUEUED, 0)


def test_a_run_that_finds_the_lock_held_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that has just ended may hold it for a moment."""
    run = TrainingRun.objects.create()
    acquired = iter([False, False, True])
    trained: list[int] = []
    monkeypatch.setattr(tasks, "single_run", lambda name: nullcontext(next(acquired)))
    monkeypatch.setattr(tasks, "run_in_process", lambda _, pk, **limits: trained.append(pk))
    tasks.train.apply((run.pk,))
    assert trained == [run.pk]
    assert not list(acquired)


def test_a_run_that_finds_the_lock_held_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """`resume_training` sends it again: no message waits for a long training."""
    run = TrainingRun.objects.create()
    attempts = count()
    monkeypatch.setattr(tasks, "single_run", lambda name: nullcontext(next(attempts) < 0))
    tasks.train.apply((run.pk,))
    assert next(attempts) == 1 + tasks.LOCK_RETRIES


# --- sent


def test_only_dead_and_lost_runs_are_sent_again(sent: list[int]) -> None:
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
    assert lost.message.startswith("No trainer has begun it. Sent again at ")
    assert run_training(lost).message == ""


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


def test_a_run_that_takes_the_trainer_down_each_time_is_given_up() -> None:
    run = TrainingRun.objects.create(state=State.RUNNING, attempts=MAX_ATTEMPTS)
    assert run_training(run).state == State.FAILED
    assert str(MAX_ATTEMPTS) in run.message
    assert not Release.objects.exists()


#: Trains as the task does, and stops for good where the test wants it to.
KILLABLE = """
import sys, time
import django
from django.conf import settings

database, settings.CINEMA_HOME, where, run_id = sys.argv[1:]
settings.DATABASES["default"]["NAME"] = database
django.setup()
from importlib import import_module
from recommendations import tasks

def stop(*args, **kwargs):
    print("here", flush=True)
    time.sleep(60)

module, _, function = where.rpartition(".")
setattr(import_module(f"recommendations.{module}"), function, stop)
tasks.train(int(run_id))
"""


@over_connections
@pytest.mark.parametrize(
    "where", ["training.fitting.evaluate_lists", "training.runs.publish_release"]
)
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
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
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
    holds: Callable[[], bool], *, doing: Callable[[], object] = lambda: None, timeout_s: float = 60
) -> None:
    """Do something again and again until the condition holds."""
    give_up_at = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < give_up_at
        doing()
        time.sleep(0.02)


# --- with a real worker


@over_connections
def test_a_worker_carries_out_what_staff_ask_for_over_http(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_audience(viewers_each=4, movies_each=5)
    for name, value in database_of_this_test().items():
        monkeypatch.setenv(name, value)  # of the process that trains
    with working(training_queue()):
        asked = staff.post("/releases/train")
        assert asked.status_code == 202
        path = asked["Location"]
        assert path == f"/api/v1/releases/runs/{asked.json()['id']}"
        # The process of a training has a low priority, so a busy machine takes long to start it.
        wait_until(lambda: staff.get(path).json()["state"] == "published", timeout_s=600)
        run = staff.get(path).json()
        assert (run["percent"], run["release_id"]) == (100, current().pk)
        [release] = staff.get("/releases").json()["data"]
        assert (release["id"], release["is_current"]) == (run["release_id"], True)
        # A killed training is sent again, and carried out by the same worker.
        wait_until(lambda: not is_held(tasks.TRAINING_LOCK))
        change_something()
        dead = TrainingRun.objects.create(state=State.RUNNING, attempts=1)
        tasks.resume_training()
        wait_until(
            lambda: staff.get(f"/releases/runs/{dead.pk}").json()["state"] == "published",
            timeout_s=600,  # a solo worker on RabbitMQ takes its next message after 10 s
        )
