"""Lists for viewers: fold-in, fallback, reasons, and the cached rest of a list."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from movies import catalogue
from movies.catalogue import Card, Snapshot
from recommendations import selectors
from recommendations.data import load_history
from recommendations.engine.algorithms import ALGORITHMS
from recommendations.engine.blending import rank_with_fallback
from recommendations.errors import NoMoreRecommendations
from recommendations.loading import LoadedRelease, current_release
from recommendations.reasons import NEW, SHOWING, Reason, explain
from users.models import User

Scope = Literal["catalogue", "programme"]

HYBRID = "hybrid"
PROGRAMME = "programme"
#: Whom to ask in which order; what none of them knows is ordered by date.
FALLBACK = ("als", "popularity")
LIST_LENGTH = 40


@dataclass(frozen=True)
class Item:
    rank: int
    movie_id: int
    score: float
    source: str
    reasons: Sequence[Reason]


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
    """What a viewer is shown at once, with the cards of its movies."""

    list: RecommendationList
    number: int
    items: Sequence[Item]
    cards: Mapping[int, Card]


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
    return _batch(kept, number=1)


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
    batch = _batch(kept, number=number)
    if kept.taste_version != user.taste_version:
        done = set(load_history(user.pk)[0].tolist())
        batch = replace(batch, items=[item for item in batch.items if item.movie_id not in done])
    if not batch.items:
        raise NoMoreRecommendations
    return batch


def describe_algorithms() -> list[dict[str, Any]]:
    """What can be asked for, whether the current release has it, and its measured quality."""
    release = selectors.current_release()
    metrics = release.metrics if release else {}
    served = current_release().recommenders
    hybrid = {
        "name": HYBRID,
        "description": f"The default: {', then '.join(FALLBACK)}, then the programme by date.",
        "available": True,
        "quality": next((metrics[name] for name in FALLBACK if name in served), None),
    }
    return [
        hybrid,
        *(
            {
                "name": name,
                "description": algorithm.description,
                "available": name in served,
                "quality": metrics.get(name),
            }
            for name, algorithm in ALGORITHMS.items()
        ),
    ]


def _batch(kept: RecommendationList, *, number: int) -> Batch:
    """Cut out a batch, without what has left the catalogue or the programme since."""
    start = (number - 1) * kept.limit
    snapshot = catalogue.current().snapshot
    items = kept.items[start : start + kept.limit]
    if kept.scope == "programme":
        showing = set(snapshot.showing(kept.days))
        items = [item for item in items if item.movie_id in showing]
    cards = snapshot.cards(item.movie_id for item in items)
    shown = [item for item in items if item.movie_id in cards]
    return Batch(kept, number, shown, cards)


def _key(user: User, scope: Scope, algorithm: str, days: int) -> str:
    return f"recommendations:{user.pk}:{scope}:{algorithm}:{days if scope == 'programme' else 0}"


def _last_key(user: User) -> str:
    return f"recommendations:{user.pk}:last"


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
        items=_make_items(user.pk, release, scope, algorithm, days),
    )


def _make_items(
    user_id: int, release: LoadedRelease, scope: Scope, algorithm: str, days: int
) -> list[Item]:
    """Rank by the models, each behind the one that it stands in for, and the rest by date."""
    snapshot = catalogue.current().snapshot
    movie_ids, weights, seconds = load_history(user_id)
    history = _as_row(release, movie_ids, weights)
    times = _as_row(release, movie_ids, seconds)
    by_date = snapshot.showing(days) if scope == "programme" else snapshot.published
    ranked = rank_with_fallback(
        {
            name: release.recommenders[name].score(history, times)[0]
            for name in models_for(algorithm)
            if name in release.recommenders
        },
        candidates=_candidates(snapshot, release, scope, by_date) & ~_touched(history),
        n=LIST_LENGTH,
    )
    reasons = explain(release, history, ranked, snapshot)
    items = [
        Item(rank, int(release.items.ids[r.item]), r.score, r.source, why)
        for rank, (r, why) in enumerate(zip(ranked, reasons, strict=True), start=1)
    ]
    left_out = {*movie_ids.tolist(), *(item.movie_id for item in items)}
    newest = (pk for pk in by_date if pk not in left_out)
    why = SHOWING if scope == "programme" else NEW
    for rank, pk in zip(range(len(items) + 1, LIST_LENGTH + 1), newest, strict=False):
        items.append(Item(rank, pk, 0.0, PROGRAMME, [why]))
    return items


def models_for(algorithm: str) -> Sequence[str]:
    """The algorithm and what stands in for it."""
    return FALLBACK[FALLBACK.index(algorithm) :] if algorithm in FALLBACK else FALLBACK


def _as_row(
    release: LoadedRelease, movie_ids: NDArray[np.int64], values: NDArray[np.floating]
) -> csr_matrix:
    """(1, n_items) of the values; what the release does not know is left out."""
    indices = release.items.indices(movie_ids)
    known = indices >= 0
    row = (values[known], indices[known], np.array([0, known.sum()]))
    return csr_matrix(row, shape=(1, len(release.items)))


def _touched(history: csr_matrix) -> NDArray[np.bool_]:
    mask = np.zeros(history.shape[1], dtype=bool)
    mask[history.indices] = True
    return mask


def _candidates(
    snapshot: Snapshot, release: LoadedRelease, scope: Scope, by_date: Sequence[int]
) -> NDArray[np.bool_]:
    """(n_items,) what may be listed."""
    return _published(snapshot, release) if scope == "catalogue" else _mask(release, by_date)


@lru_cache(maxsize=2)
def _published(snapshot: Snapshot, release: LoadedRelease) -> NDArray[np.bool_]:
    return _mask(release, snapshot.published)


def _mask(release: LoadedRelease, movie_ids: Sequence[int]) -> NDArray[np.bool_]:
    mask = np.zeros(len(release.items), dtype=bool)
    indices = release.items.indices(movie_ids)
    mask[indices[indices >= 0]] = True
    return mask
