from collections.abc import Collection
from typing import Annotated, Literal

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Field, Query, Router, Schema
from ninja.pagination import paginate
from ninja.responses import Status
from pydantic import StringConstraints

from cinema.auth import staff
from cinema.errors import ApiError, Conflict, Problem, Unprocessable, problems
from cinema.locks import lock_table
from cinema.schemas import Moment, Name, Paginated
from movies.types import UNSET, LocalTime
from recommendations.impressions.storage import store_waiting
from recommendations.impressions.stream import can_be_read
from recommendations.models import Experiment, Impression
from recommendations.schedule import ScheduledIn, check_times, in_state
from recommendations.schemas import Algorithm
from recommendations.selectors import find_row

ExperimentState = Literal["running", "upcoming", "ended"]
ExperimentName = Annotated[Name, StringConstraints(max_length=100)]
# Strict: no "1" and no true.
ViewerShare = Annotated[float, Field(gt=0, le=1, strict=True)]

NAME = ["Do sequences help?"]
KNOWN = "One that `GET /recommendations/algorithms` lists."
SHARE = "Of the viewers; the others keep the default."
NOON = "2026-12-31T12:00:00+01:00"


class ExperimentPatch(ScheduledIn):
    """Omitted fields keep their values. A running experiment can change its name, share and end; an
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


class ExperimentFilters(Schema):
    state: ExperimentState | None = None


class ExperimentConflictProblem(Problem):
    experiment_id: int = Field(
        description="The conflicting experiment, or the requested one.", examples=[2]
    )


class AlgorithmAgainstItself(Unprocessable):
    def __init__(self) -> None:
        super().__init__("body.algorithm_b", "Choose two different algorithms.")


class AnotherExperiment(Conflict):
    """Two experiments at once would meet in the same lists."""

    def __init__(self, standing: Experiment) -> None:
        super().__init__(
            f"Experiment {standing.pk} ({standing.name}) runs in that time.",
            experiment_id=standing.pk,
        )


class ExperimentHasBegun(Conflict):
    """Impressions of viewers would belong to another experiment."""

    def __init__(self, experiment: Experiment, fields: Collection[str]) -> None:
        super().__init__(
            f"The experiment has begun, or is over: {', '.join(sorted(fields))} cannot change.",
            experiment_id=experiment.pk,
        )


class ExperimentHasResults(Conflict):
    def __init__(self, experiment: Experiment) -> None:
        super().__init__(
            "The experiment has results. To end it, set `ends_at`.", experiment_id=experiment.pk
        )


class ImpressionsAway(ApiError):
    """Impressions on their way to Postgres may belong to the experiment."""

    status = 503
    headers = {"Retry-After": "10"}
    detail = "The latest impressions cannot be read at the moment. Try again."


#: The fields that are fixed in each state, because viewers have been shown lists by them.
SETTLED = {
    "upcoming": frozenset[str](),
    "running": frozenset({"algorithm_a", "algorithm_b", "starts_at"}),
    "ended": frozenset({"algorithm_a", "algorithm_b", "starts_at", "ends_at", "share"}),
}


def find_experiment(experiment_id: int) -> Experiment:
    """Raises NotFound."""
    return find_row(Experiment.objects.all(), experiment_id)


@transaction.atomic
def add_experiment(payload: ExperimentIn) -> Experiment:
    """Compare two algorithms in viewers' lists.

    Raises:
        AlgorithmAgainstItself, AnotherExperiment: As their names say.
        EndsTooEarly: It would be over by now, or before it starts.
    """
    lock_table(Experiment)
    return _write(Experiment(**payload.model_dump(exclude_unset=True)), is_new=True)


@transaction.atomic
def change_experiment(experiment_id: int, payload: ExperimentPatch) -> Experiment:
    """Change the fields that are set.

    An end in the past is replaced by now: the lists shown meanwhile belong to the experiment.

    Raises:
        NotFound, AlgorithmAgainstItself, AnotherExperiment: As their names say.
        ExperimentHasBegun: A settled field would change.
        EndsTooEarly: It would be over by now, or before it starts.
    """
    lock_table(Experiment)
    experiment, now = find_experiment(experiment_id), timezone.now()
    state = experiment.state_at(now)
    fields = payload.model_dump(exclude_unset=True)
    changed = {name for name, value in fields.items() if getattr(experiment, name) != value}
    if settled := changed & SETTLED[state]:
        raise ExperimentHasBegun(experiment, settled)
    for name in changed:
        setattr(experiment, name, fields[name])
    if state == "running":
        experiment.ends_at = max(experiment.ends_at, now)
    return _write(experiment, is_new=state == "upcoming")


def remove_experiment(experiment_id: int) -> None:
    """Delete an experiment without impressions.

    Raises:
        NotFound: There is none.
        ExperimentHasResults: Viewers have been shown lists of it.
        ImpressionsAway: It has begun, and the latest impressions cannot be read.
    """
    store_waiting()
    remove_stored_experiment(experiment_id)


@transaction.atomic
def remove_stored_experiment(experiment_id: int) -> None:
    """As `remove_experiment`; the caller has called `store_waiting`, outside of a transaction.

    A transaction that is rolled back would lose what it has stored.
    """
    experiment = find_experiment(experiment_id)
    if Impression.objects.filter(experiment=experiment).exists():
        raise ExperimentHasResults(experiment)
    if experiment.starts_at <= timezone.now() and not can_be_read():
        raise ImpressionsAway
    experiment.delete()


def _write(experiment: Experiment, *, is_new: bool) -> Experiment:
    """Save the experiment; the caller holds the table."""
    if experiment.algorithm_a == experiment.algorithm_b:
        raise AlgorithmAgainstItself
    check_times(experiment.starts_at, experiment.ends_at, is_new=is_new)
    overlapping = Experiment.objects.filter(
        starts_at__lt=experiment.ends_at, ends_at__gt=experiment.starts_at
    )
    if (standing := overlapping.exclude(pk=experiment.pk).first()) is not None:
        raise AnotherExperiment(standing)
    experiment.save()
    return experiment


router = Router(tags=["Experiments"])


@router.get(
    "/experiments", auth=staff, response={200: list[ExperimentOut], **problems(401, 403, 422)}
)
@paginate(Paginated)
def list_experiments(
    request: HttpRequest, filters: Query[ExperimentFilters]
) -> QuerySet[Experiment]:
    """Comparisons of two algorithms, the latest start first."""
    return in_state(Experiment.objects.all(), filters.state)


@router.post(
    "/experiments",
    auth=staff,
    response={201: ExperimentOut, 409: ExperimentConflictProblem, **problems(401, 403, 422)},
)
def create_experiment(
    request: HttpRequest, payload: ExperimentIn, response: HttpResponse
) -> Status[Experiment]:
    """Compare two algorithms in viewers' lists. One experiment runs at a time."""
    experiment = add_experiment(payload)
    response["Location"] = f"/api/v1/experiments/{experiment.pk}"
    return Status(201, experiment)


@router.get(
    "/experiments/{int:experiment_id}",
    auth=staff,
    response={200: ExperimentOut, **problems(401, 403, 404)},
)
def get_experiment(request: HttpRequest, experiment_id: int) -> Experiment:
    """One experiment. `GET /analytics/recommendations` has its results."""
    return find_experiment(experiment_id)


@router.patch(
    "/experiments/{int:experiment_id}",
    auth=staff,
    response={200: ExperimentOut, 409: ExperimentConflictProblem, **problems(401, 403, 404, 422)},
)
def update_experiment(
    request: HttpRequest, experiment_id: int, payload: ExperimentPatch
) -> Experiment:
    """Change an experiment. To end it, set `ends_at` to the present."""
    return change_experiment(experiment_id, payload)


@router.delete(
    "/experiments/{int:experiment_id}",
    auth=staff,
    response={204: None, 409: ExperimentConflictProblem, **problems(401, 403, 404)},
)
def delete_experiment(request: HttpRequest, experiment_id: int) -> Status[None]:
    """Delete an experiment without impressions."""
    remove_experiment(experiment_id)
    return Status(204, None)
