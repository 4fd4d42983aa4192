from __future__ import annotations

import logging

from celery import shared_task

from cinema.locks import single_run
from recommendations.ratings import summary

log = logging.getLogger(__name__)

LOCK = "recommendations.refresh_summary"


@shared_task(name=LOCK, time_limit=30 * 60)
def refresh_summary() -> None:
    """Make the summary of viewers' figures anew. Safe to deliver twice: one run at a time."""
    with single_run(LOCK) as acquired:
        if not acquired:
            log.info("the summary is being made anew already")
            return
        summary.refresh_summary()
