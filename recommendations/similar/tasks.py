from __future__ import annotations

import logging

from celery import shared_task
from django.conf import settings

from cinema.locks import single_run

log = logging.getLogger(__name__)

LOCK = "recommendations.relate_films"


@shared_task(name=LOCK, time_limit=settings.TRAINING_TIME_LIMIT_S)
def relate_films() -> None:
    """Find which films are like which. Safe to deliver twice: one run at a time."""
    with single_run(LOCK) as acquired:
        if not acquired:
            log.info("films are being related already")
            return
        # Imported here: the web sends tasks, and need not load what carries them out.
        from recommendations.similar.relating import relate_films

        log.info("%d films related", relate_films())
