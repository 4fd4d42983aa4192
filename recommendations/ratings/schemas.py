from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from ninja import Field, Schema

from cinema.schemas import Line
from movies.schemas import OfMovieOut
from movies.types import LocalTime
from recommendations.models import Interaction

Stars = Annotated[float, Field(ge=0.5, le=5, multiple_of=0.5)]
Months = Annotated[
    int, Field(ge=1, le=120, description="The number of months that are listed, up to this one.")
]


class ListedRatingOut(OfMovieOut):
    stars: float = Field(examples=[4.5])
    rated_at: LocalTime

    @staticmethod
    def resolve_rated_at(rating: Interaction) -> datetime:
        return rating.updated_at


class RatingFilters(Schema):
    stars_from: Stars | None = Field(None, examples=[4])
    stars_to: Stars | None = Field(None, examples=[5])
    genre: Line | None = Field(None, description="A genre's slug.", examples=["drama"])
    sort: Literal["-rated_at", "-stars", "stars", "name"] = "-rated_at"


class CountsOut(Schema):
    ratings: int = Field(examples=[57])
    favourites: int = Field(examples=[12])
    history: int = Field(description="Entries: a film seen twice has two.", examples=[80])
    check_ins: int = Field(description="Of these, at screenings here.", examples=[31])
    films_watched: int = Field(
        description="Different films in the history, rated, or said to be seen.", examples=[93]
    )


class StarsCountOut(Schema):
    stars: float = Field(examples=[4.5])
    ratings: int = Field(examples=[9])


class GenreStatisticsOut(Schema):
    slug: str = Field(examples=["drama"])
    name: str = Field(examples=["Drama"])
    films_watched: int = Field(examples=[40])
    mean_rating: float | None = Field(examples=[3.9])


class DecadeStatisticsOut(Schema):
    decade: int | None = Field(description="Null: without a release year.", examples=[1960])
    films_watched: int = Field(examples=[17])
    mean_rating: float | None = Field(examples=[4.1])


class MonthStatisticsOut(Schema):
    month: str = Field(description="By the cinema's clock.", examples=["2026-11"])
    viewings: int = Field(examples=[6])
    check_ins: int = Field(examples=[2])


class StatisticsOut(Schema):
    """Withdrawn films are counted too, as the statistics name no film."""

    counts: CountsOut
    mean_rating: float | None = Field(examples=[3.8])
    by_stars: list[StarsCountOut] = Field(description="From half a star to five.")
    by_genre: list[GenreStatisticsOut] = Field(description="The most watched first.")
    by_decade: list[DecadeStatisticsOut] = Field(description="By the release year, in order.")
    by_month: list[MonthStatisticsOut] = Field(description="In order, up to this month.")
    hours_watched: float = Field(
        description="Running times of the entries in the history.", examples=[131.5]
    )
    viewings_without_runtime: int = Field(
        description="Entries whose film has no running time, which the hours lack.", examples=[1]
    )


class _Suggested(Schema):
    films_watched: int = Field(examples=[14])
    mean_rating: float | None = Field(examples=[4.2])
    lift: float = Field(
        description="Your share of it, divided by the share of all viewers.", examples=[2.1]
    )


class SuggestedGenreOut(_Suggested):
    slug: str = Field(examples=["drama"])
    name: str = Field(examples=["Drama"])


class SuggestedLanguageOut(_Suggested):
    language: str = Field(examples=["fr"])


class PreferenceSuggestionsOut(Schema):
    """At most five of each, the highest lift first."""

    genres: list[SuggestedGenreOut]
    languages: list[SuggestedLanguageOut]
