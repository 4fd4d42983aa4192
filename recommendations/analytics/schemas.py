from __future__ import annotations

from datetime import date

from ninja import Field, Schema

from cinema.schemas import Day
from movies.types import LocalTime
from recommendations.analytics.periods import DEFAULT_DAYS, MAX_DAYS, Period
from recommendations.engine.interleaving import Team
from recommendations.experiments.schemas import ExperimentOut
from recommendations.schemas import QualityOut


class AnalyticsFilters(Schema):
    from_: Day | None = Field(
        None, alias="from", description=f"Default: {DEFAULT_DAYS} days that end with `to`."
    )
    to: Day | None = Field(
        None, description=f"Included, at most {MAX_DAYS} days in all. Default: today."
    )

    def period(self) -> Period:
        """Raises Unprocessable if it ends before it begins, or is too long."""
        return Period.of(self.from_, self.to)


class FiguresOut(Schema):
    """Shares are null where there is nothing to have a share of."""

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
    """What an experiment has found up to now, over all of its time."""

    experiment: ExperimentOut
    missing: list[str] = Field(
        description="Of its algorithms those that the current release is without: as long as there"
        " is one, viewers keep the default. Empty once it is over.",
        examples=[[]],
    )
    viewers: int = Field(description="Who were shown lists of it.", examples=[412])
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
    ties: int = Field(description="Viewers with as many, mostly none.", examples=[191])
    preference: float | None = Field(
        description="Of the viewers who chose more from one, those who chose more from A.",
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
