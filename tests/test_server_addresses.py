"""Addresses with several hosts: Sentinels, the nodes of RabbitMQ, a primary and its replica."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cinema.broker import celery_address, task_queues
from cinema.valkey import sentinel_address
from cinema.variables import BROKER, POSTGRES, REDIS, Address, server_url
from tests.test_settings import start

SENTINELS = "redis+sentinel://:a%2Fb@one,two:26380/films/3"
SECURED = (
    "rediss+sentinel://:a%2Fb@one,two/films/3?sentinel_username=me&sentinel_password=a%2Fb+c"
    "&ssl_ca_certs=/etc/ca.pem"
)


def test_an_address_of_sentinels_is_read() -> None:
    address = sentinel_address(SENTINELS)
    assert address
    assert address.hosts == ("one:26379", "two:26380")
    assert (address.group, address.database) == ("films", 3)
    assert (address.username, address.password) == (None, "a/b")
    assert (address.tls, address.sentinel_account) == ({}, {})
    assert sentinel_address("redis://one:6379/0") is None


def test_an_address_of_sentinels_with_tls_and_an_account_is_read() -> None:
    address = sentinel_address(SECURED)
    assert address
    assert (address.password, address.group, address.database) == ("a/b", "films", 3)
    assert address.sentinel_account == {"username": "me", "password": "a/b+c"}
    assert address.tls == {"ssl_cert_reqs": "required", "ssl_ca_certs": "/etc/ca.pem"}
    url, options = celery_address(SECURED)
    tls = "ssl_cert_reqs=required&ssl_ca_certs=%2Fetc%2Fca.pem"
    assert url.split(";")[1] == f"sentinel://:a%2Fb@two:26379/3?{tls}"
    assert options["sentinel_kwargs"] == address.sentinel_options(2) | {
        "retry": options["sentinel_kwargs"]["retry"]
    }


def test_celery_checks_the_certificate_of_valkey() -> None:
    assert celery_address("rediss://one/1")[0] == "rediss://one/1?ssl_cert_reqs=required"
    url = "rediss://one/1?ssl_ca_certs=/etc/ca.pem"
    assert celery_address(url)[0] == f"{url}&ssl_cert_reqs=required"
    assert celery_address("rediss://one/1?ssl_cert_reqs=none")[0].endswith("/1?ssl_cert_reqs=none")
    url = "rediss://:ssl_cert_reqs=@one/1"
    assert celery_address(url)[0] == f"{url}?ssl_cert_reqs=required"


def test_celery_divides_hosts_by_semicolons() -> None:
    url, options = celery_address(SENTINELS)
    assert url == "sentinel://:a%2Fb@one:26379/3;sentinel://:a%2Fb@two:26380/3"
    assert options["master_name"] == "films"
    assert options["visibility_timeout"] == 3600
    url, options = celery_address("amqp://me:a%2Fb@one:5672,two:5672//")
    assert url == "amqp://me:a%2Fb@one:5672//;amqp://me:a%2Fb@two:5672//"
    assert options == {}


def test_queues_of_rabbitmq_have_new_names_and_the_old_ones_as_aliases() -> None:
    queue: Any
    [queue] = task_queues("cinema", url="amqp://one//")
    assert (queue.name, queue.alias, queue.exchange.type) == ("cinema.quorum", "cinema", "topic")
    assert queue.queue_arguments == {"x-queue-type": "quorum"}
    [queue] = task_queues("cinema", url="redis://one/0")
    assert (queue.name, queue.alias, queue.queue_arguments) == ("cinema", None, None)


@pytest.mark.parametrize(
    ("form", "address"),
    [
        (REDIS, SENTINELS),
        (BROKER, SENTINELS),
        (REDIS, "redis+sentinel://one/films"),
        (REDIS, SECURED),
        (BROKER, SECURED),
        (BROKER, "amqp://me@one:5672,two:5672//"),
        (BROKER, "amqp://me:a%2Fb@one:5672//;amqp://me:a%2Fb@two:5672//"),
        (POSTGRES, "postgres://me@one:5432,two:5433/cinema?target_session_attrs=read-write"),
        (POSTGRES, "postgres://me@%2Frun%2Fone,%2Frun%2Ftwo/cinema"),
    ],
)
def test_good_addresses(form: Address, address: str) -> None:
    assert server_url(*form.schemes)(address) == address


@pytest.mark.parametrize(
    ("form", "address"),
    [
        (REDIS, "redis+sentinel://one"),
        (REDIS, "redis+sentinel://one/films/first"),
        (REDIS, "redis+sentinel://one,/films"),
        (REDIS, "redis+sentinel://one/films?ssl_ca_certs=/etc/ca.pem"),  # without TLS
        (REDIS, "rediss+sentinel://one/films?password=a"),
        (REDIS, "redis://one,two/0"),
        (BROKER, "redis://one,two/0"),
        # libpq would use the one port for both.
        (POSTGRES, "postgres://me@one,two:5433/cinema"),
        (POSTGRES, "postgres://me@one:5433,two/cinema"),
    ],
)
def test_invalid_addresses_are_refused(form: Address, address: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        server_url(*form.schemes)(address)


def test_passwords_beside_addresses_of_several_hosts(tmp_path: Path) -> None:
    done = start(
        tmp_path,
        "s.REDIS_URL, s.CELERY_BROKER_URL, s.DATABASES['default']['HOST'], "
        "s.DATABASES['default']['PORT'], s.DATABASES['default']['PASSWORD'], sep='\\n'",
        DATABASE_URL="postgres://cinema@one:5432,two:5433/cinema?target_session_attrs=read-write",
        REDIS_URL="redis+sentinel://one,two/films/0",
        CELERY_BROKER_URL="amqp://cinema@one,two//",
        POSTGRES_PASSWORD="a,b",
        REDIS_PASSWORD="a,b@c",
        CELERY_BROKER_PASSWORD="a;b",
        SECRET_KEY="known",
    )
    assert done.stdout.splitlines() == [
        "redis+sentinel://:a%2Cb%40c@one,two/films/0",
        "amqp://cinema:a%3Bb@one//;amqp://cinema:a%3Bb@two//",
        "one,two",
        "5432,5433",
        "a,b",
    ]
