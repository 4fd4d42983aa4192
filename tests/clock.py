"""`pytest --clock=2028-02-29T23:59`: each test begins at this time, by the cinema's clock.

Only Python's clock is set. PostgreSQL's own, which a few triggers read, goes on as it is.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import time_machine

#: Of the default settings, which the tests use.
ZONE = ZoneInfo("Europe/Berlin")


class Clock:
    """The plugin that sets the clock."""

    def __init__(self, starts_at: datetime) -> None:
        self._starts_at = starts_at.replace(tzinfo=ZONE)
        # Also while modules are imported: some compute dates then.
        time_machine.travel(self._starts_at).start()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        with time_machine.travel(self._starts_at):
            return (yield)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clock", type=datetime.fromisoformat, help="when each test begins")


def pytest_configure(config: pytest.Config) -> None:
    if starts_at := config.getoption("clock"):
        config.pluginmanager.register(Clock(starts_at))
