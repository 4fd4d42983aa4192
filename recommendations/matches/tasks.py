from __future__ import annotations

import logging

from celery import shared_task

from cinema.locks import single_run
from cinema.task_process import run_in_process

log = logging.getLogger(__name__)

LOCK = "recommendations.match_viewers"
#: Of ten million interactions of 100,000 viewers it takes a few minutes.
TIME_LIMIT_S = 45 * 60


@shared_task(name=LOCK, ignore_result=True, time_limit=TIME_LIMIT_S)
def match_viewers() -> None:
    """Find all viewers of similar taste anew. Safe to deliver twice: one run at a time."""
    with single_run(LOCK) as acquired:
        if not acquired:
            log.info("matching skipped: another run holds the lock")
            return
        found = run_in_process(
            "recommendations.matches.nightly.match_all", time_limit_s=TIME_LIMIT_S
        )
        log.info("viewers matched: %d neighbours", found)
