from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from cinema.locks import lock_table
from recommendations.errors import (
    AlgorithmAgainstItself,
    AnotherExperiment,
    ExperimentHasBegun,
    ExperimentHasResults,
    ExperimentNotFound,
)
from recommendations.experiments.schemas import ExperimentIn, ExperimentPatch
from recommendations.models import Experiment, Impression
from recommendations.schedule import check_times, in_state

#: By state the fields that can no longer change, as viewers have been shown lists by them.
SETTLED = {
    "upcoming": frozenset[str](),
    "running": frozenset({"algorithm_a", "algorithm_b", "starts_at"}),
    "ended": frozenset({"algorithm_a", "algorithm_b", "starts_at", "ends_at", "share"}),
}


def list_experiments(state: str | None = None) -> QuerySet[Experiment]:
    """The latest start first."""
    return in_state(Experiment.objects.order_by("-starts_at", "-pk"), state)


def get_experiment(experiment_id: int) -> Experiment:
    """Raises ExperimentNotFound."""
    if (found := Experiment.objects.filter(pk=experiment_id).first()) is None:
        raise ExperimentNotFound(experiment_id)
    return found


@transaction.atomic
def create_experiment(payload: ExperimentIn) -> Experiment:
    """Compare two algorithms in viewers' lists.

    Raises:
        AlgorithmAgainstItself, AnotherExperiment: As their names say.
        EndsTooEarly: It would be over by now, or before it starts.
    """
    lock_table(Experiment)
    return _write(Experiment(**payload.model_dump(exclude_unset=True)), is_new=True)


@transaction.atomic
def update_experiment(experiment_id: int, payload: ExperimentPatch) -> Experiment:
    """Change the fields that are set.

    An end in the past is replaced by now: the lists shown meanwhile belong to the experiment.

    Raises:
        ExperimentNotFound, AlgorithmAgainstItself, AnotherExperiment: As their names say.
        ExperimentHasBegun: A settled field would change.
        EndsTooEarly: It would be over by now, or before it starts.
    """
    lock_table(Experiment)
    experiment, now = get_experiment(experiment_id), timezone.now()
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


@transaction.atomic
def delete_experiment(experiment_id: int) -> None:
    """Delete an experiment without impressions.

    Raises:
        ExperimentNotFound: There is none.
        ExperimentHasResults: Viewers have been shown lists of it.
    """
    experiment = get_experiment(experiment_id)
    if Impression.objects.filter(experiment=experiment).exists():
        raise ExperimentHasResults(experiment)
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
