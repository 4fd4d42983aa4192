"""Celery beat: its scheduler, and a start without the tasks that it sends."""

from __future__ import annotations

import logging
from logging.config import dictConfig
from typing import Any

from celery.apps.beat import Beat
from celery.beat import PersistentScheduler
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
