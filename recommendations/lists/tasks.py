from __future__ import annotations

import logging

from celery import shared_task

log = logging.getLogger(__name__)


@shared_task(name="recommendations.renew_lists", ignore_result=True, expires=60)
def renew_lists() -> None:
    """Make new lists for viewers who have acted. Safe to deliver twice, and to two at once."""
    # Imported here: until a viewer acts, a worker needs neither SciPy nor a release.
    from recommendations.lists import renewing

    if n_viewers := renewing.renew_waiting():
        log.info("lists renewed of %d viewers", n_viewers)
