"""The engine knows neither Django nor a database, and so its tests start no server."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", autouse=True)
def _servers() -> None:
    """Replace the fixture that starts servers."""


@pytest.fixture(autouse=True)
def _fresh_process_memory() -> None:
    """Replace the fixture that empties the cache."""
