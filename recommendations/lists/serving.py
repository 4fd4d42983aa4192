"""Lists for viewers, and the cached rest of a list."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from movies import catalogue
from movies.catalogue import Card
from movies.personal import Scores
from recommendations import selectors
from recommendations.data import load_history
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.errors import NoMoreRecommendations
from recommendations.lists.candidates import Scope
from recommendations.lists.choosing import Item, choose_items
from recommendations.lists.reasons import Reason
from recommendations.loading import LoadedRelease, current_release
from recommendations.similarity import scores_by, scores_for
from users.models import User


@dataclass(frozen=True)
class RecommendationList:
    """Up to LIST_LENGTH items for one viewer, handed out in batches of `limit`."""

    list_id: str
    scope: Scope
    algorithm: str
    release: int | None
    taste_version: int
    days: int
    limit: int
    generated_at: str
    expires_at: str
    items: Sequence[Item]

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> RecommendationList:
        items = [
            Item(**{**item, "reasons": [Reason(**reason) for reason in item["reasons"]]})
            for item in values.pop("items")
        ]
        return cls(**values, items=items)


@dataclass(frozen=True)
class Batch:
    """What a viewer is shown at once, with the cards of its movies and the similarity scores.

    The scores are no part of the list: that lives for hours, and each rating changes them.
    """

    list: RecommendationList
    number: int
    items: Sequence[Item]
    cards: Mapping[int, Card]
    scores: Mapping[int, int]


def recommend(
    *, user: User, scope: Scope, algorithm: str, limit: int, days: int, refresh: bool
) -> Batch:
    """The first batch of the viewer's list: the cached one while nothing has changed, or a new one.

    The viewer's `taste_version` came with the viewer, before the history is read: a list can
    only be newer than it says, never older.
    """
    release = current_release()
    key = _key(user, scope, algorithm, days)
    kept = None if refresh else _kept(key)
    to_keep: dict[str, object] = {_last_key(user): key}
    if not (
        kept
        and kept.taste_version == user.taste_version
        and kept.release == release.id
        and kept.limit == limit
    ):
        kept = _make_list(user, release, scope, algorithm, days=days, limit=limit)
        to_keep[key] = kept
    cache.set_many(to_keep, settings.RECOMMENDATION_LIST_LIFETIME_S)
    return _batch(kept, scores_by(release, user), number=1)


def recommend_next(*, user: User, number: int) -> Batch:
    """A further batch of the list that the viewer was given last.

    What the viewer has acted on since is left out, and the ranks stay.

    Raises:
        NoMoreRecommendations: The list has no such batch, has expired, or was never made.
    """
    key = cache.get(_last_key(user))
    kept = _kept(str(key)) if key else None
    if kept is None:
        raise NoMoreRecommendations
    batch = _batch(kept, scores_for(user), number=number)
    if kept.taste_version != user.taste_version:
        done = set(load_history(user.pk).movie_ids.tolist())
        batch = replace(batch, items=[item for item in batch.items if item.movie_id not in done])
    if not batch.items:
        raise NoMoreRecommendations
    return batch


def describe_algorithms() -> list[dict[str, Any]]:
    """What can be asked for, whether the current release has it, and its measured quality."""
    release = selectors.current_release()
    metrics, left_out = (release.metrics, release.left_out) if release else ({}, {})
    served = current_release().recommenders
    return [
        {
            "name": name,
            "description": algorithm.description,
            "available": name in served,
            "left_out": None if name in served else left_out.get(name),
            "quality": metrics.get(name),
        }
        for name, algorithm in ALGORITHMS.items()
    ]


def _batch(kept: RecommendationList, scores: Scores, *, number: int) -> Batch:
    """Cut out a batch, without what has left the catalogue or the programme since."""
    start = (number - 1) * kept.limit
    snapshot = catalogue.current().snapshot
    items = kept.items[start : start + kept.limit]
    if kept.scope == "programme":
        showing = set(snapshot.showing(kept.days))
        items = [item for item in items if item.movie_id in showing]
    cards = snapshot.cards(item.movie_id for item in items)
    shown = [item for item in items if item.movie_id in cards]
    return Batch(kept, number, shown, cards, scores([item.movie_id for item in shown]))


def keys_of(user_id: int) -> str:
    """How the keys of all that is cached for a viewer begin."""
    return f"recommendations:{user_id}:"


def _key(user: User, scope: Scope, algorithm: str, days: int) -> str:
    return f"{keys_of(user.pk)}{scope}:{algorithm}:{days if scope == 'programme' else 0}"


def _last_key(user: User) -> str:
    return f"{keys_of(user.pk)}last"


def _kept(key: str) -> RecommendationList | None:
    """The list in the cache. One that another version of this program left there does not count."""
    values = cache.get(key)
    try:
        return RecommendationList.from_json(values) if isinstance(values, dict) else None
    except (KeyError, TypeError):
        return None


# --- making a list


def _make_list(
    user: User, release: LoadedRelease, scope: Scope, algorithm: str, *, days: int, limit: int
) -> RecommendationList:
    now = timezone.now()
    return RecommendationList(
        list_id=str(uuid.uuid4()),
        scope=scope,
        algorithm=algorithm,
        release=release.id,
        taste_version=user.taste_version,
        days=days,
        limit=limit,
        generated_at=now.isoformat(),
        expires_at=(now + timedelta(seconds=settings.RECOMMENDATION_LIST_LIFETIME_S)).isoformat(),
        items=choose_items(user.pk, release, scope, algorithm, days),
    )
