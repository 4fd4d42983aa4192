"""Lists that are renewed in the background: what is there, and what waits."""

from __future__ import annotations

import time
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.cache import cache

from cinema.cache import shared
from recommendations.lists import list_cache
from recommendations.lists.list_builder import ListQuery
from tests.builders import Client
from users.models import User


def messages() -> int:
    """What the broker has for a worker; what other tests have left, too."""
    with current_app.connection_for_write() as broker:
        name = settings.CELERY_TASK_DEFAULT_QUEUE
        channel: Any = broker.default_channel
        return int(channel.queue_declare(name, durable=True, auto_delete=False).message_count)


def waiting() -> list[int]:
    queue = shared().make_and_validate_key(list_cache.QUEUE)
    found: Any = shared().ask(lambda server: server.zrange(queue, 0, -1))
    return [int(user_id) for user_id in found]


def lose_patience(client: Client) -> None:
    """As if so long had passed since the viewer's first word."""
    key = list_cache.asked_key(client.user.pk)
    cache.set(key, time.time() - list_cache.PATIENCE_S, 60)


def find(client: Client, **question: Any) -> list_cache.CachedLists:
    asked = {"scope": "catalogue", "algorithm": "hybrid", "days": 7, **question}
    return list_cache.find(client.user.pk, ListQuery(**asked))


def keyed_to(user: User) -> list[str]:
    return shared().keys_below(list_cache.keys_of(user.pk))
