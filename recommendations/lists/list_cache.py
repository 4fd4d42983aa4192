"""The list cache: the lists that viewers were given, until midnight, and who needs new ones.

A viewer who acts is put on a queue in Valkey, and one task renews the lists of all of them
(`renewal.py`). Nothing here must succeed: a viewer whose lists are not renewed within PATIENCE_S
gets one made by their own request; within BUSY_PATIENCE_S while the worker renews those of others,
as requests of a crowd would slow each other down.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from datetime import time as day_time
from typing import Any, NamedTuple, Self

import orjson
from django.utils import timezone
from redis import Redis

from cinema.cache import shared
from cinema.task_queue import send_task
from movies.catalogue import Snapshot
from movies.days import ONE_DAY, cinema_day, local_time, moment_of
from recommendations.content_similarity import Reason
from recommendations.impressions.stream import films_key
from recommendations.lists.campaigns import experiment_key, promotions_key
from recommendations.lists.list_builder import ListItem, ListQuery
from recommendations.lists.ranking import HYBRID
from recommendations.lists.scores import Scope

#: Lists of one viewer; a further one replaces the one that was asked for longest ago.
MOST_LISTS = 8
#: A movie may be opened from a page that was loaded before midnight.
KEPT_PAST_MIDNIGHT_S = 3600

#: Viewers who need new lists, by the time of their first action.
QUEUE = "recommendations:renewing"
QUEUE_KEPT_S = 3600
#: Set while a renewal task is on its way or running.
SENT = "recommendations:renewing_sent"
#: Longer than a task runs. While no worker runs, one message is sent in so long.
SENT_KEPT_S = 40
#: When the worker last renewed lists.
WORKED_AT = "recommendations:renewing_worked_at"
#: How much older than the viewer's last action a list may be.
PATIENCE_S = 3.0
BUSY_PATIENCE_S = 60.0
ASKED_KEPT_S = 60


class ListVersion(NamedTuple):
    """The state that a list was made from.

    It is read before the list is made, so a list can be newer than its version, never older.
    """

    taste_version: int
    release: int | None
    context: str
    limit: int

    def is_same_but_for_taste(self, other: ListVersion) -> bool:
        return self[1:] == other[1:]


def context_key(user_id: int, query: ListQuery, snapshot: Snapshot) -> str:
    """It changes with the promotions and the viewer's experiment, for the default algorithm alone.

    A list of the programme also depends on the cinema day.
    """
    now = timezone.now()
    day = f"{cinema_day(now)}" if query.scope == "programme" else ""
    if query.algorithm != HYBRID:
        return day
    promoted = promotions_key(snapshot, query.scope, now)
    return f"{day}/{promoted}/{experiment_key(snapshot, user_id, now)}"


@dataclass(frozen=True)
class RecommendationList:
    """Up to LIST_LENGTH items for one viewer, handed out in batches of `limit`."""

    list_id: str
    scope: Scope
    algorithm: str
    days: int
    taste_version: int
    release: int | None
    context: str
    limit: int
    generated_at: str
    expires_at: str
    items: Sequence[ListItem]

    @classmethod
    def of(cls, query: ListQuery, version: ListVersion, items: Sequence[ListItem]) -> Self:
        now = timezone.now()
        return cls(
            list_id=str(uuid.uuid4()),
            scope=query.scope,
            algorithm=query.algorithm,
            days=query.days,
            generated_at=local_time(now).isoformat(),
            expires_at=local_time(next_midnight(now)).isoformat(),
            items=items,
            **version._asdict(),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        items = [
            ListItem(**{**item, "reasons": [Reason(**reason) for reason in item["reasons"]]})
            for item in values["items"]
        ]
        return cls(**{**values, "items": items})

    @property
    def query(self) -> ListQuery:
        return ListQuery(self.scope, self.algorithm, self.days)

    @property
    def version(self) -> ListVersion:
        return ListVersion(self.taste_version, self.release, self.context, self.limit)

    def has_expired(self) -> bool:
        return timezone.now() >= datetime.fromisoformat(self.expires_at)

    def batch(self, number: int) -> Sequence[ListItem]:
        return self.items[(number - 1) * self.limit : number * self.limit]


def next_midnight(now: datetime) -> datetime:
    """The start of the cinema's next calendar day, which is not at 00:00 on each day everywhere."""
    moment, _ = moment_of(datetime.combine(local_time(now).date() + ONE_DAY, day_time()))
    return moment


@dataclass(frozen=True)
class Delivery:
    """The last list and batch that a viewer was given.

    Attributes:
        keys: The cache keys of all cached lists, the last one first.
        list_id: The id of the last list.
        batch: The number of the last batch.
        shown: The items of the last list that were shown: one bit each, by rank.
    """

    keys: Sequence[str] = ()
    list_id: str = ""
    batch: int = 0
    shown: int = 0

    def then(
        self, key: str, given: RecommendationList, number: int, items: Sequence[ListItem]
    ) -> Delivery:
        """The delivery after these items of that list were given too."""
        keys = [key, *(other for other in self.keys if other != key)][:MOST_LISTS]
        before = self.shown if self.list_id == given.list_id else 0
        return Delivery(keys, given.list_id, number, before | sum(1 << item.rank for item in items))

    def has_shown(self, item: ListItem) -> bool:
        return bool(self.shown >> item.rank & 1)


@dataclass(frozen=True)
class CachedLists:
    """The cached values for a viewer's query.

    Attributes:
        given: The list that was given as the answer before.
        renewed: A list that the worker has made since.
        delivery: What the viewer was given last, for any query.
        asked_at: Unix seconds when the renewal was requested; None if the viewer waits for none.
        worked_at: Unix seconds when the worker last renewed lists, of any viewer.
    """

    given: RecommendationList | None = None
    renewed: RecommendationList | None = None
    delivery: Delivery = Delivery()
    asked_at: float | None = None
    worked_at: float | None = None

    @property
    def lists(self) -> list[RecommendationList]:
        return [one for one in (self.given, self.renewed) if one and not one.has_expired()]

    def may_soon_be_renewed(self) -> bool:
        if self.asked_at is None:
            return False
        now = time.time()
        is_busy = self.worked_at is not None and now - self.worked_at < PATIENCE_S
        return 0 <= now - self.asked_at < (BUSY_PATIENCE_S if is_busy else PATIENCE_S)


def find(user_id: int, query: ListQuery) -> CachedLists:
    """Read everything in one command; nothing is found while the cache is away."""
    key, last, asked = key_of(user_id, query), delivery_key(user_id), asked_key(user_id)
    values = shared().find([key, renewed_key(key), last, asked, WORKED_AT]) or {}
    return CachedLists(
        given=_list(values.get(key)),
        renewed=_list(values.get(renewed_key(key))),
        delivery=_delivery(values.get(last)),
        asked_at=_seconds(values.get(asked)),
        worked_at=_seconds(values.get(WORKED_AT)),
    )


def find_last(user_id: int) -> tuple[RecommendationList | None, Delivery]:
    """The list that the viewer was given last, if it has not expired, and the delivery."""
    delivery = _delivery(shared().get(delivery_key(user_id)))
    found = _list(shared().get(delivery.keys[0])) if delivery.keys else None
    return (None if found is None or found.has_expired() else found), delivery


def store_delivery(
    user_id: int, given: RecommendationList, delivery: Delivery, *, before: Delivery
) -> None:
    """Store the list with its delivery, and its movies under a key that clicks are checked by."""
    cache, values = shared(), dict[str, object]()
    if delivery.list_id != before.list_id:
        values[delivery.keys[0]] = given
        values[films_key(user_id, given.list_id)] = [item.movie_id for item in given.items]
    values[delivery_key(user_id)] = delivery
    cache.set_many(values, lifetime_s(given))
    for key in set(before.keys) - set(delivery.keys):
        cache.delete(key)
        cache.delete(renewed_key(key))


def store_renewed(user_id: int, renewed: RecommendationList) -> None:
    """Store it beside the list that was given: the viewer may still want the next batch of that."""
    key = renewed_key(key_of(user_id, renewed.query))
    shared().set(key, renewed, lifetime_s(renewed))


def newest_lists(user_ids: Sequence[int]) -> Iterator[tuple[int, RecommendationList]]:
    """The newest list for each query of these viewers."""
    found = shared().find(map(delivery_key, user_ids)) or {}
    owners = {
        key: user_id
        for user_id in user_ids
        for key in _delivery(found.get(delivery_key(user_id))).keys
    }
    values = shared().find([*owners, *map(renewed_key, owners)]) or {}
    for key, user_id in owners.items():
        lists = [one for at in (key, renewed_key(key)) if (one := _list(values.get(at)))]
        if lists:
            yield user_id, max(lists, key=lambda one: one.taste_version)


def lists_of(user_id: int) -> Iterator[Mapping[str, Any]]:
    """Everything that is cached for a viewer, as it is stored."""
    cache = shared()
    for key in cache.keys_below(keys_of(user_id)):
        if isinstance(found := cache.get(key), dict):
            yield found


def forget(user_id: int) -> None:
    cache = shared()
    for key in cache.keys_below(keys_of(user_id)):
        cache.delete(key)


def lifetime_s(given: RecommendationList) -> int:
    left = datetime.fromisoformat(given.expires_at) - timezone.now()
    return max(1, math.ceil(left.total_seconds())) + KEPT_PAST_MIDNIGHT_S


# --- renewal


def request_renewal(user_id: int, *, may_wait: bool) -> None:
    """Have the viewer's lists renewed.

    Args:
        may_wait: Whether the cached list without the movie will do until then. It does not after
            an interaction was deleted: the cached list lacks that movie.
    """
    now = time.time()
    cache = shared()
    keys = (QUEUE, asked_key(user_id), SENT)
    queue, asked, sent = map(cache.make_and_validate_key, keys)

    def run(server: Redis) -> bool:
        pipeline = server.pipeline(transaction=False)
        pipeline.zadd(queue, {str(user_id): now}, nx=True)
        pipeline.expire(queue, QUEUE_KEPT_S)
        if may_wait:
            # The first of several actions counts, or a busy viewer would wait for ever.
            pipeline.set(asked, orjson.dumps(now), nx=True, ex=ASKED_KEPT_S)
        else:
            pipeline.delete(asked)
        pipeline.set(sent, orjson.dumps(now), nx=True, ex=SENT_KEPT_S)
        return bool(pipeline.execute()[-1])

    if cache.ask(run):
        send_renewal()


def send_renewal() -> None:
    send_task("recommendations.renew_lists", retry=False)


def forget_request(user_id: int) -> None:
    queue = shared().make_and_validate_key(QUEUE)
    shared().ask(lambda server: server.zrem(queue, str(user_id)))


# --- keys


def keys_of(user_id: int) -> str:
    """The prefix of all keys of a viewer."""
    return f"recommendations:{user_id}:"


def key_of(user_id: int, query: ListQuery) -> str:
    days = query.days if query.scope == "programme" else 0
    return f"{keys_of(user_id)}{query.scope}:{query.algorithm}:{days}"


def renewed_key(key: str) -> str:
    return f"{key}:renewed"


def delivery_key(user_id: int) -> str:
    return f"{keys_of(user_id)}given"


def asked_key(user_id: int) -> str:
    return f"{keys_of(user_id)}asked"


# --- values; what another version of this program stored is ignored


def _list(values: object) -> RecommendationList | None:
    try:
        return RecommendationList.from_json(values) if isinstance(values, dict) else None
    except (KeyError, TypeError):
        return None


def _delivery(values: object) -> Delivery:
    try:
        return Delivery(**values) if isinstance(values, dict) else Delivery()
    except TypeError:
        return Delivery()


def _seconds(value: object) -> float | None:
    return value if isinstance(value, float) else None
