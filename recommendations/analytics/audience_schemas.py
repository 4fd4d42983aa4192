from __future__ import annotations

from ninja import Field, Schema

from movies.programme.query import DEFAULT_DAYS
from movies.programme.schemas import MAX_DAYS

MOST_FILMS = 100


class EstimateOut(Schema):
    """So many of all members. 95 of 100 such samples have it between `low` and `high`."""

    count: int = Field(examples=[412])
    low: int = Field(examples=[371])
    high: int = Field(examples=[456])


class AudienceFitFilmOut(Schema):
    movie_id: int = Field(examples=[42])
    name: str = Field(examples=["Cléo from 5 to 7"])
    in_programme: bool = Field(description="Of these days.")
    had: EstimateOut = Field(description="Who has watched or judged it: those it suits no more.")
    had_share: float | None = Field(description="Of those asked.", examples=[0.12])
    suited: EstimateOut | None = Field(
        description="Whom the model expects to like it: it is among the best `best_share` of the "
        "catalogue for them, and new to them. Null if the release does not know the film."
    )
    added: EstimateOut | None = Field(
        description="Of these, to whom nothing in the programme suits: its gain in reach."
    )


class AudienceFitOut(Schema):
    release: int | None = Field(
        description="Null: there is none, so nobody could be asked.", examples=[3]
    )
    algorithm: str | None = Field(examples=["hybrid"])
    best_share: float = Field(examples=[0.05])
    days: int = Field(description="Cinema days of the programme, from now on.", examples=[7])
    members: int = Field(description="All whose account is open.", examples=[5200])
    asked: int = Field(description="Of them, for all.", examples=[2000])
    known: EstimateOut = Field(description="Of whose taste something is known.")
    unknown: EstimateOut = Field(description="The others: nothing is guessed of them.")
    reached: EstimateOut = Field(description="To whom something in the programme suits.")
    unreached: EstimateOut = Field(description="Known ones to whom nothing in it does.")
    total: int = Field(description="Films in question.", examples=[310])
    data: list[AudienceFitFilmOut]


class AudienceFitFilters(Schema):
    movie_ids: str | None = Field(
        None,
        pattern=r"^[0-9]{1,18}(,[0-9]{1,18}){0,99}$",
        description="At most 100, with commas. Default: all without a screening to come.",
        examples=["17,42"],
    )
    days: int = Field(
        DEFAULT_DAYS, ge=1, le=MAX_DAYS, description="Cinema days of the programme, today included."
    )
    limit: int = Field(20, ge=1, le=MOST_FILMS, description="The films that add most come first.")

    @property
    def ids(self) -> list[int]:
        """Each once, in ascending order."""
        return sorted({int(part) for part in self.movie_ids.split(",")}) if self.movie_ids else []
