"""The schedule of promotions and experiments: a start, an end, and a state that follows."""

from __future__ import annotations

from datetime import datetime
from typing import Self, TypeVar

from django.db.models import Model, QuerySet
from django.utils import timezone
from ninja import Schema
from pydantic import ConfigDict, model_validator

from cinema.errors import Unprocessable

M = TypeVar("M", bound=Model)


class EndsTooEarly(Unprocessable):
    def __init__(self, message: str) -> None:
        super().__init__("body.ends_at", message)


class ScheduledIn(Schema):
    """Base of payloads with `starts_at` and `ends_at`."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _times_in_order(self) -> Self:
        starts_at, ends_at = getattr(self, "starts_at", None), getattr(self, "ends_at", None)
        if starts_at and ends_at and ends_at <= starts_at:
            raise ValueError("ends_at does not lie after starts_at")
        return self


def check_times(starts_at: datetime, ends_at: datetime, *, is_new: bool) -> None:
    """Raises EndsTooEarly if it ends before it starts, or is new and over already."""
    if is_new and ends_at <= timezone.now():
        raise EndsTooEarly("ends_at is in the past. Choose a later one.")
    if ends_at <= starts_at:
        raise EndsTooEarly("ends_at does not lie after starts_at")


def in_state(rows: QuerySet[M], state: str | None) -> QuerySet[M]:
    """The rows that are `upcoming` or `ended` or, in any other state, in force; None for all."""
    now = timezone.now()
    if state is None:
        return rows
    if state == "upcoming":
        return rows.filter(starts_at__gt=now)
    if state == "ended":
        return rows.filter(ends_at__lte=now)
    return rows.filter(starts_at__lte=now, ends_at__gt=now)
