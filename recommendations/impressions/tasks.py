from __future__ import annotations

import logging

from celery import shared_task

from cinema.locks import single_run
from recommendations.impressions import storing

log = logging.getLogger(__name__)


@shared_task(name="recommendations.store_impressions", ignore_result=True)
def store_impressions() -> None:
    """Move what viewers were shown and opened from Valkey to Postgres. Safe to deliver twice."""
    with single_run("recommendations.store_impressions") as acquired:
        if acquired and (stored := storing.store_waiting()):
            log.info("batches shown and clicks stored: %d", stored)


@shared_task(name="recommendations.clean_up", ignore_result=True)
def clean_up() -> None:
    """Delete impressions by their age. Safe to deliver twice.

    Lists need nobody: each key of theirs has an end.
    """
    with single_run("recommendations.clean_up") as acquired:
        if acquired and (deleted := storing.delete_old_impressions()):
            log.info("old impressions deleted: %d", deleted)
