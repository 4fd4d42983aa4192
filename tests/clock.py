"""Tests at other moments than now.

`pytest --clock=2028-02-29T23:59` begins each test at this time, by the cinema's clock. A test
marked `any_moment` is run at each of MOMENTS. Only Python's clock is set. Tests marked
`real_clock` compare it with that of another program, such as PostgreSQL: they are skipped then.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import time_machine

#: The time zone of the default settings, which the tests use.
ZONE = ZoneInfo("Europe/Berlin")
#: Every weekday, both ends of the cinema's night, the days around a change of the clocks, the end
#: and the beginning of a year, and 29 February.
MOMENTS = (
    "2028-01-03T05:59",  # Monday
    "2028-02-29T23:59",  # Tuesday
    "2027-12-01T12:00",  # Wednesday
    "2026-12-31T23:59",  # Thursday
    "2027-01-01T05:59",  # Friday
    "2027-03-27T23:59",  # Saturday, two hours before the clocks go forward
    "2027-03-28T05:59",  # Sunday
    "2027-10-31T02:30",  # Sunday, in the hour that the clock shows twice
    "2027-10-31T23:59",
)


class Clock:
    """The plugin that sets the clock for every test."""

    def __init__(self, starts_at: datetime) -> None:
        self._starts_at = starts_at.replace(tzinfo=ZONE)
        # The clock is set before modules are imported, as some compute dates then.
        time_machine.travel(self._starts_at).start()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if item.get_closest_marker("real_clock"):
                item.add_marker(pytest.mark.skip(reason="only Python's clock is set"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        with time_machine.travel(self._starts_at):
            return (yield)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clock", type=datetime.fromisoformat, help="when each test begins")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "any_moment: run the test at each of several moments")
    config.addinivalue_line("markers", "real_clock: skip the test with --clock")
    if starts_at := config.getoption("clock"):
        config.pluginmanager.register(Clock(starts_at))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    is_marked = metafunc.definition.get_closest_marker("any_moment")
    if is_marked and not metafunc.config.getoption("clock"):
        metafunc.fixturenames.insert(0, "moment")  # before those that compute dates
        metafunc.parametrize("moment", MOMENTS, indirect=True)


@pytest.fixture
def november() -> Generator[None, None, None]:
    """Set the clock to a Thursday in November 2026, for tests with dates of that December."""
    with time_machine.travel(datetime(2026, 11, 26, 12, tzinfo=ZONE)):
        yield


@pytest.fixture
def moment(request: pytest.FixtureRequest) -> Generator[datetime, None, None]:
    """Set the clock to the moment, from which it goes on."""
    clock: datetime | None = request.config.getoption("clock")
    starts_at = (clock or datetime.fromisoformat(request.param)).replace(tzinfo=ZONE)
    with time_machine.travel(starts_at):
        yield starts_at
