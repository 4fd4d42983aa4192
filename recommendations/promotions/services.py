from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from cinema.locks import lock_table
from movies import selectors as movies
from recommendations.errors import AlreadyPinned, EndsTooEarly, PromotionNotFound, WrongForKind
from recommendations.models import Promotion
from recommendations.promotions import selectors
from recommendations.promotions.schemas import check_promotion_times

#: What a promotion of a kind cannot have.
FOREIGN = {Promotion.Kind.PIN: "strength", Promotion.Kind.BOOST: "place"}


@transaction.atomic
def create_promotion(*, fields: Mapping[str, Any]) -> Promotion:
    """Promote a film. `fields` are those of `PromotionIn`.

    Raises:
        MovieNotFound: No published movie has this id.
        EndsTooEarly: It would be over by now, or before it starts.
        AlreadyPinned: The place or the film has another pin at that time.
    """
    movie = movies.get_movie(fields["movie_id"], for_update=True)
    promotion = Promotion(**_as_stored(fields))
    promotion.movie = movie
    if promotion.ends_at <= timezone.now():
        raise EndsTooEarly("It would be over by now.")
    return write_promotion(promotion=promotion)


@transaction.atomic
def update_promotion(*, promotion_id: int, fields: Mapping[str, Any]) -> Promotion:
    """Change the given fields, which are those of `PromotionPatch`.

    Raises:
        PromotionNotFound, EndsTooEarly, AlreadyPinned: As their names say.
        WrongForKind: A pin has no strength, and a boost no place.
    """
    lock_table(Promotion)
    promotion = selectors.get_promotion(promotion_id)
    if (foreign := FOREIGN[Promotion.Kind(promotion.kind)]) in fields:
        raise WrongForKind(foreign, promotion.kind)
    for field, value in _as_stored(fields).items():
        setattr(promotion, field, value)
    return write_promotion(promotion=promotion)


@transaction.atomic
def write_promotion(*, promotion: Promotion) -> Promotion:
    """Write it as it stands, new or not: what all ways of writing have in common.

    Raises:
        EndsTooEarly: Before it starts.
        AlreadyPinned: The place or the film has another pin at that time.
    """
    try:
        check_promotion_times(promotion.starts_at, promotion.ends_at)
    except ValueError as error:
        raise EndsTooEarly(str(error)) from error
    # Of two at once each would find the place free.
    lock_table(Promotion)
    if (standing := selectors.standing_in_the_way(promotion)) is not None:
        raise AlreadyPinned(promotion, standing)
    promotion.save()
    return promotion


def delete_promotion(*, promotion_id: int) -> None:
    """Take it out; to keep it among the ended ones, let it end now.

    Raises:
        PromotionNotFound: There is none.
    """
    if not Promotion.objects.filter(pk=promotion_id).delete()[0]:
        raise PromotionNotFound(promotion_id)


def _as_stored(fields: Mapping[str, Any]) -> dict[str, Any]:
    stored = dict(fields)
    if "scope" in stored:
        stored["scope"] = stored["scope"] or Promotion.Scope.ALL
    return stored
