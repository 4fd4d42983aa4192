"""Print the token with which Prometheus reads /metrics."""

from __future__ import annotations

from django.core.management.base import BaseCommand

from cinema.metrics.exposition import metrics_token


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options: object) -> None:
        self.stdout.write(metrics_token())
