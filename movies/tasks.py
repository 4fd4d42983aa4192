from __future__ import annotations

import logging

from celery import shared_task

from cinema.locks import single_run
from movies import scheduled_updates
from movies.media import services
from movies.search import index

log = logging.getLogger(__name__)


@shared_task(name="movies.tick_ranking")
def tick_ranking() -> None:
    """Raise the rankings. The task is safe to deliver twice."""
    with single_run("movies.tick_ranking") as acquired:
        if acquired:
            log.info("rankings raised: %d", scheduled_updates.tick_ranking())


@shared_task(name="movies.index_for_search")
def index_for_search() -> None:
    """Index movies that were not written by the services. The task is safe to deliver twice."""
    with single_run("movies.index_for_search") as acquired:
        if acquired and (indexed := index.index_stale_movies()):
            log.info("films indexed for search: %d", indexed)


@shared_task(name="movies.clean_media")
def clean_media() -> None:
    """Delete unused uploads. The task is safe to deliver twice."""
    with single_run("movies.clean_media") as acquired:
        if acquired and (deleted := services.clean_media()):
            log.info("files of posters and trailers deleted: %d", deleted)


@shared_task(name="movies.renew_community_scores")
def renew_community_scores() -> None:
    """Recompute the community scores. The task is safe to deliver twice."""
    with single_run("movies.renew_community_scores") as acquired:
        if acquired and (renewed := scheduled_updates.renew_community_scores()):
            log.info("community scores renewed: %d", renewed)


@shared_task(name="movies.advance_statuses")
def advance_statuses() -> None:
    """Update the statuses by date. The task is safe to deliver twice."""
    with single_run("movies.advance_statuses") as acquired:
        if acquired and (moved := scheduled_updates.advance_statuses()):
            log.info("statuses moved on: %d", moved)
