from typing import Annotated, Any, Literal, Self

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Router, Schema
from ninja.pagination import paginate
from ninja.responses import Status
from pydantic import StringConstraints, model_validator

from cinema.auth import staff
from cinema.errors import Conflict, Problem, Unprocessable, problems
from cinema.locks import lock_table
from cinema.schemas import Line, Moment, Paginated, RowId
from movies import selectors as movies
from movies.types import UNSET, LocalTime
from recommendations.lists.scores import Scope
from recommendations.models import Promotion
from recommendations.schedule import ScheduledIn, check_times, in_state
from recommendations.selectors import find_row

PromotionState = Literal["current", "upcoming", "ended"]
Kind = Literal["pin", "boost"]
# Strict: no "4" and no true.
PinPlace = Annotated[
    int,
    Field(ge=1, le=10, strict=True, description="Of a pin, counted from 1.", examples=[1]),
]
Strength = Annotated[
    float,
    Field(
        gt=0,
        le=1,
        strict=True,
        description="Of a boost: added to the relevance, which goes from 0 to 1 over the films.",
        examples=[0.2],
    ),
]
ListScope = Annotated[
    Scope | None,
    Field(description="The lists that it is for; null: both.", examples=["programme"]),
]
Note = Annotated[
    Line,
    StringConstraints(max_length=200),
    Field(description="For colleagues. No viewer sees it.", examples=["The director comes"]),
]


class PromotionPatch(ScheduledIn):
    """Omitted fields keep their values. The film and the kind cannot change."""

    place: PinPlace = UNSET
    strength: Strength = UNSET
    scope: ListScope = None
    note: Note = ""
    starts_at: Moment = Field(
        UNSET, description="Default: now.", examples=["2026-12-03T00:00:00+01:00"]
    )
    ends_at: Moment = Field(UNSET, examples=["2026-12-10T00:00:00+01:00"])


class PromotionIn(PromotionPatch):
    movie_id: RowId = Field(examples=[42])
    kind: Kind = Field(examples=["pin"])
    ends_at: Moment = Field(examples=["2026-12-10T00:00:00+01:00"])

    @model_validator(mode="after")
    def _a_place_or_a_strength(self) -> Self:
        needed, other = ("place", "strength") if self.kind == "pin" else ("strength", "place")
        if getattr(self, needed) is None or getattr(self, other) is not None:
            raise ValueError(f"a {self.kind} has a {needed} and no {other}")
        return self


class PromotionOut(Schema):
    id: int = Field(examples=[4])
    movie_id: int = Field(examples=[42])
    movie: str = Field(examples=["Cléo from 5 to 7"])
    kind: Kind
    place: PinPlace | None
    strength: Strength | None
    scope: ListScope
    note: Note
    state: PromotionState
    starts_at: LocalTime
    ends_at: LocalTime
    created_at: LocalTime

    @staticmethod
    def resolve_movie(promotion: Promotion) -> str:
        return promotion.movie.name

    @staticmethod
    def resolve_scope(promotion: Promotion) -> str | None:
        return promotion.scope or None


class AlreadyPinnedProblem(Problem):
    promotion_id: int = Field(description="The promotion that holds the place.", examples=[4])


class PromotionFilters(Schema):
    state: PromotionState | None = None


class AlreadyPinned(Conflict):
    """Another movie has the place at that time, or this movie another place."""

    def __init__(self, wanted: Promotion, standing: Promotion) -> None:
        what = f"Place {wanted.place}" if standing.place == wanted.place else "The film"
        super().__init__(
            f"{what} is pinned in that time by promotion {standing.pk} ({standing.movie.name}, "
            f"place {standing.place}).",
            promotion_id=standing.pk,
        )


class WrongForKind(Unprocessable):
    def __init__(self, field: str, kind: str) -> None:
        super().__init__(f"body.{field}", f"A {kind} has no {field}.")


def find_promotion(promotion_id: int) -> Promotion:
    """Raises NotFound."""
    return find_row(_with_movies(), promotion_id)


def _with_movies() -> QuerySet[Promotion]:
    return Promotion.objects.select_related("movie").defer("movie__overview")


@transaction.atomic
def add_promotion(payload: PromotionIn) -> Promotion:
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
def change_promotion(promotion_id: int, payload: PromotionPatch) -> Promotion:
    """Change the fields that are set.

    Raises:
        NotFound, EndsTooEarly, AlreadyPinned: As their names say.
        WrongForKind: A pin has no strength, and a boost no place.
    """
    lock_table(Promotion)
    promotion, fields = find_promotion(promotion_id), _fields(payload)
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


def remove_promotion(promotion_id: int) -> None:
    """Raises NotFound."""
    find_promotion(promotion_id).delete()


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


router = Router(tags=["Promotions"])


@router.get(
    "/promotions", auth=staff, response={200: list[PromotionOut], **problems(401, 403, 422)}
)
@paginate(Paginated)
def list_promotions(request: HttpRequest, filters: Query[PromotionFilters]) -> QuerySet[Promotion]:
    """Films that staff have pinned or boosted in viewers' lists, the latest end first."""
    return in_state(_with_movies(), filters.state)


@router.post(
    "/promotions",
    auth=staff,
    response={201: PromotionOut, 409: AlreadyPinnedProblem, **problems(401, 403, 404, 422)},
)
def create_promotion(
    request: HttpRequest, payload: PromotionIn, response: HttpResponse
) -> Status[Promotion]:
    """Pin a film to a place of viewers' lists for a time, or boost it by a strength."""
    promotion = add_promotion(payload)
    response["Location"] = f"/api/v1/promotions/{promotion.pk}"
    return Status(201, promotion)


@router.get(
    "/promotions/{int:promotion_id}",
    auth=staff,
    response={200: PromotionOut, **problems(401, 403, 404)},
)
def get_promotion(request: HttpRequest, promotion_id: int) -> Promotion:
    """One promotion."""
    return find_promotion(promotion_id)


@router.patch(
    "/promotions/{int:promotion_id}",
    auth=staff,
    response={200: PromotionOut, 409: AlreadyPinnedProblem, **problems(401, 403, 404, 422)},
)
def update_promotion(request: HttpRequest, promotion_id: int, payload: PromotionPatch) -> Promotion:
    """Change a promotion. To end it and keep it, set `ends_at` to the present."""
    return change_promotion(promotion_id, payload)


@router.delete(
    "/promotions/{int:promotion_id}",
    auth=staff,
    response={204: None, **problems(401, 403, 404)},
)
def delete_promotion(request: HttpRequest, promotion_id: int) -> Status[None]:
    """Delete a promotion. Lists change at once."""
    remove_promotion(promotion_id)
    return Status(204, None)
