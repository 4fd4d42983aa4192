"""The RSGI application that granian serves.

The event loop reads requests and sends responses, so a slow client costs a connection and no
thread. Threads run Django once a request is complete. docs/decisions/0054 has the reasons.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cinema.settings")

from django.conf import settings
from django.core.cache import close_caches
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, reset_queries
from django.urls import get_resolver

from cinema.home import keep_private
from cinema.metrics.files import keep_in_files

keep_private()
keep_in_files()
_django = get_wsgi_application()
# Otherwise the first request of each process waits for the imports of the URLs.
get_resolver().url_patterns  # noqa: B018
if not settings.DEBUG:
    # They took a tenth of a response from memory, and nothing is left to do for them: a thread
    # gives its connection back itself, and our cache has nothing to close.
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    request_started.disconnect(reset_queries)
    request_finished.disconnect(close_caches)

# These modules need Django's settings, and the counters their files.
from cinema.metrics.counters import refused_requests  # noqa: E402
from cinema.request_log import batch_lines  # noqa: E402
from cinema.web import bridge  # noqa: E402
from cinema.web.bodies import NO_BODY, ArrivingBody, Body, BodyRefused, Limits, receive_body  # noqa: E402
from cinema.web.bridge import BUSY, FAILED, LIVE, call_django, environ_of, send  # noqa: E402
from cinema.web.event_loop_cache import EventLoopCache, Key  # noqa: E402
from cinema.web.threads import TooBusy, WebThreads  # noqa: E402

log = logging.getLogger(__name__)

#: The event loop answers these, so that they succeed while all threads are busy.
LIVE_PATHS = {"/health/live", "/health/live/", "/api/v1/health/live", "/api/v1/health/live/"}
HEALTH_PATHS = ("/health/", "/api/v1/health")
METRICS_PATHS = {"/metrics", "/metrics/"}
#: Requests that wait for a thread in each process. A crowd of 1,000 viewers who think for a second
#: keeps some 400 waiting; each waits for 10 s at most.
LONGEST_QUEUE = 512
#: Threads that read large uploads of staff during their arrival.
UPLOAD_THREADS = 2


class Application:
    """One web process."""

    def __init__(self) -> None:
        self._limits = Limits.from_settings()
        self._limits_writing = False
        threads = settings.WEB_THREADS
        self._requests = WebThreads(
            "request", threads, longest_queue=LONGEST_QUEUE, keeps_connections=True
        )
        self._uploads = WebThreads("upload", UPLOAD_THREADS, longest_queue=0)
        # For readiness while every other thread waits for a server that hangs. Several, as each
        # then waits for up to 2 s, and the supervisor asks too.
        self._health = WebThreads("health", 4, longest_queue=8)
        # One at a time: reading all counters keeps other threads of this process waiting.
        self._metrics = WebThreads("metrics", 1, longest_queue=16)
        self._event_loop_cache = EventLoopCache()
        batch_lines()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if not self._limits_writing:
            # granian does not say when it starts to listen. At the first request it listens.
            self._limits_writing = True
            bridge.limit_writing()
        if scope.path in LIVE_PATHS and scope.method in ("GET", "HEAD"):
            LIVE.send(scope, protocol)
            return
        body: Body = NO_BODY
        try:
            if (key := self._event_loop_cache.send(scope, protocol)) is None:
                return
            body = await receive_body(scope.headers, protocol, self._limits)
            await self._answer(scope, protocol, body, key)
        except BodyRefused as refused:
            refused_requests.labels("body").inc()
            refused.response.send(scope, protocol)
        except TooBusy:
            refused_requests.labels("busy").inc()
            BUSY.send(scope, protocol)
        except Exception:
            log.exception("%s %r failed outside of Django", scope.method, scope.path[:200])
            FAILED.send(scope, protocol)
        finally:
            body.close()

    async def _answer(self, scope: Any, protocol: Any, body: Body, key: Key) -> None:
        call = partial(call_django, _django, environ_of(scope, body))
        answer = await self._threads_for(scope.path, body).run(call)
        if isinstance(body, ArrivingBody) and body.refused:
            answer.release()
            body.refused.response.send(scope, protocol)
        else:
            send(answer, protocol)
            self._event_loop_cache.keep(key, answer)

    def _threads_for(self, path: str, body: Body) -> WebThreads:
        if path.startswith(HEALTH_PATHS):
            return self._health
        if path in METRICS_PATHS:
            return self._metrics
        return self._uploads if isinstance(body, ArrivingBody) else self._requests


application = Application()
