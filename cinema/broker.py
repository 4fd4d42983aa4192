"""The broker of tasks: its address as Celery wants it, and its queues."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from kombu import Exchange, Queue

from cinema.valkey import sentinel_address

#: A time limit of any task must stay below it, or Redis hands the task out twice.
VISIBILITY_TIMEOUT_S = 3600


def celery_address(url: str) -> tuple[str, dict[str, Any]]:
    """The address for Celery, and the options of its transport.

    Celery divides several hosts by semicolons, each with the whole address: Sentinels, or the
    nodes of a RabbitMQ cluster. Here they are divided by commas, as in DATABASE_URL.
    """
    redis_options = {
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "socket_timeout": 10,
        "socket_connect_timeout": 2,
    }
    if address := sentinel_address(url):
        path = f"/{address.database}" + (f"?{urlencode(address.tls)}" if address.tls else "")
        sentinels = (f"sentinel://{address.user_info}{host}{path}" for host in address.hosts)
        options = {"master_name": address.group, "sentinel_kwargs": address.sentinel_options(2)}
        return ";".join(sentinels), redis_options | options
    if is_amqp(url):
        parts = urlsplit(url)
        user_info, at, hosts = parts.netloc.rpartition("@")
        nodes = (parts._replace(netloc=user_info + at + host) for host in hosts.split(","))
        return ";".join(node.geturl() for node in nodes), {}
    query = urlsplit(url).query
    if url.startswith("rediss:") and "ssl_cert_reqs" not in parse_qs(query):
        # Without any option of TLS, kombu would take every certificate.
        url += f"{'&' if query else '?'}ssl_cert_reqs=required"
    return url, redis_options


def is_amqp(url: str) -> bool:
    return url.startswith("amqp")


def task_queues(*names: str, url: str) -> list[Queue]:
    """The queues of the broker at this address.

    In RabbitMQ they are quorum queues, which outlive the loss of a node of a cluster and work on
    a single node too. Earlier versions made classic queues, and RabbitMQ refuses another type for
    the same name. So the names are new there, and the old ones remain as aliases, for `--queues`
    and routes. The exchanges are topic exchanges, as Celery needs for delayed tasks.
    """
    if not is_amqp(url):
        return [Queue(name, Exchange(name), routing_key=name) for name in names]
    return [
        Queue(
            f"{name}.quorum",
            Exchange(f"{name}.quorum", type="topic"),
            routing_key=name,
            alias=name,
            queue_arguments={"x-queue-type": "quorum"},
        )
        for name in names
    ]
