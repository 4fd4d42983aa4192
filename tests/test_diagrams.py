"""docs/diagrams.md: what `manage.py draw_diagrams` makes from the code."""

from __future__ import annotations

import re
from pathlib import Path

from django.apps import apps
from django.conf import settings
from pytest_django.fixtures import Settings

from cinema import settings as product
from cinema.management.commands import draw_diagrams
from cinema.programs import commands


def test_the_diagrams_are_those_of_the_code(settings: Settings) -> None:
    # On a shared RabbitMQ the queues of the tests have other names.
    settings.CELERY_TASK_ROUTES = product.CELERY_TASK_ROUTES
    settings.CELERY_TASK_DEFAULT_QUEUE = product.CELERY_TASK_DEFAULT_QUEUE
    assert draw_diagrams.FILE.read_text() == draw_diagrams.document(), (
        "docs/diagrams.md is stale: run `manage.py draw_diagrams`"
    )


def test_the_diagrams_show_each_own_table_program_and_scheduled_task() -> None:
    text = draw_diagrams.document()
    own = {
        model._meta.object_name
        for config in apps.get_app_configs()
        for model in config.get_models()
        if Path(config.path).is_relative_to(settings.BASE_DIR) and ".venv" not in config.path
    }
    assert own == set(re.findall(r"^    (\w+) {$", text, re.MULTILINE))
    assert commands().keys() <= set(re.findall(r'^    (\w+)\["', text, re.MULTILINE))
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert f"| `{entry['task']}`" in text
