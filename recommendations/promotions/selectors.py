from __future__ import annotations

from django.db.models import Q, QuerySet
from django.utils import timezone

from recommendations.errors import PromotionNotFound
from recommendations.models import Promotion


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
