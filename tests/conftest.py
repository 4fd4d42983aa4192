"""Tests run on a real PostgreSQL and a real Valkey: embedded ones of their own, unless
TEST_DATABASE_URL, TEST_REDIS_URL and TEST_CELERY_BROKER_URL name others (`make test-services`)."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from django.db import connection
from hypothesis import settings as hypothesis_settings
from psycopg_pool import ConnectionPool
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.environment import HOME

if TYPE_CHECKING:
    from pytest_django import DjangoCaptureOnCommitCallbacks, DjangoDbBlocker
    from pytest_django.fixtures import Settings

    from cinema.replicas import Replica
    from tests.builders import Client
    from tests.replication import Standby
    from tests.tastes import Camps
    from tests.tmdb_server import TmdbServer


# A process that is suspended during an example takes longer than Hypothesis' 200 ms.
hypothesis_settings.register_profile("patient", hypothesis_settings.default, deadline=None)
hypothesis_settings.load_profile("patient")

#: These take long, most of them because they start whole Cinemas. They come first, so that no
#: process is left alone with one. Files that wait stand between files that compute.
LONG_FILES = (
    "test_slow_clients.py",
    "test_up.py",
    "test_contract.py",
    "test_containers_running.py",
    "test_tour.py",
    "test_upgrade.py",
    "test_metrics_running.py",
    "test_watching.py",
    "test_worker_pools.py",
    "test_beats.py",
    "test_import_movielens.py",
    "test_backup.py",
    "test_crowd.py",
    "test_training.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from thousands of tests and modules that stay: a fifth of the
    CPU of collecting, and some of each later run of it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Give each process whole files in this order: it starts once what a file shares."""
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def _servers() -> Iterator[None]:
    from django.conf import settings

    from cinema.development.embedded_servers import Servers
    from tests.shared_servers import delete_what_this_run_made

    servers = Servers(
        HOME,
        postgres=settings.EMBEDDED_POSTGRES,
        valkey=settings.EMBEDDED_VALKEY,
        durable=False,
    )
    servers.start()
    yield
    delete_what_this_run_made()
    servers.stop()
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(_servers: None) -> None:
    """Django makes the test database once the servers are up."""
    from tests.emptying import empty_tables_quickly

    empty_tables_quickly()


@pytest.fixture(autouse=True)
def _fresh_process_memory(
    _servers: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory of a process belongs to one test, and each request looks for changes."""
    from django.core.cache import cache

    from cinema import health
    from cinema.cache import ForgivingRedisCache
    from cinema.response_cache import responses
    from cinema.throttling import counters, lockout
    from movies import catalogue
    from recommendations import releases, similarity_scores
    from recommendations.impressions import stream

    settings.CATALOGUE_CHECK_INTERVAL_S = 1e-9
    # On a busy machine a check that is not about time may take longer than a probe waits.
    monkeypatch.setattr(health, "CHECKED_WITHIN_S", 60.0)
    ForgivingRedisCache._away_until = 0.0
    responses.forget()
    catalogue.forget()
    releases.forget_release()
    similarity_scores.forget_tastes()
    stream.forget_held()
    for counted in (counters.requests, counters.while_away, lockout.values_while_away):
        counted.clear()
    health._seen_at.clear()
    cache.clear()


@pytest.fixture
def product_hasher(settings: Settings) -> None:
    """The product's own cost of a password hash, for tests whose subject is hashing."""
    from cinema.settings import PASSWORD_HASHERS

    settings.PASSWORD_HASHERS = PASSWORD_HASHERS


@pytest.fixture
def home(settings: Settings, tmp_path: Path) -> Path:
    """Releases of this test alone."""
    settings.CINEMA_HOME = tmp_path
    return tmp_path


@pytest.fixture
def fresh_and_alone(settings: Settings, tmp_path: Path) -> None:
    """Releases of this test alone, and no waiting for what has changed."""
    settings.CINEMA_HOME = tmp_path
    settings.RELEASE_CHECK_INTERVAL_S = 0
    settings.CATALOGUE_CHECK_INTERVAL_S = 0


@pytest.fixture
def without_the_last_migration(transactional_db: None) -> Iterator[None]:
    """A database that the test migrates; after a failure the next test finds all migrations."""
    from django.core.management import call_command

    call_command("migrate", "recommendations", "0003", verbosity=0)
    yield
    call_command("migrate", verbosity=0)


@pytest.fixture
def committing(
    db: None,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each request does what it does after its commit, also within the transaction of a test."""
    from tests.builders import Client

    send = Client.send

    def sent(*args: Any, **kwargs: Any) -> Any:
        with django_capture_on_commit_callbacks(execute=True):
            return send(*args, **kwargs)

    monkeypatch.setattr(Client, "send", sent)


@pytest.fixture
def media(settings: Settings, tmp_path: Path) -> Path:
    """Uploads of this test alone."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"


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


@pytest.fixture
def without_cache(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Valkey is away, and nothing is known yet of that."""
    from cinema.cache import ForgivingRedisCache

    monkeypatch.setattr(ForgivingRedisCache, "_away_until", 0.0)
    standing = settings.CACHES["default"]
    settings.CACHES = {"default": {**standing, "LOCATION": "unix:///nowhere/valkey.sock"}}


@pytest.fixture
def impatient_pool(db: None) -> Iterator[None]:
    """The pool gives up at once, not after ten seconds."""
    pool: ConnectionPool[Any] = cast("Any", connection).pool
    patience, pool.timeout = pool.timeout, 0.2
    yield
    pool.timeout = patience


@pytest.fixture
def tmdb(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TmdbServer]:
    """TMDb on loopback, connected. Waits of the client are written down and not waited."""
    from types import SimpleNamespace

    from movies.tmdb import client
    from tests.tmdb_server import TOKEN, running

    with running() as server:
        settings.TMDB_BASE_URL, settings.TMDB_ACCESS_TOKEN = server.url, TOKEN
        # A request that takes longer is sent again, and tests count the requests.
        monkeypatch.setattr(client, "TIMEOUT", 60)
        monkeypatch.setattr(client, "ATTEMPT_S", 60)
        monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=server.waits.append))
        yield server
        client.disconnect()


@pytest.fixture
def camps(db: None) -> Camps:
    from tests.tastes import publish_release, two_camps

    found = two_camps()
    publish_release()
    return found


@pytest.fixture
def fan(camps: Camps) -> Client:
    """New since the training, of the camp of viewer 0, with five films rated."""
    from tests.builders import Client, make_user
    from tests.tastes import rate_as_camp

    client = Client(make_user())
    rate_as_camp(client, camps, 5)
    return client


@pytest.fixture(scope="module")
def standby(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Standby]:
    from django.db import connections

    from tests.replication import ALIAS, Standby

    server = Standby()
    with django_db_blocker.unblock():
        try:
            server.copy_primary()
            server.start()
            # Django asks before each test whether it knows the database.
            connections.settings[ALIAS] = server.database
            yield server
        finally:
            server.remove()
            connections.settings.pop(ALIAS, None)


@pytest.fixture
def patient_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that is slow on a busy machine must not count as away."""
    from cinema import replicas

    monkeypatch.setattr(replicas, "ANSWER_KEPT_S", 30.0)
    monkeypatch.setattr(replicas, "LONGEST_LAG_S", 60.0)
    monkeypatch.setattr(replicas, "PATIENCE_S", 60.0)


@pytest.fixture
def replica(db: None, standby: Standby, patient_replicas: None) -> Iterator[Replica]:
    from tests.replication import caught_up, read_from

    with read_from(standby) as replica:
        caught_up(replica)
        yield replica
        if not standby.is_running():  # the test that has stopped it has failed
            standby.start()
        standby.go_on()
        standby.delay("0")
        standby.resume()
