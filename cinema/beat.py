"""Celery beat: its scheduler, and a start without the tasks that it sends."""

from __future__ import annotations

import logging
from logging.config import dictConfig
from typing import Any

from celery.apps.beat import Beat
from celery.beat import PersistentScheduler
from celery.schedules import crontab
from django.conf import settings
from django.utils import timezone

log = logging.getLogger(__name__)


class ScheduleBeat(Beat):
    """Sends tasks by their names. Importing them all would take twice the memory.

    Options of a task that count when it is sent, such as `expires`, are given in the schedule.
    """

    def init_loader(self) -> None:
        # Not Django's `configure_logging`, whose defaults import its views and models.
        dictConfig(settings.LOGGING)
        app: Any = self.app
        # The results are rows, and their models are not there without Django's apps.
        app.conf.result_backend = "disabled"
        app.finalize()


class ClockStepScheduler(PersistentScheduler):
    """Celery's scheduler, which also survives a clock that is set back.

    Celery computes the next run of an entry from its last one. If the clock steps back by a
    day, that run lies in the future and beat sends nothing for a day.
    """

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; returns the seconds until the next call."""
        self._forget_future_runs()
        return super().tick(*args, **kwargs)

    def _forget_future_runs(self) -> None:
        now = timezone.now()
        entries = [e for e in self.schedule.values() if e.last_run_at and e.last_run_at > now]
        if not entries:
            return
        log.warning("The clock was set back: %d entries are scheduled again.", len(entries))
        for entry in entries:
            entry.last_run_at = now
        self._heap = None  # It is ordered by the old clock.


def beat_schedule(
    *, ranking_interval_s: int, training_interval_s: int
) -> dict[str, dict[str, Any]]:
    """By name the task, its arguments, and when it is due; `cinema.settings` asks for it."""
    return {
        "movies.tick_ranking": {"task": "movies.tick_ranking", "schedule": ranking_interval_s},
        "movies.advance_statuses": {"task": "movies.advance_statuses", "schedule": 60},
        "movies.index_for_search": {"task": "movies.index_for_search", "schedule": 60},
        "movies.clean_media": {"task": "movies.clean_media", "schedule": 3600},
        "movies.renew_community_scores": {
            "task": "movies.renew_community_scores",
            "schedule": 3600,
        },
        "audit.prune": {"task": "audit.prune", "schedule": 24 * 3600},
        "users.send_waiting_mails": {"task": "users.send_waiting_mails", "schedule": 60},
        "users.forget_mailed_tokens": {"task": "users.forget_mailed_tokens", "schedule": 3600},
        "users.prune_sessions": {"task": "users.prune_sessions", "schedule": 24 * 3600},
        # The three times after the first find something to do only if the first one was cut short.
        "tmdb.sync_films": {
            "task": "tmdb.start_sync",
            "schedule": crontab(minute="30", hour="3-6"),
            "args": ["films"],
        },
        "tmdb.sync_lists": {"task": "tmdb.start_sync", "schedule": 3600, "args": ["lists"]},
        "tmdb.sync_genres": {
            "task": "tmdb.start_sync",
            "schedule": 7 * 24 * 3600,
            "args": ["genres"],
        },
        "tmdb.resume_syncs": {"task": "tmdb.resume_syncs", "schedule": 60},
        "recommendations.request_training": {
            "task": "recommendations.request_training",
            "schedule": training_interval_s,
        },
        "recommendations.resume_training": {
            "task": "recommendations.resume_training",
            "schedule": 30,
        },
        "recommendations.store_impressions": {
            "task": "recommendations.store_impressions",
            "schedule": 10,
            "options": {"expires": 60},
        },
        "recommendations.match_pending_imports": {
            "task": "recommendations.match_pending_imports",
            "schedule": 60,
        },
        "recommendations.match_all_pending_imports": {
            "task": "recommendations.match_pending_imports",
            "schedule": crontab(minute="50"),
            "kwargs": {"all_films": True},
        },
        "recommendations.match_viewers": {
            "task": "recommendations.match_viewers",
            "schedule": crontab(hour="0", minute="0"),
        },
        "recommendations.relate_films": {
            "task": "recommendations.relate_films",
            "schedule": crontab(hour="1", minute="0"),
        },
        "recommendations.refresh_summary": {
            "task": "recommendations.refresh_summary",
            "schedule": crontab(hour="*/6", minute="0"),
        },
        "recommendations.clean_up": {
            "task": "recommendations.clean_up",
            "schedule": crontab(minute="15"),
        },
    }
