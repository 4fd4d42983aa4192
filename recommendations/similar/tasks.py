from __future__ import annotations

import logging

from celery import shared_task
from django.conf import settings

from cinema.locks import single_run
from cinema.task_process import run_in_process

log = logging.getLogger(__name__)

LOCK = "recommendations.relate_films"


@shared_task(name=LOCK, time_limit=settings.TRAINING_TIME_LIMIT_S)
def relate_films() -> None:
    """Find which films are like which. Safe to deliver twice: one run at a time."""
    with single_run(LOCK) as acquired:
        if not acquired:
            log.info("films are being related already")
            return
        related = run_in_process(
            "recommendations.similar.relating.relate_films",
            time_limit_s=settings.TRAINING_TIME_LIMIT_S,
        )
        log.info("%d films related", related)
