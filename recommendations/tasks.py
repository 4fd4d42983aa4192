"""The tasks of recommendations. A worker that runs none of them needs neither NumPy nor a release.

All of them are safe to deliver twice: a lock lets one run at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from celery import Task, shared_task
from django.conf import settings
from django.utils import timezone

from cinema.locks import single_run
from cinema.task_process import run_in_process
from recommendations import selectors, viewer_figures
from recommendations.importing import pending
from recommendations.impressions import storage
from recommendations.matches import queue
from recommendations.models import TrainingRun
from recommendations.training import requests

log = logging.getLogger(__name__)

State = TrainingRun.State

TRAINING_LOCK = "recommendations.train"
MATCHING_LOCK = "recommendations.match_viewers"
SIMILAR_MOVIES_LOCK = "recommendations.find_similar_movies"
SUMMARY_LOCK = "recommendations.refresh_summary"

#: A training that has published its release holds the lock for some moments more. After these
#: attempts, a minute, `resume_training` sends the run again.
LOCK_RETRY_S = 2
LOCK_RETRIES = 30
#: A queued run whose message has not reached the trainer by then is sent again.
MESSAGE_LOST_AFTER = timedelta(seconds=60)
#: Matching takes a few minutes for ten million interactions of 100,000 viewers.
MATCHING_TIME_LIMIT_S = 45 * 60


@contextmanager
def _single_run(lock: str) -> Iterator[bool]:
    with single_run(lock) as acquired:
        if not acquired:
            log.info("%s is skipped: another run holds the lock", lock)
        yield acquired


@shared_task(name="recommendations.request_training")
def request_training() -> None:
    """Ask for a training if anything has changed.

    The row shows that a training is due, also while no trainer takes its message.
    """
    if _is_needed():
        requests.request_training()


@shared_task(name=TRAINING_LOCK, bind=True, time_limit=settings.TRAINING_TIME_LIMIT_S)
def train(self: Task[..., Any], run_id: int | None = None) -> None:
    """Train and publish a release; without a run, one is made if anything has changed."""
    with single_run(TRAINING_LOCK) as acquired:
        if acquired:
            if run := _take_run(run_id):
                outcome = run_in_process(
                    "recommendations.training.runs.carry_out",
                    run.pk,
                    time_limit_s=settings.TRAINING_TIME_LIMIT_S,
                )
                log.info("training %d: %s", run.pk, outcome)
            return
    queued = TrainingRun.objects.filter(state=State.QUEUED)
    is_queued = run_id is not None and queued.filter(pk=run_id).exists()
    if is_queued and not self.request.called_directly and self.request.retries < LOCK_RETRIES:
        raise self.retry(countdown=LOCK_RETRY_S, max_retries=LOCK_RETRIES)
    log.info("training skipped: another run holds the lock")


def _take_run(run_id: int | None) -> TrainingRun | None:
    """The run to carry out; None if there is nothing to do."""
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
    """Send the runs again that were killed, or whose message got lost.

    A training holds the lock: a run that is marked as running while the lock is free is dead.
    """
    with single_run(TRAINING_LOCK) as acquired:
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
        # The next call sends another message: they must not pile up while no trainer runs.
        requests.send_to_trainer(run_id, expires_s=MESSAGE_LOST_AFTER.total_seconds())


@shared_task(name="recommendations.renew_matches", ignore_result=True)
def renew_matches() -> None:
    """Renew the neighbours of viewers who were given a list after they had acted."""
    if queue.is_empty():
        return
    from recommendations.matches import services

    with _single_run("recommendations.renew_matches") as acquired:
        if acquired and (n_viewers := services.renew_waiting()):
            log.info("matches renewed of %d viewers", n_viewers)


@shared_task(name=MATCHING_LOCK, ignore_result=True, time_limit=MATCHING_TIME_LIMIT_S)
def match_viewers() -> None:
    """Find all viewers of similar taste."""
    with _single_run(MATCHING_LOCK) as acquired:
        if acquired:
            function = "recommendations.matches.services.match_all"
            found = run_in_process(function, time_limit_s=MATCHING_TIME_LIMIT_S)
            log.info("viewers matched: %d neighbours", found)


@shared_task(name=SIMILAR_MOVIES_LOCK, time_limit=settings.TRAINING_TIME_LIMIT_S)
def find_similar_movies() -> None:
    """Find the most similar movies of each movie."""
    with _single_run(SIMILAR_MOVIES_LOCK) as acquired:
        if acquired:
            function = "recommendations.similar_movies.find_similar_movies"
            related = run_in_process(function, time_limit_s=settings.TRAINING_TIME_LIMIT_S)
            log.info("similar movies found for %d movies", related)


@shared_task(name="recommendations.store_impressions", ignore_result=True)
def store_impressions() -> None:
    """Move impressions and clicks from Valkey to Postgres."""
    with _single_run("recommendations.store_impressions") as acquired:
        if acquired and (stored := storage.store_waiting()):
            log.info("batches shown and clicks stored: %d", stored)


@shared_task(name="recommendations.prune_impressions", ignore_result=True)
def prune_impressions() -> None:
    """Drop old months of impressions. Cached lists expire by themselves."""
    with _single_run("recommendations.prune_impressions") as acquired:
        if acquired and (dropped := storage.drop_old_impressions()):
            log.info("old months of impressions dropped: %s", ", ".join(dropped))


@shared_task(name=SUMMARY_LOCK, time_limit=30 * 60)
def refresh_summary() -> None:
    """Refresh the summary of viewers' figures."""
    with _single_run(SUMMARY_LOCK) as acquired:
        if acquired:
            viewer_figures.refresh_summary()


PENDING_LOCK = "recommendations.match_pending_imports"
#: Longer than a transaction that adds films or imports a file: each may commit after the run that
#: should have seen it.
PENDING_WINDOW = timedelta(minutes=15)


@shared_task(name=PENDING_LOCK)
def match_pending_imports(all_films: bool = False) -> None:
    """Apply pending statements to films that were added. Safe to deliver twice.

    Beat sends it each minute for recent films, and each hour for all films, in case the worker was
    away.
    """
    with single_run(PENDING_LOCK) as acquired:
        since = None if all_films else timezone.now() - PENDING_WINDOW
        if acquired and (settled := pending.match_pending(changed_since=since)):
            log.info("pending imports settled: %d", settled)
