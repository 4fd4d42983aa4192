"""Celery beat: its schedule, its scheduler, and a start without the modules of the tasks.

Several beats may run, each on its own host. One of them leads and sends; the others stand by, and
know when each entry was sent.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import datetime, timedelta
from logging.config import dictConfig
from typing import Any

from celery.apps.beat import Beat
from celery.beat import PersistentScheduler, SchedulingError
from celery.schedules import crontab
from django.conf import settings
from django.utils import timezone

from cinema.broker import is_amqp
from cinema.heartbeats import beat_name, touch_heartbeat
from cinema.home import keep_private
from cinema.leadership import Leadership
from cinema.metrics.tasks import publish_beats, read_beats

#: The leader renews its lock at least so often, and a beat that stands by tries to get it.
RENEW_EVERY_S = 5.0
#: The clocks of two hosts may differ by so much.
CLOCKS_DIFFER_S = 60
#: Options of each task. Celery's own repetition could come when the lock is lost.
SENT_ONCE = {"retry": False, "confirm_timeout": 5}

log = logging.getLogger(__name__)


class ScheduleBeat(Beat):
    """Sends tasks by their names. To import them all would take twice the memory.

    So the schedule has the options of a task that count when it is sent, such as `expires`.
    """

    def init_loader(self) -> None:
        # Django's `configure_logging` would import its views and models.
        dictConfig(settings.LOGGING)
        # Celery opens the file of the schedule before it sends its signal `beat_init`.
        keep_private()
        app: Any = self.app
        # Results are rows, and their models need Django's apps.
        app.conf.result_backend = "disabled"
        if is_amqp(settings.CELERY_BROKER_URL):
            # Without a confirmation, a task that is sent to a lost host counts as sent.
            app.conf.broker_transport_options = {"confirm_publish": True}
        app.finalize()


class ClockStepScheduler(PersistentScheduler):
    """Celery's scheduler, which also survives a clock that is set back.

    Celery computes the next run of an entry from its last one. If the clock steps back by a
    day, the last run is in the future and beat sends nothing for a day.
    """

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; returns the seconds until the next call."""
        self._forget_future_runs()
        return super().tick(*args, **kwargs)

    def _forget_future_runs(self) -> None:
        now = timezone.now()
        latest = now + timedelta(seconds=CLOCKS_DIFFER_S)
        entries = [e for e in self.schedule.values() if e.last_run_at and e.last_run_at > latest]
        if not entries:
            return
        log.warning("The clock was set back: %d entries are scheduled again.", len(entries))
        for entry in entries:
            entry.last_run_at = now
        self._heap = None  # It is ordered by the old clock.


class LeaderScheduler(ClockStepScheduler):
    """Sends only while it leads, and stores in Valkey when it sent each entry.

    A beat that takes over goes on from there. It repeats an entry that the leader sent in its last
    moment and could not store.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._leadership = Leadership("cinema.beat")
        self._is_leading = self._has_failed = False
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send one entry that is due; returns the seconds until the next call."""
        was_leading, self._is_leading = self._is_leading, self._leadership.hold()
        if not self._is_leading:
            self._follow()
            touch_heartbeat(beat_name())
            return RENEW_EVERY_S
        if not was_leading:
            self._follow()
            self._publish()
        self._has_failed = False
        pause_s = super().tick(*args, **kwargs)
        return RENEW_EVERY_S if self._has_failed else min(pause_s, RENEW_EVERY_S)

    def apply_async(self, entry: Any, *args: Any, **kwargs: Any) -> Any:
        """Send an entry. One that cannot be sent stays due.

        Celery may have waited for the broker before this call, so the lock is renewed once more.
        """
        self._is_leading = self._leadership.hold()
        try:
            if not self._is_leading:
                raise SchedulingError(f"{entry.name} is not sent: another beat leads")
            entry.options = {**entry.options, **SENT_ONCE}
            result = super().apply_async(entry, *args, **kwargs)
        except SchedulingError:
            self.schedule[entry.name] = entry
            self._heap = None  # It has the next run of the entry.
            self._has_failed = True
            self._disconnect()
            raise
        self._publish()
        return result

    def close(self) -> None:
        self._leadership.give_up()
        super().close()

    def _follow(self) -> None:
        """Learn when each entry was sent last. While Valkey is away, the last answer counts."""
        for name, sent_at in (read_beats() or {}).items():
            at = datetime.fromtimestamp(sent_at, self.app.timezone)
            entry: Any = self.schedule.get(name)
            # Celery gives a new entry the present time. It would miss a run that is due.
            if entry and (entry.total_run_count == 0 or entry.last_run_at < at):
                entry.last_run_at = at
        self._heap = None

    def _publish(self) -> None:
        """Tell of all entries: Valkey may have lost those of a day ago."""
        runs = {name: entry.last_run_at for name, entry in self.schedule.items()}
        publish_beats({name: at.timestamp() for name, at in runs.items() if at})

    def _disconnect(self) -> None:
        """Let Celery connect to the broker again, perhaps to another host."""
        self.__dict__.pop("producer", None)
        if connection := self.__dict__.pop("connection", None):
            with suppress(OSError):
                connection.release()


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
        "users.prune_mailed_tokens": hour,
        "users.prune_sessions": day,
        "tmdb.resume_syncs": 60,
        "recommendations.request_training": training_interval_s,
        "recommendations.resume_training": 30,
        "recommendations.store_impressions": 10,
        "recommendations.renew_matches": 60,
        "recommendations.match_pending_imports": 60,
        "recommendations.match_viewers": crontab(hour="0", minute="0"),
        "recommendations.find_similar_movies": crontab(hour="1", minute="0"),
        "recommendations.refresh_summary": crontab(hour="*/6", minute="0"),
        "recommendations.prune_impressions": crontab(minute="15"),
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
