"""Trainings by `celery worker` as people start it: every pool, no --queues, slow imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from cinema import health
from cinema.celery import app
from cinema.development.processes import wait_for
from recommendations.models import TrainingRun
from recommendations.training.requests import request_training
from tests.audience import make_audience
from tests.running import command_of, database_of_this_test
from tests.shared_servers import training_queue

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.every_python]

ROOT = Path(__file__).resolve().parent.parent
State = TrainingRun.State
CARRIED_OUT_WITHIN_S = 600

#: Longer than the 4 s that Celery gives a child of the prefork pool by default. It is run by each
#: Python process, and only the ones that the worker starts are slow.
SLOW_CHILDREN = """
import sys, time
if "spawn_main" in str(sys.orig_argv) or "cinema.task_process" in sys.orig_argv:
    time.sleep(8)
"""


@pytest.fixture
def environment() -> dict[str, str]:
    """The variables of a worker on the servers of this test. Cinema sets those of BLAS."""
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    return kept | database_of_this_test()


@contextmanager
def celery(environment: dict[str, str], *arguments: str) -> Iterator[psutil.Process]:
    """`celery` with these arguments. What earlier tests have sent is gone."""
    with app.connection_for_write() as broker:
        for queue in app.conf.task_queues:
            queue(broker.default_channel).declare()
            queue(broker.default_channel).purge()
    log = Path(environment["CINEMA_HOME"]) / "celery.log"
    with log.open("wb") as output:
        worker = psutil.Popen(
            [sys.executable, "-m", "celery", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield worker
    except BaseException as error:
        error.add_note(log.read_text())
        raise
    finally:
        started = [worker, *worker.children(recursive=True)]
        worker.terminate()
        _, alive = psutil.wait_procs(started, timeout=20)
        for process in alive:
            process.kill()
        worker.wait()


def is_carried_out(run: TrainingRun) -> bool:
    run.refresh_from_db()
    return run.state not in TrainingRun.UNFINISHED


@pytest.mark.parametrize(
    "arguments",
    [
        ["-A", "cinema", "worker", "-P", "gevent"],
        ["-A", "cinema.celery", "worker", "--pool=solo"],
        ["-A", "cinema", "worker", "-P", "threads", "-c", "2"],
    ],
    ids=["gevent", "solo", "threads"],
)
def test_a_worker_that_is_started_without_queues_trains(
    environment: dict[str, str], arguments: Sequence[str]
) -> None:
    make_audience(viewers_each=4, movies_each=5)
    with celery(environment, *arguments):
        assert wait_for(
            lambda: health.look_at("workers")["workers"]["state"] == "ok", timeout_s=300
        )
        run = request_training()
        assert wait_for(lambda: is_carried_out(run), timeout_s=CARRIED_OUT_WITHIN_S, every_s=0.1)
        assert (run.state, run.attempts) == (State.PUBLISHED, 1)


def test_health_names_the_queue_that_no_worker_consumes(environment: dict[str, str]) -> None:
    queue = settings.CELERY_TASK_DEFAULT_QUEUE
    alone = ["--pool=solo", f"--queues={queue}", "--hostname=any-name@%h"]
    with celery(environment, "-A", "cinema", "worker", *alone):
        assert wait_for(
            lambda: health.look_at("workers")["workers"].get("missing") == [training_queue()],
            timeout_s=300,
        )


def test_a_late_worker_is_present_and_a_silent_one_is_missing(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "SEEN_FOR_S", 3600)
    with celery(environment, "-A", "cinema", "worker", "--pool=solo") as worker:
        assert wait_for(
            lambda: health.look_at("workers")["workers"]["state"] == "ok", timeout_s=300
        )
        worker.suspend()
        try:
            assert health.look_at("workers")["workers"]["state"] == "ok"
            monkeypatch.setattr(health, "SEEN_FOR_S", 0)
            assert health.look_at("workers")["workers"]["state"] == "missing"
        finally:
            worker.resume()


def test_a_training_runs_although_its_processes_start_slowly(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_CHILDREN)
    environment["PYTHONPATH"] = str(tmp_path)
    make_audience(viewers_each=4, movies_each=5)
    with celery(environment, "-A", "cinema", "worker", "-c", "1") as worker:
        run = request_training()
        assert wait_for(lambda: is_carried_out(run), timeout_s=CARRIED_OUT_WITHIN_S, every_s=0.1)
        assert (run.state, run.attempts) == (State.PUBLISHED, 1)
        assert worker.nice() == 0  # the child that carries out tasks has given way, not its parent
        [child] = [p for p in worker.children() if "spawn_main" in " ".join(command_of(p))]
        assert child.nice() == 10
