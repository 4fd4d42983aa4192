"""`manage.py draw_diagrams` writes docs/diagrams.md: the tables and the processes, as Mermaid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from celery.schedules import crontab
from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import models

from cinema.celery import app
from cinema.programs import commands

FILE = settings.BASE_DIR / "docs/diagrams.md"
OWN_APPS = ("movies", "tmdb", "users", "recommendations", "audit")


class Command(BaseCommand):
    help = "Draw the tables and the processes into docs/diagrams.md."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        FILE.write_text(document())
        self.stdout.write(f"Wrote {FILE}.")


def document() -> str:
    """The whole file."""
    parts = [
        "# Diagrams\n",
        "`manage.py draw_diagrams` makes this file from the code. A test fails when it is stale.\n",
        "## Processes\n",
        *_mermaid("flowchart LR", _processes()),
        "## Scheduled tasks\n",
        *_scheduled_tasks(),
        "## Tables\n",
        "Each table shows its keys and unique columns. A table of another app has no columns.\n",
    ]
    for label in OWN_APPS:
        parts += [f"### {label}\n", *_mermaid("erDiagram", _tables(label))]
    return "\n".join(parts)


def _mermaid(kind: str, lines: Iterable[str]) -> list[str]:
    return ["```mermaid", kind, *(f"    {line}" for line in lines), "```\n"]


def _queues() -> dict[str, list[str]]:
    """The names of the tasks of each queue."""
    app.loader.import_default_modules()
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(app.tasks):
        if name.partition(".")[0] in apps.app_configs:  # not Celery's own
            route = settings.CELERY_TASK_ROUTES.get(name, {})
            found[route.get("queue", settings.CELERY_TASK_DEFAULT_QUEUE)].append(name)
    return dict(sorted(found.items()))


def _processes() -> Iterator[str]:
    programs = commands()
    yield 'viewers(["viewers"]) --> web'
    for name, (_, _, program, *_) in programs.items():
        yield f'{name}["{name}<br/>{program}"]'
    yield 'postgres[("PostgreSQL")]'
    yield 'valkey[("Valkey: cache, limits, impressions")]'
    yield 'home[("CINEMA_HOME: releases, media")]'
    yield 'task_process["a training<br/>cinema.task_process"]'
    yield 'subgraph broker ["broker: Valkey or RabbitMQ"]'
    for queue, names in _queues().items():
        yield f'    queue_{queue}[/"queue {queue}: {len(names)} tasks"/]'
    yield "end"
    yield "web --> broker"
    yield "beat --> broker"
    yield "broker --> worker"
    yield "worker --> task_process"
    for name in ("web", "worker", "task_process"):
        yield f"{name} --> postgres & valkey & home"


def _scheduled_tasks() -> Iterator[str]:
    queue_of = {name: queue for queue, names in _queues().items() for name in names}
    yield "| Task | Queue | When |"
    yield "|---|---|---|"
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        arguments = ", ".join(map(str, (*entry.get("args", ()), *entry.get("kwargs", ()))))
        name = f"`{entry['task']}`" + (f" ({arguments})" if arguments else "")
        yield f"| {name} | {queue_of[entry['task']]} | {_schedule_text(entry['schedule'])} |"
    yield ""


def _schedule_text(schedule: crontab | float) -> str:
    if isinstance(schedule, crontab):
        # The fields as they were written: minute, hour, day of the month, month, day of the week.
        fields: Any = schedule
        return f"`{fields._orig_minute} {fields._orig_hour} * * *`"
    units = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    length, unit = next(each for each in units if schedule % each[0] == 0)
    return f"every {int(schedule // length)} {unit}"


def _tables(label: str) -> Iterator[str]:
    for model in sorted(apps.get_app_config(label).get_models(), key=_name):
        yield f"{_name(model)} {{"
        for field in model._meta.concrete_fields:
            if keys := _keys(field):
                yield f"    {_type(field)} {field.column} {keys}"
        yield "}"
        for field in model._meta.concrete_fields:
            if isinstance(field, models.ForeignKey) and isinstance(field.related_model, type):
                many = "||" if field.unique else "}o"
                one = "o|" if field.null else "||"
                yield f"{_name(model)} {many}--{one} {_name(field.related_model)} : {field.name}"
        for relation in model._meta.local_many_to_many:
            if isinstance(relation.related_model, type):
                other = _name(relation.related_model)
                yield f"{_name(model)} }}o--o{{ {other} : {relation.name}"


def _name(model: type[models.Model]) -> str:
    return model._meta.object_name or model.__name__


def _type(field: models.Field[Any, Any]) -> str:
    return field.get_internal_type().removesuffix("Field")


def _keys(field: models.Field[Any, Any]) -> str:
    """The keys of a column in Mermaid's notation; empty for a column without keys."""
    is_foreign = isinstance(field, models.ForeignKey)
    marks = {
        "PK": field.primary_key,
        "FK": is_foreign,
        "UK": field.unique and not field.primary_key,
    }
    return ", ".join(mark for mark, holds in marks.items() if holds)
