"""Requests for a training. This module imports no NumPy, which the worker does not need."""

from __future__ import annotations

from functools import partial

from django.conf import settings
from django.db import transaction

from cinema.audit.recording import record
from cinema.errors import BackgroundJobsDisabled
from cinema.locks import lock_table
from cinema.task_queue import send_task
from recommendations.models import TrainingRun


@transaction.atomic
def request_training() -> TrainingRun:
    """Create a training run, or return the run that waits or runs already.

    If the message to the trainer is lost, `resume_training` sends another one for the row.

    Raises:
        BackgroundJobsDisabled: There is no worker to carry the run out.
    """
    if not settings.ENABLE_BACKGROUND_JOBS:
        raise BackgroundJobsDisabled("Train by `manage.py train`.")
    lock_table(TrainingRun)  # two requests at once would both find none
    unfinished = TrainingRun.objects.filter(state__in=TrainingRun.UNFINISHED)
    if (waiting := unfinished.first()) is not None:
        return waiting
    run = TrainingRun.objects.create()
    record("create", "training-run", run.pk, after={"state": run.state})
    transaction.on_commit(partial(send_to_trainer, run.pk))
    return run


def send_to_trainer(run_id: int, *, expires_s: float | None = None) -> None:
    """Send the run to the queue `training`.

    Args:
        expires_s: A trainer that takes the message later than this drops it.
    """
    send_task("recommendations.train", run_id, expires=expires_s)
