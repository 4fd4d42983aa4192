"""Celery beat: its schedule, its scheduler, and a start without the modules of the tasks."""

from __future__ import annotations

import logging
import time
from logging.config import dictConfig
from typing import Any

from celery.apps.beat import Beat
from celery.beat import PersistentScheduler
from celery.schedules import crontab
from django.conf import settings
from django.utils import timezone

from cinema.metrics.tasks import publish_beats

log = logging.getLogger(__name__)


class ScheduleBeat(Beat):
    """Sends tasks by their names. To import them all would take twice the memory.

    So the schedule has the options of a task that count when it is sent, such as `expires`.
    """

    def init_loader(self) -> None:
        # Not Django's `configure_logging`, whose defaults import its views and models.
        dictConfig(settings.LOGGING)
        app: Any = self.app
        # Results are rows, and their models need Django's apps.
        app.conf.result_backend = "disabled"
        app.finalize()


class ClockStepScheduler(PersistentScheduler):
    """Celery's scheduler, which also survives a clock that is set back, and tells what it sent.

    Celery computes the next run of an entry from its last one. If the clock steps back by a
    day, the last run is in the future and beat sends nothing for a day.
    """

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; returns the seconds until the next call."""
        self._forget_future_runs()
        return super().tick(*args, **kwargs)

    def setup_schedule(self) -> None:
        super().setup_schedule()
        runs = {name: entry.last_run_at for name, entry in self.schedule.items()}
        self._sent_at = {name: at.timestamp() for name, at in runs.items() if at}
        publish_beats(self._sent_at)

    def apply_async(self, entry: Any, *args: Any, **kwargs: Any) -> Any:
        """Send an entry. All of them are published: Valkey may have lost those of a day ago."""
        result = super().apply_async(entry, *args, **kwargs)
        self._sent_at[entry.name] = time.time()
        publish_beats(self._sent_at)
        return result

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
    """The tasks that beat sends, and when: seconds, or a time by the cinema's clock."""
    hour, day = 3600, 24 * 3600
    schedules = {
        "movies.tick_ranking": ranking_interval_s,
        "movies.advance_statuses": 60,
        "movies.index_for_search": 60,
        "movies.clean_media": hour,
        "movies.renew_community_scores": hour,
        "audit.prune": day,
        "users.send_waiting_mails": 60,
        "users.forget_mailed_tokens": hour,
        "users.prune_sessions": day,
        "tmdb.resume_syncs": 60,
        "recommendations.request_training": training_interval_s,
        "recommendations.resume_training": 30,
        "recommendations.store_impressions": 10,
        "recommendations.renew_matches": 60,
        "recommendations.match_pending_imports": 60,
        "recommendations.match_viewers": crontab(hour="0", minute="0"),
        "recommendations.relate_films": crontab(hour="1", minute="0"),
        "recommendations.refresh_summary": crontab(hour="*/6", minute="0"),
        "recommendations.clean_up": crontab(minute="15"),
    }
    entries: dict[str, dict[str, Any]] = {
        name: {"task": name, "schedule": schedule} for name, schedule in schedules.items()
    }
    for name in ("store_impressions", "renew_matches"):
        entries[f"recommendations.{name}"]["options"] = {"expires": 60}
    entries["recommendations.match_all_pending_imports"] = {
        "task": "recommendations.match_pending_imports",
        "schedule": crontab(minute="50"),
        "kwargs": {"all_films": True},
    }
    # The three times after the first have work only if the first one was cut short.
    for kind, schedule in (
        ("films", crontab(minute="30", hour="3-6")),
        ("lists", hour),
        ("genres", 7 * day),
    ):
        entry = {"task": "tmdb.start_sync", "schedule": schedule, "args": [kind]}
        entries[f"tmdb.sync_{kind}"] = entry
    return entries
