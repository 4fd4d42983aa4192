from __future__ import annotations

import logging
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cinema.development import STAFF, VIEWER
from cinema.doctor import examine


class Command(BaseCommand):
    help = (
        "Say what is wrong or unwise, and what to do. The exit status is 1 if something is wrong."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        # It would repeat each second that a server is away.
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
        faults = 0
        for finding in examine([(each.email, each.password) for each in (STAFF, VIEWER)]):
            faults += finding.is_fault
            style = self.style.ERROR if finding.is_fault else self.style.WARNING
            self.stdout.write(style("Wrong: " if finding.is_fault else "Unwise: ") + finding.what)
            self.stdout.write(f"    {finding.do}")
        if faults:
            raise CommandError(
                "One thing is wrong." if faults == 1 else f"{faults} things are wrong."
            )
        self.stdout.write("Nothing is wrong.")
