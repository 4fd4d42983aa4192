from __future__ import annotations

from typing import Annotated, Literal

from django.utils import timezone
from ninja import Field, Schema
from pydantic import StringConstraints

from cinema.errors import Problem
from cinema.schemas import Moment, Name
from movies.types import UNSET, LocalTime
from recommendations.models import Experiment
from recommendations.schedule import ScheduledIn
from recommendations.schemas import Algorithm

ExperimentState = Literal["running", "upcoming", "ended"]
ExperimentName = Annotated[Name, StringConstraints(max_length=100)]
# Strict: no "1" and no true.
ViewerShare = Annotated[float, Field(gt=0, le=1, strict=True)]

NAME = ["Do sequences help?"]
KNOWN = "One that `GET /recommendations/algorithms` lists."
SHARE = "Of the viewers; the others keep the default."
NOON = "2026-12-31T12:00:00+01:00"


class ExperimentPatch(ScheduledIn):
    """Fields that are left out stay. A running experiment can change its name, share and end; an
    ended one its name."""

    name: ExperimentName = Field(UNSET, examples=NAME)
    algorithm_a: Algorithm = Field(UNSET, description=KNOWN, examples=["hybrid"])
    algorithm_b: Algorithm = Field(UNSET, examples=["ensemble"])
    share: ViewerShare = Field(UNSET, description=SHARE, examples=[0.5])
    starts_at: Moment = Field(
        UNSET, description="Default: now.", examples=["2026-12-03T12:00:00+01:00"]
    )
    ends_at: Moment = Field(UNSET, examples=[NOON])


class ExperimentIn(ExperimentPatch):
    name: ExperimentName = Field(examples=NAME)
    algorithm_a: Algorithm = Field(description=KNOWN, examples=["hybrid"])
    algorithm_b: Algorithm = Field(examples=["ensemble"])
    ends_at: Moment = Field(examples=[NOON])


class ExperimentOut(Schema):
    id: int = Field(examples=[2])
    name: str = Field(examples=NAME)
    algorithm_a: str = Field(examples=["hybrid"])
    algorithm_b: str = Field(examples=["ensemble"])
    share: float = Field(description=SHARE, examples=[0.5])
    state: ExperimentState
    starts_at: LocalTime
    ends_at: LocalTime
    created_at: LocalTime

    @staticmethod
    def resolve_state(experiment: Experiment) -> str:
        return experiment.state_at(timezone.now())


class ExperimentFilters(Schema):
    state: ExperimentState | None = None


class ExperimentConflictProblem(Problem):
    experiment_id: int = Field(
        description="The one in the way, or the one asked for.", examples=[2]
    )
