"""`/metrics`: for Prometheus alone, which sends a token that follows from SECRET_KEY."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare, salted_hmac
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from cinema import __version__, replicas
from cinema.errors import Unauthorized
from cinema.http import bearer_token
from cinema.metrics import counters, files
from cinema.metrics.sources import SOURCES, read_sources

log = logging.getLogger(__name__)


def metrics_token(secret: str | None = None) -> str:
    """The token of Prometheus. It tells nothing about the secret."""
    return salted_hmac("cinema.metrics", "read", secret=secret, algorithm="sha256").hexdigest()


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """All metrics, for callers with the token of `manage.py metrics_token`."""
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    given = bearer_token(request)
    if not any(constant_time_compare(given, metrics_token(secret)) for secret in secrets):
        raise Unauthorized(
            "Send the token of `manage.py metrics_token` as `Authorization: Bearer …`."
        )
    body = generate_latest(AllMetrics())
    return HttpResponse(
        body, content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"}
    )


class AllMetrics(Collector):
    """The metrics of this server and of the site."""

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("cinema_info", "The version of the web.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        up = GaugeMetricFamily(
            "cinema_replica_up",
            "Whether the web process that answers Prometheus reads from a replica.",
            labels=["replica"],
        )
        for number, replica in enumerate(replicas.REPLICAS, start=1):
            up.add_metric([str(number)], float(replica.holds(0)))
        yield up
        yield from _counted()
        yield from read_sources(SOURCES)


def _counted() -> Iterator[Metric]:
    """The counters of all web processes of this server, or of this one if it keeps no files."""
    shared_files = files.are_kept()
    try:
        yield from (
            MultiProcessCollector(None, str(files.directory())).collect()  # type: ignore[no-untyped-call]
            if shared_files
            else counters.registry.collect()
        )
    except Exception:
        log.exception("the counters of the web processes cannot be read")
        shared_files = False
    yield GaugeMetricFamily(
        "cinema_counters_shared",
        "Whether the counters are those of all web processes of the server.",
        value=float(shared_files),
    )
