from __future__ import annotations

import logging

from celery import shared_task

from cinema.locks import single_run

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
        # Imported here: only the process that trains loads what this needs.
        from recommendations.matches.nightly import match_all

        log.info("viewers matched: %d neighbours", match_all())
