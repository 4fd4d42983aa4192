from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet
from django.utils import timezone

from movies.catalogue import Snapshot
from recommendations.models import Promotion
from recommendations.promotions.errors import PromotionNotFound

if TYPE_CHECKING:
    from recommendations.lists.candidates import Scope


def list_promotions(state: str | None = None) -> QuerySet[Promotion]:
    """The latest end first."""
    return in_state(_with_films(), state)


def in_state(found: QuerySet[Promotion], state: str | None) -> QuerySet[Promotion]:
    """Of them the `current`, `upcoming` or `ended` ones, or all."""
    now = timezone.now()
    if state == "upcoming":
        return found.filter(starts_at__gt=now)
    if state == "current":
        return found.filter(starts_at__lte=now, ends_at__gt=now)
    return found.filter(ends_at__lte=now) if state == "ended" else found


def get_promotion(promotion_id: int) -> Promotion:
    """Raises PromotionNotFound."""
    if (found := _with_films().filter(pk=promotion_id).first()) is None:
        raise PromotionNotFound(promotion_id)
    return found


def standing_in_the_way(pin: Promotion) -> Promotion | None:
    """Another pin of the place or the film, in lists and at a time of this one too.

    None is in the way of a boost.
    """
    if pin.kind != Promotion.Kind.PIN:
        return None
    others = _with_films().filter(kind=Promotion.Kind.PIN).exclude(pk=pin.pk)
    others = others.filter(Q(place=pin.place) | Q(movie_id=pin.movie_id))
    if pin.scope:
        others = others.filter(scope__in=["", pin.scope])
    return others.filter(starts_at__lt=pin.ends_at, ends_at__gt=pin.starts_at).first()


def _with_films() -> QuerySet[Promotion]:
    return Promotion.objects.select_related("movie").defer("movie__overview")


# --- what is in force


def pins(snapshot: Snapshot, scope: Scope, now: datetime) -> dict[int, int]:
    """The pinned movies' ids by place, counted from 1."""
    return {
        promotion.place: promotion.movie_id
        for promotion in _in_force(snapshot, scope, now)
        if promotion.place is not None
    }


def boosts(snapshot: Snapshot, scope: Scope, now: datetime) -> dict[int, float]:
    """By movie what is added to its relevance; of several the strongest."""
    strengths: dict[int, float] = {}
    for promotion in _in_force(snapshot, scope, now):
        if promotion.strength is not None:
            before = strengths.get(promotion.movie_id, 0.0)
            strengths[promotion.movie_id] = max(before, promotion.strength)
    return strengths


def in_force_key(snapshot: Snapshot, scope: Scope, now: datetime) -> str:
    """Another one as soon as a list of the scope would be promoted otherwise; empty for nothing."""
    pinned = [f"{movie_id}@{place}" for place, movie_id in pins(snapshot, scope, now).items()]
    boosted = [f"{movie_id}+{by}" for movie_id, by in boosts(snapshot, scope, now).items()]
    return " ".join(sorted(pinned + boosted))


def _in_force(snapshot: Snapshot, scope: Scope, now: datetime) -> Iterator[Promotion]:
    for promotion in _not_ended(snapshot):
        if promotion.scope in ("", scope) and promotion.state_at(now) == "current":
            yield promotion


@lru_cache(maxsize=2)
def _not_ended(snapshot: Snapshot) -> Sequence[Promotion]:
    """Read once for a version of the catalogue: each write raises it. The clock does the rest."""
    return list(Promotion.objects.filter(ends_at__gt=timezone.now()).order_by("pk"))
