"""Syncs in the worker, whose tasks are greenlets of one thread, and beat's tasks for them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from celery import current_app
from django.conf import settings as django_settings

from tests.running import ROOT
from tests.tmdb_payloads import tmdb_film
from tests.tmdb_server import TOKEN, Handler, TmdbServer

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

ASK_FOR_THREE = """
from gevent import monkey; monkey.patch_all()
import os, gevent, django; django.setup()
from django.conf import settings
settings.TMDB_BASE_URL = os.environ["TMDB_URL"]
from movies.tmdb import client
asking = [gevent.spawn(lambda number=number: client.connect().details(number).title)
          for number in (1, 2, 3)]
gevent.joinall(asking, raise_error=True)
print(*(one.value for one in asking), sep=", ")
"""


def test_greenlets_wait_for_tmdb_at_the_same_time(tmdb: TmdbServer, settings: Settings) -> None:
    """The server answers none of the three before all have asked."""
    tmdb.add(*(tmdb_film(number) for number in (1, 2, 3)))
    all_have_asked = threading.Barrier(3)

    def answer_together(handler: Handler) -> None:
        all_have_asked.wait(timeout=30)
        handler.say(200, tmdb.films[int(handler.path.partition("?")[0].rpartition("/")[2])])

    tmdb.always("*", answer_together)
    done = subprocess.run(
        [sys.executable, "-c", ASK_FOR_THREE],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "CINEMA_HOME": str(settings.CINEMA_HOME),
            "TMDB_URL": tmdb.url,
            "TMDB_ACCESS_TOKEN": TOKEN,
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "Film 1, Film 2, Film 3", done.stderr
    assert not all_have_asked.broken


def test_beat_sends_what_the_worker_knows_to_the_workers_queue() -> None:
    entries = django_settings.CELERY_BEAT_SCHEDULE
    ours = {name: entry for name, entry in entries.items() if name.startswith("tmdb.")}
    assert set(ours) == {
        "tmdb.sync_films", "tmdb.sync_lists", "tmdb.sync_genres", "tmdb.resume_syncs",
    }  # fmt: skip
    current_app.loader.import_default_modules()
    for entry in ours.values():
        assert entry["task"] in current_app.tasks
        assert entry["task"] not in django_settings.CELERY_TASK_ROUTES
