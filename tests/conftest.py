"""Tests run on a real PostgreSQL and a real Valkey: embedded ones of their own, unless the
environment names others (`make test-services`)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.environment import HOME

if TYPE_CHECKING:
    from tests.builders import Client


@pytest.fixture(scope="session", autouse=True)
def _servers() -> Iterator[None]:
    from django.conf import settings

    from cinema.embedded import Servers

    servers = Servers(
        HOME,
        postgres=settings.EMBEDDED_POSTGRES,
        valkey=settings.EMBEDDED_VALKEY,
        durable=False,
    )
    servers.start()
    yield
    servers.stop()
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(_servers: None) -> None:
    """Django makes the test database once the servers are up."""


@pytest.fixture(autouse=True)
def _fresh_process_memory(_servers: None) -> None:
    """What a process keeps in memory belongs to one test."""
    from django.core.cache import cache

    from movies import catalogue
    from recommendations import loading

    catalogue.forget()
    loading.forget_release()
    cache.clear()


@pytest.fixture
def anonymous(db: None) -> Client:
    from tests.builders import Client

    return Client()


@pytest.fixture
def viewer(db: None) -> Client:
    from tests.builders import Client, make_user

    return Client(make_user(name="Agnès"))


@pytest.fixture
def staff(db: None) -> Client:
    from tests.builders import Client, make_user

    return Client(make_user(is_staff=True))
