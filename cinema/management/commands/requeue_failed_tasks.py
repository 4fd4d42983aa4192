from __future__ import annotations

import ast
import json
from argparse import ArgumentParser
from typing import Any

from celery import states
from celery.utils.saferepr import saferepr
from django.core.management.base import BaseCommand, CommandError
from django_celery_results.models import TaskResult
from kombu.exceptions import OperationalError as BrokerAway

from cinema.celery import app
from cinema.locks import single_run


class NotReadable(ValueError):
    """A record does not show with certainty how the task was called. The message is the reason."""


class Command(BaseCommand):
    """A record is deleted after its task is sent: a task may be delivered twice, but not lost."""

    help = "Send failed tasks again, by their result records, and delete the records."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--task", metavar="NAME", help="only tasks of this name")
        parser.add_argument("--dry-run", action="store_true", help="only show what would be sent")

    def handle(self, *args: Any, **options: Any) -> None:
        with single_run("cinema.requeue_failed_tasks") as acquired:
            if not acquired:
                raise CommandError("Failed tasks are being sent again already.")
            self._requeue(options["task"], dry_run=options["dry_run"])

    def _requeue(self, task: str | None, *, dry_run: bool) -> None:
        app.loader.import_default_modules()
        records = TaskResult.objects.filter(status=states.FAILURE).order_by("pk")
        if task is not None:
            records = records.filter(task_name=task)
        sent = left = 0
        for record in records.iterator(chunk_size=100):  # each holds a traceback
            try:
                call = _read_call(record)
            except NotReadable as reason:
                left += 1
                self.stderr.write(f"Left: {record.task_name} {record.task_id}: {reason}")
                continue
            if not dry_run:
                self._send(record, *call)
            sent += 1
            verb = "Would send" if dry_run else "Sent"
            self.stdout.write(f"{verb} {_shown(record, *call)}, failed as {record.task_id}")
        self.stdout.write(f"{'Would be sent' if dry_run else 'Sent'}: {sent}. Left: {left}.")

    def _send(self, record: TaskResult, args: list[Any], kwargs: dict[str, Any]) -> None:
        try:
            app.send_task(record.task_name, args=args, kwargs=kwargs)
        except (BrokerAway, OSError) as error:
            raise CommandError(f"The broker is away, the other records stay: {error}") from error
        record.delete()


def _shown(record: TaskResult, args: list[Any], kwargs: dict[str, Any]) -> str:
    words = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    return f"{record.task_name}({', '.join(words)})"


def _read_call(record: TaskResult) -> tuple[list[Any], dict[str, Any]]:
    """The arguments that the failed task was called with.

    Raises:
        NotReadable: They are not all there, or this version has no such task.
    """
    if not record.task_name:
        raise NotReadable("its name was not recorded")
    if record.task_name not in app.tasks:
        raise NotReadable("there is no task of this name")
    args = _read(record.task_args, "arguments")
    kwargs = _read(record.task_kwargs, "keyword arguments")
    if not isinstance(args, list | tuple):
        raise NotReadable(f"its arguments are no list: {record.task_args}")
    if not isinstance(kwargs, dict) or not all(isinstance(name, str) for name in kwargs):
        raise NotReadable(f"its keyword arguments are no dictionary of names: {record.task_kwargs}")
    return list(args), kwargs


def _read(stored: str | None, what: str) -> object:
    """The value of a record's field: JSON of the value, or JSON of Celery's representation of it.

    The representation may be cut short, and does not escape a backslash. So a value counts only if
    its representation is the same text again.
    """
    if stored is None:
        raise NotReadable(f"its {what} were not recorded")
    try:
        value: object = json.loads(stored)
        if not isinstance(value, str):
            return value
        text, value = value, ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise NotReadable(f"its {what} cannot be read: {stored}") from error
    if "..." in text or saferepr(value, maxlevels=0) != text:
        raise NotReadable(f"its {what} may have been cut short: {text}")
    return value
