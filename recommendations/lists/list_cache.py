"""The list cache: a viewer's lists until midnight, and the last response as it was sent.

Every value begins with a line that says what it was made from. While it still holds, the rest is
used, and nothing is parsed before that. Nothing here must succeed: without a cached list the
request makes one.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from datetime import time as day_time
from typing import Any, NamedTuple, Self

import orjson
from django.utils import timezone
from redis.client import Pipeline

from cinema.cache import shared
from movies.catalogue import Snapshot
from movies.days import ONE_DAY, cinema_day, local_time, moment_of
from recommendations.content_similarity import Reason
from recommendations.impressions.stream import films_key
from recommendations.lists.campaigns import experiment_key, promotions_key
from recommendations.lists.filters import NO_FILTERS, CandidateFilters
from recommendations.lists.list_builder import ListItem, ListQuery
from recommendations.lists.ranking import HYBRID
from recommendations.lists.scores import Scope
from recommendations.matches import queue
from users.preferences import VISIBILITY_KEPT_S, VISIBILITY_KEY

#: Lists of one viewer; a further one replaces the one that was asked for longest ago.
MAX_LISTS = 8
#: A movie may be opened from a page that was loaded before midnight.
KEPT_PAST_MIDNIGHT_S = 3600
#: How old the matches, and the ratings on the cards, of a response may be.
RESPONSE_KEPT_S = 60
assert RESPONSE_KEPT_S < VISIBILITY_KEPT_S


class ListVersion(NamedTuple):
    """The state that a list was made from.

    It is read before the list is made, so a list can be newer than its version, never older.
    """

    taste_version: int
    release: int | None
    context: str
    limit: int


def context_key(user_id: int, query: ListQuery, snapshot: Snapshot) -> str:
    """It changes at midnight and, for the default algorithm, with promotions and the experiment.

    A list of the programme also depends on the cinema day.
    """
    now = timezone.now()
    day = f"{local_time(now).date()}"
    if query.scope == "programme":
        day += f"/{cinema_day(now)}"
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
    filters: CandidateFilters
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
            filters=query.filters,
            generated_at=local_time(now).isoformat(),
            expires_at=local_time(next_midnight(now)).isoformat(),
            items=items,
            **version._asdict(),
        )

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self | None:
        """None if another version of this program has stored it."""
        try:
            values = orjson.loads(_after_first_line(stored))
            items = [
                ListItem(**{**item, "reasons": [Reason(**reason) for reason in item["reasons"]]})
                for item in values["items"]
            ]
            filters = CandidateFilters.from_json(values["filters"])
            return cls(**{**values, "filters": filters, "items": items})
        except (KeyError, TypeError, ValueError):
            return None

    def to_bytes(self) -> bytes:
        version = self.taste_version, self.release, self.context, self.limit
        return first_line(*version) + orjson.dumps(self)

    def has_expired(self) -> bool:
        return timezone.now() >= datetime.fromisoformat(self.expires_at)

    def lifetime_s(self) -> int:
        left = datetime.fromisoformat(self.expires_at) - timezone.now()
        return max(1, math.ceil(left.total_seconds())) + KEPT_PAST_MIDNIGHT_S

    def batch(self, number: int) -> Sequence[ListItem]:
        return self.items[(number - 1) * self.limit : number * self.limit]


def next_midnight(now: datetime) -> datetime:
    """The start of the cinema's next calendar day, which is not at 00:00 on each day everywhere."""
    moment, _ = moment_of(datetime.combine(local_time(now).date() + ONE_DAY, day_time()))
    return moment


@dataclass(frozen=True)
class Delivery:
    """The last list that a viewer was given.

    Attributes:
        keys: The cache keys of all cached lists, the last one first.
        list_id: The id of the last list.
        shown: The items of the last list that were shown: one bit each, by rank.
        taste_version: The viewer's at that time.
    """

    keys: Sequence[str] = ()
    list_id: str = ""
    shown: int = 0
    taste_version: int = -1

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        try:
            return cls(**orjson.loads(stored))
        except (TypeError, ValueError):
            return cls()

    def then(
        self, key: str, given: RecommendationList, items: Sequence[ListItem], taste_version: int
    ) -> Delivery:
        """The delivery after these items of that list were given too."""
        keys = [key, *(other for other in self.keys if other != key)][:MAX_LISTS]
        before = self.shown if self.list_id == given.list_id else 0
        shown = before | sum(1 << item.rank for item in items)
        return Delivery(keys, given.list_id, shown, taste_version)

    def has_shown(self, list_id: str, item: ListItem) -> bool:
        return self.list_id == list_id and bool(self.shown >> item.rank & 1)


class Cached(NamedTuple):
    """The stored values for a viewer's query, and the version of who may be named in a response."""

    response: bytes
    list: bytes
    delivery: Delivery
    visibility: bytes

    def find_response(self, first_line: bytes) -> bytes | None:
        return self.response[len(first_line) :] if self.response.startswith(first_line) else None

    def find_list(self, version: ListVersion) -> RecommendationList | None:
        is_current = self.list.startswith(first_line(*version))
        return RecommendationList.from_bytes(self.list) if is_current else None


def read(user_id: int, key: str) -> Cached:
    """Read everything in one command; nothing is found while the cache is away."""
    keys = response_key(user_id), key, delivery_key(user_id), VISIBILITY_KEY
    response, stored, delivery, visibility = shared().get_bytes(keys)
    return Cached(response, stored, Delivery.from_bytes(delivery), visibility)


def read_last(user_id: int) -> tuple[RecommendationList | None, Delivery]:
    """The list that the viewer was given last, if it has not expired, and the delivery."""
    [stored] = shared().get_bytes([delivery_key(user_id)])
    delivery = Delivery.from_bytes(stored)
    [stored] = shared().get_bytes(delivery.keys[:1]) or [b""]
    found = RecommendationList.from_bytes(stored)
    return (None if found is None or found.has_expired() else found), delivery


def store(
    pipeline: Pipeline,
    user_id: int,
    given: RecommendationList,
    delivery: Delivery,
    *,
    before: Delivery,
    response: bytes | None,
) -> None:
    """Add the commands that store what was given, and those for the matches of who has acted.

    The list's movies have a key of their own, which clicks are checked by.
    """
    name, lifetime_s = shared().make_and_validate_key, given.lifetime_s()
    pipeline.set(name(delivery_key(user_id)), orjson.dumps(delivery), ex=lifetime_s)
    if delivery.list_id != before.list_id:
        films = orjson.dumps([item.movie_id for item in given.items])
        pipeline.set(name(films_key(user_id, given.list_id)), films, ex=lifetime_s)
        pipeline.set(name(delivery.keys[0]), given.to_bytes(), ex=lifetime_s)
    if response is not None:
        pipeline.set(name(response_key(user_id)), response, ex=RESPONSE_KEPT_S)
    if ended := set(before.keys) - set(delivery.keys):
        pipeline.delete(*map(name, ended))
    if delivery.taste_version != before.taste_version:
        queue.add_viewer(pipeline, user_id)


def lists_of(user_id: int) -> Iterator[Mapping[str, Any]]:
    """The viewer's lists, without the first lines, and the delivery.

    The last response adds nothing that is the viewer's own.
    """
    keys = set(shared().keys_below(keys_of(user_id))) - {response_key(user_id)}
    for stored in filter(None, shared().get_bytes([*keys])):
        found = orjson.loads(_after_first_line(stored))
        if isinstance(found, dict):
            yield found


def forget(user_id: int) -> None:
    cache = shared()
    for key in cache.keys_below(keys_of(user_id)):
        cache.delete(key)


def first_line(*parts: object) -> bytes:
    return orjson.dumps(parts, option=orjson.OPT_APPEND_NEWLINE)


def _after_first_line(stored: bytes) -> bytes:
    return stored[stored.find(b"\n") + 1 :]


# --- keys


def keys_of(user_id: int) -> str:
    """The prefix of all keys of a viewer."""
    return f"recommendations:{user_id}:"


def key_of(user_id: int, query: ListQuery) -> str:
    """Without "list" an earlier version of this program would fail on values with a first line."""
    days = query.days if query.scope == "programme" else 0
    rest = ":calibrated" * query.calibrated
    if query.filters != NO_FILTERS:
        rest += f":{query.filters.digest()}"
    return f"{keys_of(user_id)}list:{query.scope}:{query.algorithm}:{days}{rest}"


def delivery_key(user_id: int) -> str:
    return f"{keys_of(user_id)}given"


def response_key(user_id: int) -> str:
    return f"{keys_of(user_id)}response"
