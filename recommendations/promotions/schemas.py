from __future__ import annotations

from typing import Annotated, Literal, Self

from django.utils import timezone
from ninja import Field, Schema
from pydantic import StringConstraints, model_validator

from cinema.errors import Problem
from cinema.schemas import Line, Moment, RowId
from movies.types import UNSET, LocalTime
from recommendations.lists.scores import Scope
from recommendations.models import Promotion
from recommendations.schedule import ScheduledIn

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
    """Fields that are left out stay. The film and the kind cannot change."""

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

    @staticmethod
    def resolve_state(promotion: Promotion) -> str:
        return promotion.state_at(timezone.now())


class AlreadyPinnedProblem(Problem):
    promotion_id: int = Field(description="The one in the way.", examples=[4])


class PromotionFilters(Schema):
    state: PromotionState | None = None
