from __future__ import annotations

import logging

from celery import shared_task

from cinema.audit.recording import recording_as
from cinema.locks import single_run
from movies.tmdb import services, sync
from movies.tmdb.models import SyncReport

log = logging.getLogger(__name__)


@shared_task(name="tmdb.start_sync")
def start_sync(kind: str) -> None:
    """Begin the scheduled sync of this kind and work on it. Safe to deliver twice."""
    sync.begin(kind)
    resume_syncs()


@shared_task(name="tmdb.resume_syncs")
def resume_syncs() -> None:
    """Work on every unfinished sync whose lock is free.

    The rows are the queue: a lost message, a killed worker and an elapsed piece all leave an
    unfinished row with a free lock.
    """
    sync.start_missing_syncs()
    is_more_left = False
    for report in SyncReport.objects.filter(state__in=SyncReport.UNFINISHED).order_by("pk"):
        with single_run(f"tmdb.sync.{report.kind}") as acquired:
            if acquired and SyncReport.objects.filter(
                pk=report.pk, state__in=SyncReport.UNFINISHED
            ):
                report.refresh_from_db()
                with recording_as(via="task", path=f"tmdb.sync {report.pk}"):
                    is_more_left |= sync.carry_out(report)
    if is_more_left:
        services.send_to_worker()
