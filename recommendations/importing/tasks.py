from __future__ import annotations

import logging
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from cinema.locks import single_run
from recommendations.importing import pending

log = logging.getLogger(__name__)

LOCK = "recommendations.match_pending_imports"
#: Longer than a transaction that adds films or imports a file: each may commit after the run that
#: should have seen it.
WINDOW = timedelta(minutes=15)


@shared_task(name=LOCK)
def match_pending_imports(all_films: bool = False) -> None:
    """Apply pending statements to films that were added. Safe to deliver twice.

    Beat sends it each minute for recent films, and each hour for all films, in case the worker was
    away.
    """
    with single_run(LOCK) as acquired:
        since = None if all_films else timezone.now() - WINDOW
        if acquired and (settled := pending.match_pending(changed_since=since)):
            log.info("pending imports settled: %d", settled)
