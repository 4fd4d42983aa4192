from __future__ import annotations

import logging

from celery import shared_task

from cinema.locks import single_run
from movies import services

log = logging.getLogger(__name__)


@shared_task(name="movies.tick_ranking")
def tick_ranking() -> None:
    """Raise the rankings. Safe to deliver twice, and to two workers at once."""
    with single_run("movies.tick_ranking") as acquired:
        if acquired:
            log.info("rankings raised: %d", services.tick_ranking())


@shared_task(name="movies.advance_statuses")
def advance_statuses() -> None:
    """Move the statuses on by the date. Safe to deliver twice."""
    with single_run("movies.advance_statuses") as acquired:
        if acquired and (moved := services.advance_statuses()):
            log.info("statuses moved on: %d", moved)
