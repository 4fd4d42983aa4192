"""`manage.py requeue_failed_tasks`, with records as the result backend writes them and the real
broker."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterator
from queue import Empty
from typing import Any

import pytest
from celery.app.task import Context
from celery.utils.saferepr import saferepr
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django_celery_results.models import TaskResult
from kombu.exceptions import OperationalError

from cinema.celery import app
from cinema.locks import single_run
from tests.shared_servers import training_queue

pytestmark = pytest.mark.django_db

#: The next message of a queue as (task, args, kwargs), or None.
TakeMessage = Callable[[str], tuple[str, list[Any], dict[str, Any]] | None]


@pytest.fixture
def take_message() -> Iterator[TakeMessage]:
    with app.connection_for_read() as connection:
        names = {"cinema": settings.CELERY_TASK_DEFAULT_QUEUE, "training": training_queue()}
        queues = {short: connection.SimpleQueue(name) for short, name in names.items()}

        def take(name: str) -> tuple[str, list[Any], dict[str, Any]] | None:
            try:
                message = queues[name].get(block=False)
            except Empty:
                return None
            message.ack()
            args, kwargs, _ = message.payload
            return message.headers["task"], args, kwargs

        for queue in queues.values():
            queue.clear()
        yield take
        for queue in queues.values():
            queue.clear()
            queue.close()


def fail(task: str, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> TaskResult:
    """A record of the kind that a worker leaves when a task raises."""
    task_id = str(uuid.uuid4())
    shown = {"argsrepr": saferepr(args, 1024), "kwargsrepr": saferepr(kwargs or {}, 1024)}
    request = Context(id=task_id, task=task, **shown)
    app.backend.mark_as_failure(task_id, ValueError("no"), traceback="...", request=request)
    return TaskResult.objects.get(task_id=task_id)


def requeue(*arguments: str) -> tuple[str, str]:
    """The command's output, and its complaints."""
    out, err = io.StringIO(), io.StringIO()
    call_command("requeue_failed_tasks", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_failed_task_returns_to_its_queue_and_its_record_is_deleted(
    take_message: TakeMessage,
) -> None:
    record = fail("recommendations.train", (7,))
    fail("movies.tick_ranking")
    out, err = requeue()
    assert take_message("training") == ("recommendations.train", [7], {})
    assert take_message("cinema") == ("movies.tick_ranking", [], {})
    assert take_message("cinema") is None
    assert not TaskResult.objects.exists()
    assert f"Sent recommendations.train(7), failed as {record.task_id}" in out
    assert out.endswith("Sent: 2. Left: 0.\n")
    assert err == ""


def test_keyword_arguments_come_with_it(take_message: TakeMessage) -> None:
    fail("recommendations.train", kwargs={"run_id": None, "x": ["it's", 1.5, {"deep": True}]})
    out, _ = requeue()
    sent = take_message("training")
    assert sent == (
        "recommendations.train",
        [],
        {"run_id": None, "x": ["it's", 1.5, {"deep": True}]},
    )
    assert "recommendations.train(run_id=None, x=" in out


def test_arguments_recorded_as_json_are_read_too(take_message: TakeMessage) -> None:
    fields = {"task_args": "[3]", "task_kwargs": '{"a": 1}', "status": "FAILURE"}
    TaskResult.objects.create(task_id="1", task_name="recommendations.train", **fields)
    requeue()
    assert take_message("training") == ("recommendations.train", [3], {"a": 1})


def test_a_dry_run_sends_and_deletes_nothing(take_message: TakeMessage) -> None:
    fail("movies.tick_ranking")
    out, _ = requeue("--dry-run")
    assert "Would send movies.tick_ranking()" in out
    assert take_message("cinema") is None
    assert TaskResult.objects.count() == 1


def test_only_the_named_task_is_sent(take_message: TakeMessage) -> None:
    fail("movies.tick_ranking")
    kept = fail("movies.advance_statuses")
    requeue("--task", "movies.tick_ranking")
    assert take_message("cinema") == ("movies.tick_ranking", [], {})
    assert take_message("cinema") is None
    assert list(TaskResult.objects.all()) == [kept]


def test_tasks_that_did_not_fail_stay(take_message: TakeMessage) -> None:
    for status in ("SUCCESS", "STARTED", "RETRY"):
        TaskResult.objects.create(task_id=status, task_name="movies.tick_ranking", status=status)
    assert requeue()[0] == "Sent: 0. Left: 0.\n"
    assert TaskResult.objects.count() == 3
    assert take_message("cinema") is None


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("x" * 2000,), {}),  # Celery cuts it short
        (tuple(range(1000)), {}),
        (([[[["deep"]]]],), {}),
        (("C:\\new",), {}),  # Celery does not escape it
        ((object(),), {}),
        ((), {"a": "two\nlines"}),
        ((), {1: 2}),
    ],
)
def test_arguments_that_are_not_certain_are_named_and_left(
    take_message: TakeMessage, args: tuple[Any, ...], kwargs: dict[Any, Any]
) -> None:
    record = fail("movies.tick_ranking", args, kwargs)
    out, err = requeue()
    assert f"Left: movies.tick_ranking {record.task_id}: its" in err
    assert out == "Sent: 0. Left: 1.\n"
    assert take_message("cinema") is None
    assert TaskResult.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"task_name": None}, "its name was not recorded"),
        ({"task_name": "movies.gone"}, "there is no task of this name"),
        ({"task_args": None}, "its arguments were not recorded"),
        ({"task_kwargs": None}, "its keyword arguments were not recorded"),
        ({"task_args": "()"}, "its arguments cannot be read: ()"),
        ({"task_args": "\"__import__('os').abort()\""}, "its arguments cannot be read"),
        ({"task_args": "7"}, "its arguments are no list: 7"),
        ({"task_kwargs": "[]"}, "its keyword arguments are no dictionary"),
    ],
)
def test_a_record_that_cannot_be_read_is_left_and_the_others_are_sent(
    take_message: TakeMessage, fields: dict[str, str | None], reason: str
) -> None:
    readable = {"task_name": "movies.tick_ranking", "task_args": '"()"', "task_kwargs": '"{}"'}
    TaskResult.objects.create(task_id="1", status="FAILURE", **{**readable, **fields})
    TaskResult.objects.create(task_id="2", status="FAILURE", **readable)
    out, err = requeue()
    assert reason in err
    assert out.endswith("Sent: 1. Left: 1.\n")
    assert take_message("cinema") == ("movies.tick_ranking", [], {})
    assert [record.task_id for record in TaskResult.objects.all()] == ["1"]


def test_nothing_is_deleted_while_the_broker_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OperationalError("connection refused")

    fail("movies.tick_ranking")
    monkeypatch.setattr(app, "send_task", refuse)
    with pytest.raises(CommandError, match="The broker is away"):
        requeue()
    assert TaskResult.objects.count() == 1


def test_two_at_once_do_not_send_twice() -> None:
    fail("movies.tick_ranking")
    with single_run("cinema.requeue_failed_tasks"), pytest.raises(CommandError, match="already"):
        requeue()
    assert TaskResult.objects.count() == 1
