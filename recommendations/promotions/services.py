from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from cinema.locks import lock_table
from movies import selectors as movies
from recommendations.errors import AlreadyPinned, PromotionNotFound, WrongForKind
from recommendations.models import Promotion
from recommendations.promotions.schemas import PromotionIn, PromotionPatch
from recommendations.schedule import check_times, in_state


def list_promotions(state: str | None = None) -> QuerySet[Promotion]:
    """The latest end first."""
    return in_state(_with_movies(), state)


def get_promotion(promotion_id: int) -> Promotion:
    """Raises PromotionNotFound."""
    if (found := _with_movies().filter(pk=promotion_id).first()) is None:
        raise PromotionNotFound(promotion_id)
    return found


def _with_movies() -> QuerySet[Promotion]:
    return Promotion.objects.select_related("movie").defer("movie__overview")


@transaction.atomic
def create_promotion(payload: PromotionIn) -> Promotion:
    """Pin or boost a movie.

    Raises:
        MovieNotFound: No published movie has this id.
        EndsTooEarly: It would be over by now, or before it starts.
        AlreadyPinned: The place or the movie has another pin at that time.
    """
    movie = movies.get_movie(payload.movie_id, for_update=True)
    promotion = Promotion(**_fields(payload))
    promotion.movie = movie
    return write_promotion(promotion, is_new=True)


@transaction.atomic
def update_promotion(promotion_id: int, payload: PromotionPatch) -> Promotion:
    """Change the fields that are set.

    Raises:
        PromotionNotFound, EndsTooEarly, AlreadyPinned: As their names say.
        WrongForKind: A pin has no strength, and a boost no place.
    """
    lock_table(Promotion)
    promotion, fields = get_promotion(promotion_id), _fields(payload)
    foreign = "strength" if promotion.kind == Promotion.Kind.PIN else "place"
    if foreign in fields:
        raise WrongForKind(foreign, promotion.kind)
    for field, value in fields.items():
        setattr(promotion, field, value)
    return write_promotion(promotion)


@transaction.atomic
def write_promotion(promotion: Promotion, *, is_new: bool = False) -> Promotion:
    """Save the promotion after the checks that API and admin share.

    Raises:
        EndsTooEarly: It ends before it starts, or is new and over already.
        AlreadyPinned: The place or the movie has another pin at that time.
    """
    check_times(promotion.starts_at, promotion.ends_at, is_new=is_new)
    # Two writers at once would each find the place free.
    lock_table(Promotion)
    if (standing := _conflicting_pin(promotion)) is not None:
        raise AlreadyPinned(promotion, standing)
    promotion.save()
    return promotion


def delete_promotion(promotion_id: int) -> None:
    """Raises PromotionNotFound."""
    if not Promotion.objects.filter(pk=promotion_id).delete()[0]:
        raise PromotionNotFound(promotion_id)


def _conflicting_pin(promotion: Promotion) -> Promotion | None:
    """Another pin of the place or the movie in the same lists and time; a boost has no conflict."""
    if promotion.kind != Promotion.Kind.PIN:
        return None
    others = _with_movies().filter(
        Q(place=promotion.place) | Q(movie_id=promotion.movie_id),
        kind=Promotion.Kind.PIN,
        starts_at__lt=promotion.ends_at,
        ends_at__gt=promotion.starts_at,
    )
    if promotion.scope:
        others = others.filter(scope__in=["", promotion.scope])
    return others.exclude(pk=promotion.pk).first()


def _fields(payload: PromotionPatch) -> dict[str, Any]:
    """The fields that are set, as the model has them: all lists have the empty scope."""
    fields = payload.model_dump(exclude_unset=True)
    if "scope" in fields:
        fields["scope"] = fields["scope"] or Promotion.Scope.ALL
    return fields
