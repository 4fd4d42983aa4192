from __future__ import annotations

from ninja import Field, Schema
from pydantic import ConfigDict

from cinema.schemas import Moment, RowId
from movies.schemas import OfMovieOut
from movies.types import LocalTime


class ViewingIn(Schema):
    model_config = ConfigDict(extra="forbid")

    movie_id: RowId = Field(examples=[42])
    watched_at: Moment | None = Field(
        None,
        description="Default: now, or the start of the screening.",
        examples=["2026-11-03T20:15:00+01:00"],
    )
    screening_id: RowId | None = Field(
        None, description="Checks you in: you were there, or are about to be.", examples=[None]
    )


class ViewingOut(Schema):
    id: int = Field(examples=[77])
    movie_id: int = Field(examples=[42])
    watched_at: LocalTime
    checked_in: bool = Field(description="Here, at a screening.", examples=[True])
    screening_id: int | None = Field(
        description="Null if the screening was deleted since.", examples=[310]
    )
    created_at: LocalTime


class ListedViewingOut(OfMovieOut, ViewingOut):
    pass


class ViewingFilters(Schema):
    movie_id: int | None = Field(None, ge=1)
    checked_in: bool | None = None
    watched_from: Moment | None = Field(None, alias="from", description="Watched at or after.")
    watched_before: Moment | None = Field(None, alias="to", description="Watched before.")
