from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from ninja.pagination import paginate
from ninja.responses import Status

from cinema.auth import staff
from cinema.errors import problems
from cinema.schemas import Paginated
from recommendations.experiments import services
from recommendations.experiments.schemas import (
    ExperimentConflictProblem,
    ExperimentFilters,
    ExperimentIn,
    ExperimentOut,
    ExperimentPatch,
)
from recommendations.models import Experiment

router = Router(tags=["Experiments"])


@router.get(
    "/experiments", auth=staff, response={200: list[ExperimentOut], **problems(401, 403, 422)}
)
@paginate(Paginated)
def list_experiments(
    request: HttpRequest, filters: Query[ExperimentFilters]
) -> QuerySet[Experiment]:
    """Which algorithms were held against each other, the latest start first."""
    return services.list_experiments(filters.state)


@router.post(
    "/experiments",
    auth=staff,
    response={201: ExperimentOut, 409: ExperimentConflictProblem, **problems(401, 403, 422)},
)
def create_experiment(
    request: HttpRequest, payload: ExperimentIn, response: HttpResponse
) -> Status[Experiment]:
    """Hold two algorithms against each other in viewers' lists. One experiment at a time."""
    experiment = services.create_experiment(payload)
    response["Location"] = f"/api/v1/experiments/{experiment.pk}"
    return Status(201, experiment)


@router.get(
    "/experiments/{int:experiment_id}",
    auth=staff,
    response={200: ExperimentOut, **problems(401, 403, 404)},
)
def get_experiment(request: HttpRequest, experiment_id: int) -> Experiment:
    """One experiment. `GET /analytics/recommendations` has what it has found."""
    return services.get_experiment(experiment_id)


@router.patch(
    "/experiments/{int:experiment_id}",
    auth=staff,
    response={200: ExperimentOut, 409: ExperimentConflictProblem, **problems(401, 403, 404, 422)},
)
def update_experiment(
    request: HttpRequest, experiment_id: int, payload: ExperimentPatch
) -> Experiment:
    """Change an experiment. With `ends_at` at this moment it ends."""
    return services.update_experiment(experiment_id, payload)


@router.delete(
    "/experiments/{int:experiment_id}",
    auth=staff,
    response={204: None, 409: ExperimentConflictProblem, **problems(401, 403, 404)},
)
def delete_experiment(request: HttpRequest, experiment_id: int) -> Status[None]:
    """Delete an experiment that no viewer has seen anything of."""
    services.delete_experiment(experiment_id)
    return Status(204, None)
