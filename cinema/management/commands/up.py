from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from cinema.development.supervisor import Supervisor


class Command(BaseCommand):
    help = "Run all of Cinema: the embedded servers, the web, the worker and beat."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--empty", action="store_true", help="start without the demonstration")

    def handle(self, *args: Any, **options: Any) -> None:
        Supervisor(self.stdout).run(demonstrate=not options["empty"])
