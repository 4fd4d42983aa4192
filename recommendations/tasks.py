from __future__ import annotations

import logging
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from cinema.locks import single_run
from cinema.task_process import run_in_process
from recommendations import selectors
from recommendations.models import TrainingRun
from recommendations.training import requests

log = logging.getLogger(__name__)

State = TrainingRun.State

LOCK = "recommendations.train"
#: A queued run whose message has not reached the trainer by then is sent again.
MESSAGE_LOST_AFTER = timedelta(seconds=60)


@shared_task(name="recommendations.request_training")
def request_training() -> None:
    """Ask for a training if anything has changed. Safe to deliver twice: one run waits or runs.

    The row shows that a training is due, also while no trainer takes its message.
    """
    if _is_needed():
        requests.request_training()


@shared_task(name=LOCK, time_limit=settings.TRAINING_TIME_LIMIT_S)
def train(run_id: int | None = None) -> None:
    """Train and publish a release. Safe to deliver twice: one run at a time, each carried out once.

    Without a run, one is made if anything has changed.
    """
    with single_run(LOCK) as acquired:
        if not acquired:
            log.info("training skipped: another run holds the lock")
            return
        if run := _take(run_id):
            outcome = run_in_process(
                "recommendations.training.runs.carry_out",
                run.pk,
                time_limit_s=settings.TRAINING_TIME_LIMIT_S,
            )
            log.info("training %d: %s", run.pk, outcome)


def _take(run_id: int | None) -> TrainingRun | None:
    """The run to carry out, or None where there is nothing to do."""
    if run_id is not None:
        return TrainingRun.objects.filter(pk=run_id, state__in=TrainingRun.UNFINISHED).first()
    waiting = TrainingRun.objects.filter(state__in=TrainingRun.UNFINISHED).first()
    if waiting is not None:
        return waiting
    return TrainingRun.objects.create() if _is_needed() else None


def _is_needed() -> bool:
    if selectors.was_trained_on(selectors.fingerprint()):
        log.info("training skipped: nothing has changed since the last one")
        return False
    return True


@shared_task(name="recommendations.resume_training")
def resume_training() -> None:
    """Send again what was killed, or whose message got lost.

    Whoever trains holds the lock, so a run that says it is running while nobody does is dead.
    """
    with single_run(LOCK) as acquired:
        if not acquired:
            return
        running = TrainingRun.objects.filter(state=State.RUNNING)
        dead = list(running.values_list("pk", flat=True))
        running.filter(pk__in=dead).update(state=State.QUEUED)
    sent_before = timezone.now() - MESSAGE_LOST_AFTER
    lost = TrainingRun.objects.filter(state=State.QUEUED, created_at__lt=sent_before)
    lost.update(message=f"No trainer has begun it. Sent again at {timezone.localtime():%H:%M:%S}.")
    for run_id in {*dead, *lost.values_list("pk", flat=True)}:
        log.warning("training %d was killed or lost, and is sent again", run_id)
        # The next call sends another one: no need for them to pile up while no trainer runs.
        requests.send_to_trainer(run_id, expires_s=MESSAGE_LOST_AFTER.total_seconds())
