"""Celery's records of tasks, and what becomes of a task when they cannot be written."""

from __future__ import annotations

import psycopg
import pytest
from django_celery_results.models import TaskResult

from cinema.celery import ReliableTask, app
from tests.outages import database_refusing


@pytest.mark.django_db
def test_the_outcome_of_a_task_is_recorded() -> None:
    app.backend.store_result("task-1", "well", "SUCCESS")
    assert TaskResult.objects.get(task_id="task-1").status == "SUCCESS"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("impatient_pool")
def test_a_record_that_cannot_be_written_ends_no_task(caplog: pytest.LogCaptureFixture) -> None:
    """Or its message would never be acknowledged, and the worker would lose a place for good."""
    with database_refusing():
        assert app.backend.store_result("task-2", "well", "SUCCESS") == "well"
    assert "task-2 is not recorded" in caplog.text


def test_an_outage_is_tried_again_and_a_fault_of_ours_is_not() -> None:
    assert psycopg.OperationalError in ReliableTask.autoretry_for
    assert not any(issubclass(KeyError, kind) for kind in ReliableTask.autoretry_for)
