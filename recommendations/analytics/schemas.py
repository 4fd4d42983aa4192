from __future__ import annotations

from datetime import date

from ninja import Field, Schema

from cinema.schemas import Day
from movies.programme.selectors import DEFAULT_DAYS, MAX_DAYS
from movies.types import LocalTime
from recommendations.analytics.list_figures import DEFAULT_PERIOD_DAYS, MAX_PERIOD_DAYS, Period
from recommendations.engine.ranking.exploration import Team
from recommendations.experiments import ExperimentOut
from recommendations.schemas import QualityOut


class AnalyticsFilters(Schema):
    from_: Day | None = Field(
        None, alias="from", description=f"Default: {DEFAULT_PERIOD_DAYS} days that end with `to`."
    )
    to: Day | None = Field(
        None, description=f"Included, at most {MAX_PERIOD_DAYS} days in all. Default: today."
    )

    def period(self) -> Period:
        """Raises Unprocessable if it ends before it begins, or is too long."""
        return Period.of(self.from_, self.to)


class FiguresOut(Schema):
    """A share of nothing is null."""

    lists: int = Field(
        description="In an experiment a list is of both algorithms.", examples=[1200]
    )
    viewers: int = Field(examples=[310])
    impressions: int = Field(description="Films in lists that viewers got.", examples=[24000])
    clicks: int = Field(description="Of these, opened.", examples=[940])
    click_rate: float | None = Field(examples=[0.039])
    likes_after: int = Field(
        description="Shown films that the viewer liked, rated well, loved or came to see within a"
        " week, each counted where it was shown last.",
        examples=[180],
    )
    coverage: float | None = Field(
        description="Different films shown, of all that are published.", examples=[0.41]
    )
    fallback_share: float | None = Field(
        description="Impressions of films that stand in where the algorithm has nothing to say.",
        examples=[0.12],
    )


class AlgorithmFiguresOut(FiguresOut):
    algorithm: str = Field(examples=["hybrid"])


class DayFiguresOut(AlgorithmFiguresOut):
    date: date


class ReleaseFiguresOut(Schema):
    id: int = Field(examples=[3])
    created_at: LocalTime
    is_current: bool
    quality: dict[str, QualityOut] = Field(description="By algorithm, as measured in training.")
    algorithms: list[AlgorithmFiguresOut] = Field(description="As viewers took them in the time.")


class ExperimentOutcomeOut(Schema):
    """The result of an experiment so far, over all of its time."""

    experiment: ExperimentOut
    missing: list[str] = Field(
        description="Of its algorithms those that the current release is without: as long as there"
        " is one, viewers keep the default. Empty once it is over.",
        examples=[[]],
    )
    viewers: int = Field(description="Viewers who were shown lists of it.", examples=[412])
    impressions_a: int = Field(examples=[9000])
    impressions_b: int = Field(examples=[9001])
    clicks_a: int = Field(examples=[420])
    clicks_b: int = Field(examples=[350])
    likes_after_a: int = Field(examples=[90])
    likes_after_b: int = Field(examples=[71])
    wins_a: int = Field(
        description="Viewers with more clicks and likes of A's films than of B's.", examples=[130]
    )
    wins_b: int = Field(examples=[91])
    ties: int = Field(description="Viewers with as many of both, mostly none.", examples=[191])
    preference: float | None = Field(
        description="The share of A among the viewers who chose more from one of them.",
        examples=[0.588],
    )
    preference_low: float = Field(description="From here ...", examples=[0.52])
    preference_high: float = Field(
        description="... to here lies what 95 of 100 such experiments would come from.",
        examples=[0.654],
    )
    winner: Team | None = Field(
        description="Null while it is open: the interval holds one half.", examples=["a"]
    )


class RecommendationAnalyticsOut(Schema):
    from_: date = Field(alias="from")
    to: date
    total: FiguresOut
    algorithms: list[AlgorithmFiguresOut] = Field(description="By name.")
    days: list[DayFiguresOut] = Field(
        description="By the cinema's clock; a day without lists has none."
    )
    releases: list[ReleaseFiguresOut] = Field(
        description="Trained or shown in the time, the newest first, at most 50."
    )
    experiments: list[ExperimentOutcomeOut] = Field(
        description="That ran in the time, the latest start first, at most 50."
    )


MOST_FILMS = 100


class EstimateOut(Schema):
    """An estimate for all members. 95 of 100 samples have it between `low` and `high`."""

    count: int = Field(examples=[412])
    low: int = Field(examples=[371])
    high: int = Field(examples=[456])


class AudienceFitFilmOut(Schema):
    movie_id: int = Field(examples=[42])
    name: str = Field(examples=["Cléo from 5 to 7"])
    in_programme: bool = Field(description="Of these days.")
    had: EstimateOut = Field(
        description="Members who have watched or judged it, whom it no longer suits."
    )
    had_share: float | None = Field(description="Of those asked.", examples=[0.12])
    suited: EstimateOut | None = Field(
        description="Members whom it suits: it is among the best `best_share` of the catalogue for "
        "them, and new to them. Null if the release does not know the film."
    )
    added: EstimateOut | None = Field(
        description="Those of them whom no film of the programme suits: its gain in reach."
    )


class AudienceFitOut(Schema):
    release: int | None = Field(
        description="Null without a release: then there are no estimates.", examples=[3]
    )
    algorithm: str | None = Field(examples=["hybrid"])
    best_share: float = Field(examples=[0.05])
    days: int = Field(description="Cinema days of the programme, from now on.", examples=[7])
    members: int = Field(description="All open accounts.", examples=[5200])
    asked: int = Field(description="The members in the sample.", examples=[2000])
    known: EstimateOut = Field(description="Members whose taste is known.")
    unknown: EstimateOut = Field(description="The other members.")
    reached: EstimateOut = Field(description="Members whom a film of the programme suits.")
    unreached: EstimateOut = Field(description="Known members whom no film of it suits.")
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
