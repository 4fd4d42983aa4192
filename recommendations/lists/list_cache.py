"""The lists that viewers were given, in the cache until midnight."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any, NamedTuple, Self

from django.utils import timezone

from cinema.cache import shared
from movies.catalogue import Snapshot
from movies.days import ONE_DAY, cinema_day, local_time, moment_of
from recommendations.content_similarity import Reason
from recommendations.impressions.stream import films_key
from recommendations.lists.campaigns import experiment_key, promotions_key
from recommendations.lists.list_builder import ListItem, ListQuery
from recommendations.lists.ranking import HYBRID
from recommendations.lists.scores import Scope

#: Of one viewer; further ones push out those that were asked for longest ago.
MOST_LISTS = 8
#: A film may be opened from a page that was read before midnight.
KEPT_PAST_MIDNIGHT_S = 3600
#: When lists were last made in the background.
WORKED_AT = "recommendations:renewing_worked_at"


class ListVersion(NamedTuple):
    """What a list is made from: with another one it would be another list.

    Read before the list is made, so that a list can only be newer than it says, never older.
    """

    taste_version: int
    release: int | None
    circumstances: str
    limit: int

    def but_for_taste(self) -> ListVersion:
        return self._replace(taste_version=0)


def context_key(user_id: int, question: ListQuery, snapshot: Snapshot) -> str:
    """Beside the viewer's own taste: what staff promote, and which experiment the viewer is in.

    Only of the default algorithm: whoever asks for another one gets that alone. A list of the
    programme also depends on the cinema day, with which a further day of screenings comes in.
    """
    now = timezone.now()
    day = f"{cinema_day(now)}" if question.scope == "programme" else ""
    if question.algorithm != HYBRID:
        return day
    promoted = promotions_key(snapshot, question.scope, now)
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
    circumstances: str
    limit: int
    generated_at: str
    expires_at: str
    items: Sequence[ListItem]

    @classmethod
    def of(cls, question: ListQuery, basis: ListVersion, items: Sequence[ListItem]) -> Self:
        now = timezone.now()
        return cls(
            list_id=str(uuid.uuid4()),
            scope=question.scope,
            algorithm=question.algorithm,
            days=question.days,
            generated_at=local_time(now).isoformat(),
            expires_at=local_time(next_midnight(now)).isoformat(),
            items=items,
            **basis._asdict(),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        items = [
            ListItem(**{**item, "reasons": [Reason(**reason) for reason in item["reasons"]]})
            for item in values["items"]
        ]
        return cls(**{**values, "items": items})

    @property
    def question(self) -> ListQuery:
        return ListQuery(self.scope, self.algorithm, self.days)

    @property
    def basis(self) -> ListVersion:
        return ListVersion(self.taste_version, self.release, self.circumstances, self.limit)

    def has_expired(self) -> bool:
        return timezone.now() >= datetime.fromisoformat(self.expires_at)

    def batch(self, number: int) -> Sequence[ListItem]:
        return self.items[(number - 1) * self.limit : number * self.limit]


def next_midnight(now: datetime) -> datetime:
    """When the next calendar day of the cinema begins; in some zones not at 00:00 each time."""
    moment, _ = moment_of(datetime.combine(local_time(now).date() + ONE_DAY, time()))
    return moment


@dataclass(frozen=True)
class Delivery:
    """What a viewer was given last.

    Attributes:
        keys: Of all lists that are kept, the one asked for last first.
        list_id: Of the first of them.
        batch: The number of the batch.
        shown: Of which items it is known that they were shown: one bit each, by rank.
    """

    keys: Sequence[str] = ()
    list_id: str = ""
    batch: int = 0
    shown: int = 0

    def then(
        self, key: str, kept: RecommendationList, number: int, items: Sequence[ListItem]
    ) -> Delivery:
        """After these items of that list were given too."""
        keys = [key, *(other for other in self.keys if other != key)][:MOST_LISTS]
        before = self.shown if self.list_id == kept.list_id else 0
        return Delivery(keys, kept.list_id, number, before | _bits(items))

    def knows(self, item: ListItem) -> bool:
        return bool(self.shown >> item.rank & 1)


def _bits(items: Sequence[ListItem]) -> int:
    return sum(1 << item.rank for item in items)


@dataclass(frozen=True)
class CachedLists:
    """What the cache has for a viewer who asks.

    Attributes:
        kept: The list that was given as the answer to this question before.
        renewed: One that was made since, in the background.
        given: What the viewer was given last, as the answer to any question.
        asked_at: Unix seconds, when it was asked to make one; None if nobody waits for it.
        worked_at: Unix seconds, when lists were last made in the background, for anybody.
    """

    kept: RecommendationList | None = None
    renewed: RecommendationList | None = None
    given: Delivery = Delivery()
    asked_at: float | None = None
    worked_at: float | None = None

    @property
    def lists(self) -> list[RecommendationList]:
        return [kept for kept in (self.kept, self.renewed) if kept and not kept.has_expired()]


def find(user_id: int, question: ListQuery) -> CachedLists:
    """One look into the cache; nothing is found while that is away."""
    key, last, asked = key_of(user_id, question), given_key(user_id), asked_key(user_id)
    values = shared().find([key, renewed_key(key), last, asked, WORKED_AT]) or {}
    return CachedLists(
        kept=_list(values.get(key)),
        renewed=_list(values.get(renewed_key(key))),
        given=_given(values.get(last)),
        asked_at=_seconds(values.get(asked)),
        worked_at=_seconds(values.get(WORKED_AT)),
    )


def find_last(user_id: int) -> tuple[RecommendationList | None, Delivery]:
    """The list that the viewer was given last, and what of it."""
    given = _given(shared().get(given_key(user_id)))
    kept = _list(shared().get(given.keys[0])) if given.keys else None
    return (None if kept is None or kept.has_expired() else kept), given


def store_delivery(
    user_id: int, kept: RecommendationList, given: Delivery, *, before: Delivery
) -> None:
    """Keep what was given now. A list's films are kept beside it, to know a click by."""
    cache, values = shared(), dict[str, object]()
    if given.list_id != before.list_id:
        values[given.keys[0]] = kept
        values[films_key(user_id, kept.list_id)] = [item.movie_id for item in kept.items]
    values[given_key(user_id)] = given
    cache.set_many(values, lifetime_s(kept))
    for key in set(before.keys) - set(given.keys):
        cache.delete(key)
        cache.delete(renewed_key(key))


def store_renewed(user_id: int, kept: RecommendationList) -> None:
    """Beside the list that was given, of which the viewer may still want the next batch."""
    key = renewed_key(key_of(user_id, kept.question))
    shared().set(key, kept, lifetime_s(kept))


def newest_lists(user_ids: Sequence[int]) -> Iterator[tuple[int, RecommendationList]]:
    """Of all lists that these viewers have, whoever made them."""
    given = shared().find(map(given_key, user_ids)) or {}
    owners = {
        key: user_id for user_id in user_ids for key in _given(given.get(given_key(user_id))).keys
    }
    found = shared().find([*owners, *map(renewed_key, owners)]) or {}
    for key, user_id in owners.items():
        lists = [kept for at in (key, renewed_key(key)) if (kept := _list(found.get(at)))]
        if lists:
            yield user_id, max(lists, key=lambda kept: kept.taste_version)


def lists_of(user_id: int) -> Iterator[Mapping[str, Any]]:
    """All that is cached for a viewer, as it lies there."""
    cache = shared()
    for key in cache.keys_below(keys_of(user_id)):
        if isinstance(found := cache.get(key), dict):
            yield found


def forget(user_id: int) -> None:
    cache = shared()
    for key in cache.keys_below(keys_of(user_id)):
        cache.delete(key)


def lifetime_s(kept: RecommendationList) -> int:
    left = datetime.fromisoformat(kept.expires_at) - timezone.now()
    return max(1, math.ceil(left.total_seconds())) + KEPT_PAST_MIDNIGHT_S


# --- keys


def keys_of(user_id: int) -> str:
    """How the keys of all that is cached for a viewer begin."""
    return f"recommendations:{user_id}:"


def key_of(user_id: int, question: ListQuery) -> str:
    days = question.days if question.scope == "programme" else 0
    return f"{keys_of(user_id)}{question.scope}:{question.algorithm}:{days}"


def renewed_key(key: str) -> str:
    return f"{key}:renewed"


def given_key(user_id: int) -> str:
    return f"{keys_of(user_id)}given"


def asked_key(user_id: int) -> str:
    return f"{keys_of(user_id)}asked"


# --- what another version of this program left in the cache does not count


def _list(values: object) -> RecommendationList | None:
    try:
        return RecommendationList.from_json(values) if isinstance(values, dict) else None
    except (KeyError, TypeError):
        return None


def _seconds(value: object) -> float | None:
    return value if isinstance(value, float) else None


def _given(values: object) -> Delivery:
    try:
        return Delivery(**values) if isinstance(values, dict) else Delivery()
    except TypeError:
        return Delivery()
