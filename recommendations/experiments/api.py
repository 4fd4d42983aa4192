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
    """Comparisons of two algorithms, the latest start first."""
    return services.list_experiments(filters.state)


@router.post(
    "/experiments",
    auth=staff,
    response={201: ExperimentOut, 409: ExperimentConflictProblem, **problems(401, 403, 422)},
)
def create_experiment(
    request: HttpRequest, payload: ExperimentIn, response: HttpResponse
) -> Status[Experiment]:
    """Compare two algorithms in viewers' lists. One experiment runs at a time."""
    experiment = services.create_experiment(payload)
    response["Location"] = f"/api/v1/experiments/{experiment.pk}"
    return Status(201, experiment)


@router.get(
    "/experiments/{int:experiment_id}",
    auth=staff,
    response={200: ExperimentOut, **problems(401, 403, 404)},
)
def get_experiment(request: HttpRequest, experiment_id: int) -> Experiment:
    """One experiment. `GET /analytics/recommendations` has its results."""
    return services.get_experiment(experiment_id)


@router.patch(
    "/experiments/{int:experiment_id}",
    auth=staff,
    response={200: ExperimentOut, 409: ExperimentConflictProblem, **problems(401, 403, 404, 422)},
)
def update_experiment(
    request: HttpRequest, experiment_id: int, payload: ExperimentPatch
) -> Experiment:
    """Change an experiment. To end it, set `ends_at` to the present."""
    return services.update_experiment(experiment_id, payload)


@router.delete(
    "/experiments/{int:experiment_id}",
    auth=staff,
    response={204: None, 409: ExperimentConflictProblem, **problems(401, 403, 404)},
)
def delete_experiment(request: HttpRequest, experiment_id: int) -> Status[None]:
    """Delete an experiment without impressions."""
    services.delete_experiment(experiment_id)
    return Status(204, None)
